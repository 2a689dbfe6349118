package diskmap

import "ingest/formats"

// A Sum is what a map knows of all extents of one class.
type Sum struct {
	Bytes   int64 // guest bytes
	Extents int64
	Largest int64 // bytes of the longest extent
}

// Average returns the mean length of an extent, rounded down; 0 if there is none.
func (s Sum) Average() int64 {
	if s.Extents == 0 {
		return 0
	}
	return s.Bytes / s.Extents
}

// Totals are the sums over a disk. The zero value is that of no extents.
type Totals struct {
	Of [Classes]Sum
	// Plain counts the extents of plain data whose place in the file is known,
	// Pieces the pieces of the file that they form: 1 if all are in order.
	Plain, Pieces int64

	last formats.Extent // the last plain one
}

// Add counts an extent. Extents come in ascending order.
func (t *Totals) Add(e formats.Extent) {
	s := &t.Of[ClassOf(e)]
	s.Bytes += e.Len
	s.Extents++
	s.Largest = max(s.Largest, e.Len)
	if ClassOf(e) != Data || e.HostOff < 0 {
		return
	}
	if t.Plain == 0 || !inOrder(t.last, e) {
		t.Pieces++
	}
	t.Plain++
	t.last = e
}

// inOrder reports whether b lies in the file behind a, without a gap or with
// the gap that the disk has there too.
func inOrder(a, b formats.Extent) bool {
	gap := b.HostOff - a.HostOff - a.Len
	return gap == 0 || gap == b.Off-a.End()
}

// All returns the sum of all classes.
func (t *Totals) All() Sum {
	var all Sum
	for _, s := range t.Of {
		all.Bytes += s.Bytes
		all.Extents += s.Extents
		all.Largest = max(all.Largest, s.Largest)
	}
	return all
}

// InOrder returns the share of the plain extents behind the first that are in
// order, from 0 to 1; 1 if there is nothing to be out of order.
func (t *Totals) InOrder() float64 {
	if t.Plain < 2 {
		return 1
	}
	return share(t.Plain-t.Pieces, t.Plain-1)
}
