package diskmap

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// sample has every class, whole and as a trace.
func sample() []formats.Extent {
	return laid(10*gib,
		plain(1300*mib, 5*mib), hole(200*mib), plain(64*kib, 1305*mib), hole(300*mib), packed(900*mib), plain(7*mib, 9*gib),
		zeros(800*mib), hole(64*kib), zeros(64*kib), hole(1200*mib), packed(64*kib), hole(600*mib),
		plain(5*mib, 0), hole(5*mib), plain(2*mib, 77*mib), hole(8*mib), zeros(5*mib), plain(400*mib, 2*gib))
}

func TestText(t *testing.T) {
	tests := []struct {
		golden        string
		size          int64
		width, height int
		style         TextStyle
		extents       []formats.Extent
		known         bool
	}{
		{"80.txt", 10 * gib, 80, 31, TextStyle{}, sample(), true},
		{"200.txt", 10 * gib, 200, 24, TextStyle{}, sample(), true},
		{"colour.txt", 10 * gib, 80, 31, TextStyle{Colour: true}, sample(), true},
		{"summary.txt", 10 * gib, 80, 31, TextStyle{NoGrid: true}, sample(), true},
		{"hole.txt", 64 * tib, 80, 24, TextStyle{}, laid(64 * tib), true},
		{"trace.txt", 64 * tib, 80, 24, TextStyle{}, laid(64*tib, hole(20*tib+3), plain(1, 0), hole(9*tib), zeros(1), hole(20*tib), packed(1)), true},
		{"sector.txt", 513, 80, 24, TextStyle{}, laid(513, plain(513, 0)), false},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			columns, rows := TextGrid(tt.width, tt.height)
			m := build(t, tt.size, columns, rows, tt.extents...)
			m.HolesKnown = tt.known
			var out strings.Builder
			if err := m.WriteText(&out, tt.style); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.golden, out.String())
			if !tt.style.Colour {
				for _, line := range strings.Split(out.String(), "\n") {
					if utf8.RuneCountInString(line) > tt.width {
						t.Errorf("wider than %d: %s", tt.width, line)
					}
				}
				if n := strings.Count(out.String(), "\n"); n >= tt.height {
					t.Errorf("%d lines on a screen of %d", n, tt.height)
				}
			}
		})
	}
}

// TestColourChangesNothing: without its colours the text is the same.
func TestColourChangesNothing(t *testing.T) {
	m := build(t, 10*gib, 64, 16, sample()...)
	var with, without strings.Builder
	if err := m.WriteText(&with, TextStyle{Colour: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteText(&without, TextStyle{}); err != nil {
		t.Fatal(err)
	}
	s := with.String()
	for _, code := range []string{"\x1b[34m", "\x1b[33m", "\x1b[36m", "\x1b[90m", "\x1b[0m"} {
		if !strings.Contains(s, code) {
			t.Errorf("no %q", code)
		}
		s = strings.ReplaceAll(s, code, "")
	}
	if diff := cmp.Diff(without.String(), s); diff != "" {
		t.Error(diff)
	}
}

func TestLook(t *testing.T) {
	tests := []struct {
		name string
		cell Cell
		want rune
	}{
		{"all data", Cell{Data: 9}, '█'},
		{"nearly", Cell{Data: 1<<40 - 1, Hole: 1}, '▓'},
		{"half", Cell{Data: 5, Zero: 5}, '▒'},
		{"a byte in 64 TiB", Cell{Data: 1, Hole: 64 << 40}, '░'},
		{"data with some compressed", Cell{Data: 6, Compressed: 4}, '█'},
		{"compressed", Cell{Compressed: 8}, 'C'},
		{"compressed with some data", Cell{Data: 4, Compressed: 6}, 'C'},
		{"a compressed byte", Cell{Compressed: 1, Zero: 1 << 40}, 'c'},
		{"zeros", Cell{Zero: 8}, '0'},
		{"a zero", Cell{Zero: 1, Hole: 1 << 40}, 'o'},
		{"hole", Cell{Hole: 1}, '·'},
	}
	for _, tt := range tests {
		if got := look(tt.cell); got.char != tt.want {
			t.Errorf("%s: %c, want %c", tt.name, got.char, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	tests := []struct{ got, want string }{
		{offsetLabel(0), "0"},
		{offsetLabel(1), "1 B"},
		{offsetLabel(1536), "1.5 KiB"},
		{offsetLabel(1280 * mib), "1.25 GiB"},
		{offsetLabel(1152 * mib), "1152 MiB"},
		{offsetLabel(1023*gib + 256*mib), "1023 GiB"},
		{offsetLabel(1<<63 - 1), "8.00 EiB"},
		{percent(0, 0), "0%"},
		{percent(0, 5), "0%"},
		{percent(5, 5), "100%"},
		{percent(1, 64*tib), "<0.01%"},
		{percent(64*tib-1, 64*tib), ">99.99%"},
		{percent(1, 3), "33.3%"},
		{percent(1, 300), "0.33%"},
		{percent(999, 1000), "99.90%"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestAxis(t *testing.T) {
	tests := []struct {
		grid Grid
		step int
		want string // the first two labels and the last
	}{
		{NewGrid(2*gib, 64, 16), 1, "0, 128 MiB ... 1920 MiB"},
		{NewGrid(10*gib, 64, 16), 1, "0, 640 MiB ... 9600 MiB"},
		{NewGrid(20*gib, 64, 16), 1, "0, 1.25 GiB ... 18.75 GiB"},
		{NewGrid(tib, 128, 52), 8, "0, 160 GiB ... 960 GiB"},
		{NewGrid(64*tib, 64, 8), 1, "0, 8 TiB ... 56 TiB"},
		{Grid{Size: 1025, Columns: 1, CellBytes: 512}, 1, "0, 512 B ... 1024 B"},
	}
	for _, tt := range tests {
		s := tt.grid.axis(tt.step)
		if got := s[0] + ", " + s[1] + " ... " + s[len(s)-1]; got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestLabelsFit: no axis of any disk has a label that is wider than its place.
func TestLabelsFit(t *testing.T) {
	for size := int64(1); size > 0; size += size/3 + 1 {
		g := NewGrid(size, 64, 16)
		for step := 1; step <= 8; step *= 2 {
			for _, s := range g.axis(step) {
				if len(s) > labelWidth {
					t.Fatalf("%d bytes: label %q", size, s)
				}
			}
		}
	}
}
