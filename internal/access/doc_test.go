package access

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of docs/access.md from the rules")

const (
	docsPath   = "../../docs/access.md"
	tableBegin = "<!-- Generated from internal/access by: go test ./internal/access -update -->\n"
	tableEnd   = "<!-- end -->"
)

// table writes all built-in rules.
func table() string {
	var b strings.Builder
	b.WriteString("| rule | lets a caller | if | with `--auth none` | routes |\n|---|---|---|---|---|\n")
	open := Open()
	text := func(check string) string {
		if check == "" {
			check = "@"
		}
		return "`" + check + "`"
	}
	for _, r := range Standard().List() {
		here := ""
		if o, _ := open.Rule(r.Name); o.Check != r.Check {
			here = text(o.Check)
		}
		var routes []string
		for _, route := range r.Routes {
			routes = append(routes, "`"+route+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Name, r.Description, text(r.Check), here, strings.Join(routes, ", "))
	}
	return b.String()
}

func TestDocumentedRulesAreThoseInForce(t *testing.T) {
	raw, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), tableBegin)
	have, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		t.Fatal("docs/access.md has no place for the table")
	}
	if *update {
		if err := os.WriteFile(docsPath, []byte(before+tableBegin+table()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != table() {
		t.Error("docs/access.md has other rules than the program; run: go test ./internal/access -update")
	}
}

func TestDocumentedFilesAreTaken(t *testing.T) {
	raw, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	fenced := func(kind string) string {
		_, rest, _ := strings.Cut(string(raw), "```"+kind+"\n")
		text, _, _ := strings.Cut(rest, "```")
		return text
	}
	r, problems := Standard().Override("access.md", []byte(fenced("yaml")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if !r.Allows("publicize_image", callerIn("red", "image_publisher"), NewTarget("red")) || !r.Allows("copy_image", callerIn("red", "member"), NewTarget("red")) {
		t.Error("the rules shown do not say what they are shown for")
	}
	p, problems := ParseProtections([]byte(fenced("ini")), ByRoles)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if !p.Allow(Create, "x_billing_code", callerIn("red", "billing"), r) || p.Allow(Delete, "x_billing_code", callerIn("red", "billing"), r) {
		t.Error("the protections shown do not say what they are shown for")
	}
}
