package diskmap

import "ingest/formats"

// A Class is what a map tells apart.
type Class uint8

// The classes, in the order in which they are listed.
const (
	Data       Class = iota // bytes stored as they are
	Compressed              // bytes stored compressed
	Zero                    // stored as zeros: allocated, or marked as zero
	Hole                    // never written
)

// Classes is the number of classes.
const Classes = 4

// String returns the class's name.
func (c Class) String() string {
	return [Classes]string{"data", "compressed", "zero", "hole"}[c]
}

// ClassOf returns the class of an extent.
func ClassOf(e formats.Extent) Class {
	switch {
	case e.State == formats.Hole:
		return Hole
	case e.State == formats.Zero:
		return Zero
	case e.Compressed:
		return Compressed
	default:
		return Data
	}
}

// A Cell counts the bytes of each class in one run of guest bytes.
type Cell [Classes]int64

// Bytes returns how many guest bytes the cell stands for.
func (c Cell) Bytes() int64 {
	var n int64
	for _, b := range c {
		n += b
	}
	return n
}

// Share returns the share of the given classes in the cell, from 0 to 1; 0 for
// a cell without bytes.
func (c Cell) Share(classes ...Class) float64 {
	var n int64
	for _, k := range classes {
		n += c[k]
	}
	return share(n, c.Bytes())
}

// share returns part/whole, and 0 of nothing.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
