package errcode

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = "../../docs/errors.md"

var update = flag.Bool("update", false, "rewrite docs/errors.md from the table")

const intro = `# Error codes

<!-- Generated from internal/errcode/table.go by: go test ./internal/errcode -update -->

Every failure that ` + "`ingest`" + ` shows, in the API, on the command line, in a task's
message and in Temporal, carries one of these codes.

- **A code is stable.** It keeps its meaning for ever and is never used for
  anything else. Programs and alerts may depend on it. The words around it, the
  HTTP status and the remedy may be improved.
- **Codes are added**, so a program must expect one that it does not know, and
  treat it by its HTTP status.
- **Retryable** means that the same work may succeed later with nothing changed.
  ` + "`ingest`" + ` tries such work again by itself before it shows the failure. What is
  not retryable needs something done first: that is the remedy.
- **HTTP status** is what the API answers when a request itself fails with the
  code. A failure within an import is told by the task, which is read with 200.
- An error comes with its **evidence** where there is any: format, structure,
  field, offset in the file, the value that stood there and what was allowed.

A code that begins with ` + "`IMG_`" + ` is about an image or its source; all others are
about the service.
`

// render writes the page: an index of all codes, then one section a code.
func render() string {
	var b strings.Builder
	b.WriteString(intro)
	groups := []struct {
		title string
		is    func(Code) bool
	}{
		{"Images and their sources", func(c Code) bool { return strings.HasPrefix(string(c), "IMG_") }},
		{"The service", func(c Code) bool { return !strings.HasPrefix(string(c), "IMG_") }},
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| code | HTTP | retryable | meaning |\n|---|---|---|---|\n", g.title)
		for _, d := range All() {
			if g.is(d.Code) {
				fmt.Fprintf(&b, "| [`%s`](#%s) | %d | %s | %s |\n", d.Code, strings.ToLower(string(d.Code)), d.HTTPStatus, yesNo(d.Retryable), cell(d.Meaning))
			}
		}
	}
	b.WriteString("\n## What to do about each\n")
	for _, d := range All() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", d.Code, d.Meaning)
		fmt.Fprintf(&b, "- HTTP status: %d %s\n", d.HTTPStatus, http.StatusText(d.HTTPStatus))
		fmt.Fprintf(&b, "- Retryable: %s\n- Remedy: %s\n", yesNo(d.Retryable), d.Remedy)
	}
	return b.String()
}

// cell makes text safe within a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func TestErrorsPageIsCurrent(t *testing.T) {
	want := render()
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./internal/errcode -update", err)
	}
	if string(got) == want {
		return
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("docs/errors.md line %d is %q, the table says %q; run: go test ./internal/errcode -update", i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("docs/errors.md has %d lines, the table makes %d; run: go test ./internal/errcode -update", len(gotLines), len(wantLines))
}

func TestEveryStatusHasAName(t *testing.T) {
	for _, d := range All() {
		if http.StatusText(d.HTTPStatus) == "" {
			t.Errorf("%s: HTTP status %d has no name", d.Code, d.HTTPStatus)
		}
		if !strings.HasSuffix(d.Meaning, ".") || !strings.HasSuffix(d.Remedy, ".") {
			t.Errorf("%s: meaning and remedy are whole sentences", d.Code)
		}
	}
}
