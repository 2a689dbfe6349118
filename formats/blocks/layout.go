package blocks

import (
	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A Target is a format with its options.
type Target interface {
	// Codec names format, options and the version of the layout: all that
	// makes the output's bytes. Checkpoints of another codec do not fit.
	Codec() string
	// Layout checks the options and lays out a disk of size bytes, size > 0.
	Layout(size int64) (Layout, error)
}

// A Shape says how long the parts of an output are.
type Shape struct {
	Format      formats.Name
	VirtualSize int64 // bytes: the source's size rounded up as the format demands
	BlockSize   int64 // guest bytes of a block, a power of two of at least 512
	BlockHead   int64 // host bytes in front of the data of each stored block
	Head        int64 // host bytes in front of the first stored block
	Tail        int64 // host bytes behind the last stored block
}

// Blocks returns how many blocks the disk has; the last may be cut short by the
// disk's end.
func (s Shape) Blocks() int64 { return binio.DivCeil(s.VirtualSize, s.BlockSize) }

// hostBlock is the host bytes of a stored block.
func (s Shape) hostBlock() int64 { return s.BlockHead + s.BlockSize }

// A View is what a layout's tables depend on.
type View struct {
	Stored *rankmap.Map // the blocks that are stored, sealed
	ID     formats.ID   // tells this disk from others; for the UUIDs of headers
	End    int64        // host offset behind the last stored block
}

// A Layout says what the parts of an output hold. It is immutable and safe for
// concurrent use.
type Layout interface {
	Shape() Shape
	// Head returns what is in the head and Tail what is in the tail, ascending
	// without overlaps, with offsets from the part's begin. What they leave
	// out is zeros.
	Head(v View) []Part
	Tail(v View) []Part
	// BlockHead fills p with the bytes at off of what stands in front of each
	// stored block. It is not called if the shape has no BlockHead.
	BlockHead(p []byte, off int64)
}

// checkShape catches a layout that contradicts itself before it is written.
func checkShape(s Shape, size int64) error {
	if s.VirtualSize < size || s.BlockSize < 512 || s.BlockSize&(s.BlockSize-1) != 0 || s.Head <= 0 || s.BlockHead < 0 || s.Tail < 0 {
		return errcode.New(errcode.TargetOption, "a layout of %+v does not carry a disk of %d bytes", s, size)
	}
	return nil
}
