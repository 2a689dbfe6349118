package diskmap

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"ingest/internal/progress"
)

// labelWidth is the most characters of an offset's label.
const labelWidth = 9

// inUnit writes n exactly in the unit of 1024^unit bytes.
func inUnit(n int64, unit int) string {
	names := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v := float64(n) / float64(int64(1)<<(10*unit))
	return strconv.FormatFloat(v, 'f', -1, 64) + " " + names[unit]
}

// largestUnit is that of EiB.
const largestUnit = 6

// offsetLabel writes a guest offset in the largest binary unit in which it is
// exact and short, as in "0", "1.25 GiB", "1536 KiB"; rounded if there is none.
func offsetLabel(n int64) string {
	if n == 0 {
		return "0"
	}
	for unit := largestUnit; unit >= 0; unit-- {
		one := int64(1) << (10 * unit)
		if n < one || n%max(one/4, 1) != 0 {
			continue
		}
		if s := inUnit(n, unit); len(s) <= labelWidth {
			return s
		}
	}
	return progress.Bytes(n)
}

// axis returns the labels of every step-th row: the guest offsets at which they
// begin, in one unit for all of them if that is exact and short.
func (g Grid) axis(step int) []string {
	var offs []int64
	for row := 0; row < g.Rows(); row += step {
		offs = append(offs, g.RowOff(row))
	}
	labels := make([]string, len(offs))
	unit := axisUnit(offs)
	for i, off := range offs {
		if labels[i] = offsetLabel(off); unit >= 0 && off > 0 {
			labels[i] = inUnit(off, unit)
		}
	}
	return labels
}

// axisUnit returns the unit for offsets that are multiples of the second one:
// that in which all are whole numbers of four digits, else the largest in which
// all are short; -1 if there is none.
func axisUnit(offs []int64) int {
	if len(offs) < 2 {
		return -1
	}
	last := offs[len(offs)-1]
	whole := bits.TrailingZeros64(uint64(offs[1])) / 10
	if last>>(10*whole) < 10000 {
		return whole
	}
	for unit := largestUnit; unit >= 0; unit-- {
		short := last>>(10*unit) > 0
		for _, off := range offs {
			short = short && len(inUnit(off, unit)) <= labelWidth
		}
		if short {
			return unit
		}
	}
	return -1
}

// percent writes a share so that something is never "0%" and not all is never
// "100%".
func percent(part, whole int64) string {
	p := 100 * share(part, whole)
	switch {
	case part <= 0:
		return "0%"
	case part >= whole:
		return "100%"
	case p < 0.01:
		return "<0.01%"
	case p < 1:
		return fmt.Sprintf("%.2f%%", p)
	case p > 99.99:
		return ">99.99%"
	case p > 99:
		return fmt.Sprintf("%.2f%%", p)
	default:
		return fmt.Sprintf("%.1f%%", p)
	}
}

// kind returns format and subformat, as in "qcow2 v3".
func (h Head) kind() string {
	return strings.TrimSpace(h.Format + " " + h.Subformat)
}

// rows returns the table of totals: one row a class and the sum, with the
// columns of columnNames behind the name.
func (t *Totals) rows() [][]string {
	all := t.All()
	row := func(name string, s Sum) []string {
		if s.Extents == 0 {
			return []string{name, "0 B", "0%", "0", "", ""}
		}
		return []string{name, progress.Bytes(s.Bytes), percent(s.Bytes, all.Bytes), strconv.FormatInt(s.Extents, 10), progress.Bytes(s.Average()), progress.Bytes(s.Largest)}
	}
	var out [][]string
	for c := range Class(Classes) {
		out = append(out, row(c.String(), t.Of[c]))
	}
	return append(out, row("total", all))
}

// order says in words how the file's plain data is laid out, "" if there is none.
func (t *Totals) order() string {
	switch {
	case t.Plain == 0:
		return ""
	case t.Pieces == 1:
		return "plain data lies in order, in one piece"
	default:
		return fmt.Sprintf("plain data lies in %d pieces; %s of its extents continue the one before", t.Pieces, percent(t.Plain-t.Pieces, t.Plain-1))
	}
}

// unknownHoles tells why a map shows no holes.
const unknownHoles = "the source does not tell its holes: all counts as data"
