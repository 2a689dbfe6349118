package diskmap

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"ingest/internal/cli"
	"ingest/internal/progress"
)

// A Use is what a part of a disk is for, as far as its picture goes.
type Use uint8

// The uses, in the order of the legend.
const (
	Files  Use = iota // a file system
	Boot              // read by firmware or by boot code
	Other             // swap, encrypted, a volume manager's
	Opaque            // nothing that is recognised
	Free              // between the parts
)

// Uses is the number of uses.
const Uses = 5

// String returns the use's name.
func (u Use) String() string {
	return [Uses]string{"files", "boot", "swap, volumes", "not recognised", "free"}[u]
}

// A Part is one partition of a layout.
type Part struct {
	Name     string // its number, "disk" for a disk without partitions
	Off, Len int64  // guest offset and bytes
	Type     string // as the table calls it
	Contents string // what is recognised in it
	Label    string
	Use      Use
}

// A Layout is how a disk is divided into partitions.
type Layout struct {
	Source string
	Kind   string // such as "GPT, sectors of 512 bytes"
	Size   int64  // of the disk, bytes
	Parts  []Part
}

// minGap is the least gap that shows as free: partitions are aligned to 1 MiB.
const minGap = 2 << 20

// A segment is what is drawn as one box.
type segment struct {
	part  Part
	width int // characters or pixels
}

// segments returns the parts with the gaps between them in their order, and a width for
// each: their share of the given width, but at least least. What lies within another
// part has no box of its own, nor has what there is no room for.
func (l Layout) segments(width, least int) []segment {
	parts := slices.Clone(l.Parts)
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(a.Off, b.Off) })
	room := max(width/least, 1)
	var out []segment
	at := int64(0)
	for _, p := range parts {
		end := min(p.Off+p.Len, l.Size)
		if end <= at || p.Off >= l.Size {
			continue
		}
		if p.Off-at >= minGap {
			out = append(out, segment{part: Part{Off: at, Len: p.Off - at, Use: Free}})
		}
		p.Len = end - max(p.Off, at)
		out = append(out, segment{part: p})
		at = end
	}
	if l.Size-at >= minGap {
		out = append(out, segment{part: Part{Off: at, Len: l.Size - at, Use: Free}})
	}
	out = out[:min(len(out), room)]
	spread(out, width, least)
	return out
}

// spread divides the width: each segment gets the least, and the rest goes by length.
func spread(out []segment, width, least int) {
	var total float64
	for _, s := range out {
		total += float64(s.part.Len)
	}
	rest := width - least*len(out)
	var sum float64
	begin := 0
	for i := range out {
		// Borders are rounded, not widths, so that they add up.
		sum += float64(out[i].part.Len)
		end := int(sum/max(total, 1)*float64(rest) + 0.5)
		out[i].width = least + end - begin
		begin = end
	}
}

// leastBox is the least width of a box in characters, with its left border.
const leastBox = 4

// WriteText writes the layout as a row of boxes with a table below it, for a screen
// of the given width in characters.
func (l Layout) WriteText(w io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", cli.Clean(l.Kind))
	l.boxes(&b, min(max(width, 40), 160)-1)
	var rows [][]string
	for _, p := range l.Parts {
		rows = append(rows, p.row())
	}
	if len(rows) > 0 {
		b.WriteByte('\n')
		if err := cli.Table(&b, []string{"", ">BEGIN", ">SIZE", "TYPE", "CONTENTS", "LABEL"}, rows); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row returns the cells of the table.
func (p Part) row() []string {
	return []string{p.Name, offsetLabel(p.Off), progress.Bytes(p.Len), p.Type, p.Contents, p.Label}
}

// boxes draws the segments: borders, and two lines of text in each.
func (l Layout) boxes(b *strings.Builder, width int) {
	all := l.segments(width, leastBox)
	if len(all) == 0 {
		return
	}
	var lines [4]strings.Builder
	for i, s := range all {
		bar := "─"
		if s.part.Use == Free {
			bar = "·"
		}
		corner := [2][2]string{{"┌", "└"}, {"┬", "┴"}}[min(i, 1)]
		lines[0].WriteString(corner[0] + strings.Repeat(bar, s.width-1))
		lines[3].WriteString(corner[1] + strings.Repeat(bar, s.width-1))
		first, second := s.part.Name, s.part.Contents
		if s.part.Use == Free {
			first, second = "free", progress.Bytes(s.part.Len)
		}
		lines[1].WriteString("│" + fit(first, s.width-1))
		lines[2].WriteString("│" + fit(second, s.width-1))
	}
	for i, end := range [...]string{"┐", "│", "│", "┘"} {
		b.WriteString(lines[i].String() + end + "\n")
	}
}

// fit cuts or fills a text to n characters.
func fit(s string, n int) string {
	r := []rune(cli.Clean(s))
	if len(r) > n {
		return string(r[:n])
	}
	return string(r) + strings.Repeat(" ", n-len(r))
}
