package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// documented returns the command lines that the documentation shows, by file:
// indented or fenced lines that begin with ingest, bin/ingest or make.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	var files []string
	for _, glob := range []string{"../../*.md", "../../docs/*.md", "../../docs/adr/*.md", "../../deploy/*/*.md"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	out := map[string][]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = commandLines(string(b))
	}
	return out
}

var shown = regexp.MustCompile("^(?:    |\t)?(?:\\$ )?(?:[A-Z_]+=\\S+ )*((?:bin/)?ingest|make) (.*)$")

func commandLines(text string) []string {
	var out []string
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		if m := shown.FindStringSubmatch(strings.TrimRight(line, " \\")); m != nil {
			rest, _, _ := strings.Cut(m[2], "  #")
			rest, _, _ = strings.Cut(rest, " # ")
			rest = strings.TrimRight(rest, " &")
			out = append(out, strings.TrimPrefix(m[1], "bin/")+" "+rest)
		}
	}
	return out
}

// TestDocumentedCommandsExist parses every documented command line as the
// program would: a flag or a subcommand that is gone fails here.
func TestDocumentedCommandsExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for file, lines := range documented(t) {
		for _, line := range lines {
			n++
			args := words(line)
			if args[0] == "make" {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[1]) + `:`).Match(makefile) {
					t.Errorf("%s: there is no %s", file, line)
				}
				continue
			}
			if err := parses(args[1:]); err != nil {
				t.Errorf("%s: %s: %v", file, line, err)
			}
		}
	}
	if n < 12 {
		t.Fatalf("only %d documented commands found", n)
	}
}

// TestExamplesParse does the same for the examples in the help texts.
func TestExamplesParse(t *testing.T) {
	var walk func(*cobra.Command)
	n := 0
	walk = func(cmd *cobra.Command) {
		if cmd.Runnable() && cmd.Example == "" && cmd.HasParent() && cmd.Name() != "help" && cmd.Parent().Name() != "completion" && cmd.Name() != "completion" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, line := range commandLines("```\n" + strings.ReplaceAll(cmd.Example, "  ingest", "ingest") + "\n```") {
			n++
			if err := parses(words(line)[1:]); err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	g := &globals{}
	walk(newRootCommand(g, commands(g)))
	if n < 20 {
		t.Fatalf("only %d examples found", n)
	}
}

// words splits a line as a shell does, as far as documentation goes.
func words(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(line, -1) {
		if m == "|" || m == ">" || m == "&&" {
			break
		}
		out = append(out, strings.Trim(m, `'"`))
	}
	return out
}

// parses finds the command and lets it parse flags and count arguments.
func parses(args []string) error {
	g := &globals{}
	root := newRootCommand(g, commands(g))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
