package diskmap

import (
	"fmt"
	"io"
	"strings"

	"ingest/internal/cli"
	"ingest/internal/progress"
)

// A TextStyle says how a map is written as text.
type TextStyle struct {
	Colour bool // with ANSI colours
	NoGrid bool // totals only
}

// TextGrid returns how many columns and rows of cells fit on a screen of the
// given width and height in characters, with labels and totals.
func TextGrid(width, height int) (columns, rows int) {
	// A multiple of 16 makes the offsets at the left round.
	columns = (width - labelWidth - 2) / 16 * 16
	return min(max(columns, 16), 256), min(max(height-textLines, 4), 64)
}

// textLines is how many lines stand above and below the grid: title, legend,
// totals, notes, gaps, and the prompt of the shell.
const textLines = 15

// A glyph is how a cell looks: its character, and an ANSI colour.
type glyph struct {
	char   rune
	colour int
}

// glyphs are the characters of a class, from a cell that is all of it to one
// that has a trace.
var glyphs = [Classes][]glyph{
	Data:       {{'█', 34}, {'▓', 34}, {'▒', 34}, {'░', 34}},
	Compressed: {{'C', 33}, {'c', 33}},
	Zero:       {{'0', 36}, {'o', 36}},
	Hole:       {{'·', 90}},
}

// look chooses a cell's glyph. What is stored goes before zeros, and zeros
// before holes, so that a trace of data shows in a cell of holes.
func look(c Cell) glyph {
	stored := c.Share(Data, Compressed)
	switch {
	case c[Data] > 0 && c[Data] >= c[Compressed]:
		return pick(glyphs[Data], stored)
	case c[Compressed] > 0:
		return pick(glyphs[Compressed], stored)
	case c[Zero] > 0:
		return pick(glyphs[Zero], c.Share(Zero))
	default:
		return glyphs[Hole][0]
	}
}

// pick returns the first glyph for a share of 1, and divides the rest among
// the others.
func pick(g []glyph, share float64) glyph {
	if share >= 1 {
		return g[0]
	}
	i := 1 + int((1-share)*float64(len(g)-1))
	return g[min(i, len(g)-1)]
}

// WriteText writes the map as a picture of characters with its totals.
func (m *Map) WriteText(w io.Writer, style TextStyle) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  virtual size %s  file size %s\n\n", cli.Clean(m.Source), m.kind(), progress.Bytes(m.Size), progress.Bytes(m.FileSize))
	if !style.NoGrid {
		m.textGrid(&b, style.Colour)
		legend(&b, style.Colour)
		fmt.Fprintf(&b, "  one character: %s\n\n", offsetLabel(m.Grid.CellBytes))
	}
	head := []string{"", ">BYTES", ">SHARE", ">EXTENTS", ">AVERAGE", ">LARGEST"}
	if err := cli.Table(&b, head, m.Totals.rows()); err != nil {
		return err
	}
	if s := m.Totals.order(); s != "" {
		fmt.Fprintf(&b, "\n%s\n", s)
	}
	if !m.HolesKnown {
		fmt.Fprintf(&b, "%s\n", unknownHoles)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// textGrid writes the rows with their offsets. A colour is set once for a run
// of cells.
func (m *Map) textGrid(b *strings.Builder, colour bool) {
	for row, label := range m.Grid.axis(1) {
		fmt.Fprintf(b, "%*s  ", labelWidth, label)
		first := row * m.Grid.Columns
		p := pen{b: b, on: colour}
		for _, c := range m.Cells[first:min(first+m.Grid.Columns, len(m.Cells))] {
			p.put(look(c))
		}
		p.lift()
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// legend writes what the characters mean.
func legend(b *strings.Builder, colour bool) {
	for c, part := range [Classes]string{"data (▓▒░ part)", "compressed (c part)", "zeros (o part)", "hole"} {
		b.WriteString([]string{"", "  "}[min(c, 1)])
		p := pen{b: b, on: colour}
		p.put(glyphs[c][0])
		p.lift()
		b.WriteString(" " + part)
	}
	b.WriteByte('\n')
}

// A pen writes glyphs, in colours if it is on.
type pen struct {
	b   *strings.Builder
	on  bool
	now int // the colour that is set, 0 for none
}

func (p *pen) put(g glyph) {
	if p.on && p.now != g.colour {
		fmt.Fprintf(p.b, "\x1b[%dm", g.colour)
		p.now = g.colour
	}
	p.b.WriteRune(g.char)
}

func (p *pen) lift() {
	if p.now != 0 {
		p.b.WriteString("\x1b[0m")
		p.now = 0
	}
}
