package diskmap

import (
	"fmt"
	"iter"

	"ingest/formats"
)

// A Head says what disk a map is of.
type Head struct {
	Source     string // as the user named it; may hold anything
	Format     string
	Subformat  string
	Size       int64 // virtual size, bytes
	FileSize   int64 // bytes
	HolesKnown bool  // if not, the source tells no holes, and all counts as data
}

// HeadOf returns the head of a disk.
func HeadOf(source string, d formats.Disk) Head {
	info := d.Info()
	return Head{
		Source: source, Format: string(info.Format), Subformat: info.Subformat,
		Size: d.Size(), FileSize: info.FileSize, HolesKnown: info.HolesKnown,
	}
}

// A Map is a disk seen from afar.
type Map struct {
	Head
	Grid   Grid
	Cells  []Cell // Grid.Len() of them
	Totals Totals
}

// Build makes a map of the extents, which must cover the disk from its begin
// to its end without gaps, as formats.Extents does. It returns the first error
// that they yield.
func Build(h Head, extents iter.Seq2[formats.Extent, error], columns, rows int) (*Map, error) {
	m := &Map{Head: h, Grid: NewGrid(h.Size, columns, rows)}
	m.Cells = make([]Cell, m.Grid.Len())
	for e, err := range covering(extents, h.Size) {
		if err != nil {
			return nil, err
		}
		m.Totals.Add(e)
		m.count(e)
	}
	return m, nil
}

// count adds an extent to the cells that it touches.
func (m *Map) count(e formats.Extent) {
	class, size := ClassOf(e), m.Grid.CellBytes
	for off := e.Off; off < e.End(); {
		i := off / size
		n := min(e.End()-off, size-off%size)
		m.Cells[i][class] += n
		off += n
	}
}

// covering passes extents on and ends with an error where they do not cover
// [0, size) one behind the other: sums would be wrong in silence.
func covering(extents iter.Seq2[formats.Extent, error], size int64) iter.Seq2[formats.Extent, error] {
	return func(yield func(formats.Extent, error) bool) {
		var off int64
		for e, err := range extents {
			if err == nil && (e.Off != off || e.Len <= 0 || e.Len > size-off) {
				err = fmt.Errorf("map a disk of %d bytes: extent [%d, +%d) does not follow on %d", size, e.Off, e.Len, off)
			}
			if err != nil {
				yield(formats.Extent{}, err)
				return
			}
			off = e.End()
			if !yield(e, nil) {
				return
			}
		}
		if off != size {
			yield(formats.Extent{}, fmt.Errorf("map a disk of %d bytes: the extents end at %d", size, off))
		}
	}
}
