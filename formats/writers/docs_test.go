package writers

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of presets into docs/formats.md")

const (
	page  = "../../docs/formats.md"
	begin = "<!-- presets: made by go test ./formats/writers -update -->\n"
	end   = "<!-- end of presets -->\n"
)

// TestPresetsTable holds the documentation's table against the list.
func TestPresetsTable(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the presets", page)
	}
	var w strings.Builder
	w.WriteString("| preset | is | with | why | as said by |\n|---|---|---|---|---|\n")
	for _, p := range Presets() {
		var with []string
		for _, k := range slices.Sorted(maps.Keys(p.Options)) {
			with = append(with, "`"+k+"="+p.Options[k]+"`")
		}
		fmt.Fprintf(&w, "| `%s` | `%s` | %s | %s | <%s> |\n", p.Name, p.Format, strings.Join(with, " "), p.Why, p.Source)
	}
	want := before + begin + w.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(b) {
		t.Errorf("%s does not list the presets as they are: run go test ./formats/writers -update", page)
	}
}

// TestOptionsAreDocumented finds every writer, option and default on the page.
func TestOptionsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, written, _ := strings.Cut(string(b), "## Written")
	var rows []string
	for _, line := range strings.Split(written, "\n") {
		if strings.HasPrefix(line, "|") {
			rows = append(rows, line)
		}
	}
	for _, w := range All() {
		at := slices.IndexFunc(rows, func(r string) bool { return strings.HasPrefix(r, "| `"+w.Name+"` |") })
		if at < 0 {
			t.Errorf("%s is not on the page", w.Name)
			continue
		}
		end := at + 1
		for end < len(rows) && strings.HasPrefix(rows[end], "| | ") {
			end++ // a writer's rows reach to the next one's first
		}
		rows := rows[:end]
		for _, o := range w.Options {
			i := slices.IndexFunc(rows[at:], func(r string) bool { return strings.Contains(r, "| `"+o.Name+"` |") })
			if i < 0 {
				t.Errorf("option %s of %s is not on the page", o.Name, w.Name)
				continue
			}
			if o.Default != "" && !strings.Contains(rows[at+i], "| `"+o.Default+"` |") && !strings.Contains(rows[at+i], "| "+o.Default+" |") {
				t.Errorf("the default of %s's %s is %s, the page says %s", w.Name, o.Name, o.Default, rows[at+i])
			}
		}
	}
}
