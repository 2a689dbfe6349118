// Package transfer is the one place where disk bytes are copied. An Engine
// walks a disk's extents, cuts them into units, reads and works on the units in
// parallel, and delivers them in order, within a fixed amount of memory
// whatever the disk's size. It takes the content digest on the way.
package transfer

import (
	"context"
	"errors"
	"runtime"

	"ingest/formats"
	"ingest/formats/content"
)

// UnitBytes is the size of a unit of data: one block of the content digest, and
// a whole number of clusters of every format whose clusters are not larger.
const UnitBytes = content.BlockBytes

// DefaultMemory is how much an engine may hold in flight, bytes.
const DefaultMemory = 64 << 20

// An Engine holds what one copy needs. The zero value works.
type Engine struct {
	// Workers is how many units are worked on at once; 0 means one for each
	// core.
	Workers int
	// Memory bounds the bytes in flight; 0 means DefaultMemory.
	Memory int64
	// Digest, if set, is fed with every unit in order. A run that starts at
	// from > 0 needs one that has seen everything before.
	Digest *content.Hasher
	// Tap, if set, is given every unit in order, before it is delivered. Whoever
	// takes a digest of all bytes in order hangs it here.
	Tap func(u *Unit)
	// TapLeaf, if set, is called in place of Tap with units of data, and returns
	// their leaves, which workers then do not take: two digests of the same bytes
	// cost little more than one.
	TapLeaf func(u *Unit) content.Leaf
	// Progress, if set, is called after each delivered unit with the guest
	// offset reached. It must be quick.
	Progress func(off int64)
	// Window, if set, bounds how far the reads run ahead of what is safe. It is of
	// one run.
	Window *Window
}

// ErrDigestElsewhere means that a copy begins where its digest does not stand: an
// encoder could not go on at the checkpoint to which the digest belongs.
var ErrDigestElsewhere = errors.New("the digest stands elsewhere")

// A Unit is a run of guest bytes in flight.
type Unit struct {
	Off int64 // guest offset; a multiple of UnitBytes
	Len int64 // bytes. At most UnitBytes if Data is set; any length if not
	// Data holds the guest bytes; nil means that they are all zero. It is
	// valid until Deliver returns.
	Data []byte
	// Out is the worker's result, for Deliver. Buf is scratch that stays with
	// the unit's slot from one use to the next, so that workers need not
	// allocate: append to Buf[:0] and keep the grown slice.
	Out any
	Buf []byte

	leaf content.Leaf
}

// Work works on a unit of data (never on zeros). worker is the number of the
// calling goroutine, 0 <= worker < Workers, for state kept by worker.
type Work func(ctx context.Context, worker int, u *Unit) error

// Deliver takes the units in order of Off, without gaps, one at a time.
type Deliver func(u *Unit) error

// NumWorkers returns how many workers Run uses.
func (e *Engine) NumWorkers() int {
	if e.Workers > 0 {
		return e.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Run copies the guest bytes [from, to) of src through work (may be nil) to
// deliver (may be nil). from must be a multiple of UnitBytes. Extents that are
// not data are never read; a unit of data that holds only zeros is delivered as
// zeros. It returns the first error.
func (e *Engine) Run(ctx context.Context, src formats.Disk, from, to int64, work Work, deliver Deliver) error {
	return e.run(ctx, src, from, to, work, deliver)
}
