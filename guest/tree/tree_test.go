package tree_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ingest/guest/tree"
)

func TestClean(t *testing.T) {
	l := tree.Listing{NotInspected: "a\x1b[2J\u202eb", OS: tree.OSRelease{ID: strings.Repeat("é", 200)}}
	for range 100 {
		l.Kernels = append(l.Kernels, "k\n")
	}
	l.Clean()
	if l.NotInspected != "a?[2J?b" {
		t.Errorf("%q", l.NotInspected)
	}
	if len(l.OS.ID) > 256 || len(l.OS.ID) < 200 || !utf8.ValidString(l.OS.ID) || strings.Contains(l.OS.ID, "?") {
		t.Errorf("%d bytes: %q", len(l.OS.ID), l.OS.ID)
	}
	if len(l.Kernels) != 32 || l.Kernels[31] != "k?" {
		t.Errorf("%q", l.Kernels)
	}
}
