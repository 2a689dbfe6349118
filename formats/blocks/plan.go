package blocks

import (
	"context"
	"fmt"
	"io"
	"iter"

	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A Planner lays an image out from the source's extents: a block is stored if
// any of it is data.
type Planner struct{ Target Target }

var _ formats.Planner = Planner{}

// Plan walks the extents of src once. The plan reads src whenever its own data
// are read.
func (pl Planner) Plan(ctx context.Context, src formats.Disk) (formats.Plan, error) {
	l, err := layoutOf(pl.Target, src.Size())
	if err != nil {
		return nil, err
	}
	s := l.Shape()
	stored := rankmap.New(s.Blocks())
	for e, err := range formats.Extents(src, 0, src.Size()) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if e.State == formats.Data {
			stored.SetRange(e.Off/s.BlockSize, binio.DivCeil(e.End(), s.BlockSize))
		}
	}
	return newPlan(l, src, stored, pl.Target.Codec())
}

// Fits returns the error of a disk of size bytes that the target does not hold.
func Fits(t Target, size int64) error {
	_, err := layoutOf(t, size)
	return err
}

// layoutOf asks the target for a layout and checks it.
func layoutOf(t Target, size int64) (Layout, error) {
	if size <= 0 {
		return nil, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", size).
			With(errcode.Evidence{Structure: "source", Field: "virtual size", Value: fmt.Sprint(size)})
	}
	l, err := t.Layout(size)
	if err != nil {
		return nil, err
	}
	return l, checkShape(l.Shape(), size)
}

// A plan is an output file as a function of its source. All of it but the set of
// stored blocks is computed when it is read. It is safe for concurrent use.
type plan struct {
	layout     Layout
	shape      Shape
	src        formats.Disk
	stored     *rankmap.Map
	head, tail []Part
	end        int64 // host offset behind the last stored block
}

var _ formats.Plan = (*plan)(nil)

// newPlan seals the set of stored blocks and lays the tables out.
func newPlan(l Layout, src formats.Disk, stored *rankmap.Map, codec string) (*plan, error) {
	stored.Seal()
	id, err := formats.Identify(src, codec, stored.AppendBinary(nil, stored.Cap()))
	if err != nil {
		return nil, err
	}
	s := l.Shape()
	p := &plan{layout: l, shape: s, src: src, stored: stored, end: s.Head + stored.Len()*s.hostBlock()}
	v := View{Stored: stored, ID: id, End: p.end}
	p.head, p.tail = l.Head(v), l.Tail(v)
	return p, nil
}

// Size returns the file size in bytes.
func (p *plan) Size() int64 { return p.end + p.shape.Tail }

// Summary says what the plan writes.
func (p *plan) Summary() formats.Summary {
	return formats.Summary{Format: p.shape.Format, FileSize: p.Size(), VirtualSize: p.shape.VirtualSize}
}

// Metadata yields the head, what stands in front of each stored block, and the
// tail.
func (p *plan) Metadata() iter.Seq[formats.Range] {
	return func(yield func(formats.Range) bool) {
		s := p.shape
		if !yield(formats.Range{Off: 0, End: s.Head}) {
			return
		}
		for at := s.Head; s.BlockHead > 0 && at < p.end; at += s.hostBlock() {
			if !yield(formats.Range{Off: at, End: at + s.BlockHead}) {
				return
			}
		}
		if s.Tail > 0 {
			yield(formats.Range{Off: p.end, End: p.Size()})
		}
	}
}

// Locate returns where the guest byte at off is stored, and how many bytes from
// there on are in one piece.
func (p *plan) Locate(off int64) (hostOff, n int64) {
	s := p.shape
	if off < 0 || off >= s.VirtualSize {
		return -1, 0
	}
	b := off / s.BlockSize
	if !p.stored.Has(b) {
		return -1, min(p.stored.Next(b, true)*s.BlockSize, s.VirtualSize) - off
	}
	return p.hostOff(p.stored.Rank(b)) + off%s.BlockSize, p.runEnd(b) - off
}

// hostOff returns where the data of the stored block of the given rank begin.
func (p *plan) hostOff(rank int64) int64 {
	return p.shape.Head + rank*p.shape.hostBlock() + p.shape.BlockHead
}

// runEnd returns the guest offset up to which block b and those behind it are
// stored in one piece.
func (p *plan) runEnd(b int64) int64 {
	end := b + 1
	if p.shape.BlockHead == 0 {
		end = p.stored.Next(b, false)
	}
	return min(end*p.shape.BlockSize, p.shape.VirtualSize)
}

// NextData returns the rest of the file: it is not known to have holes.
func (p *plan) NextData(off int64) (start, end int64, err error) {
	if off < 0 {
		return 0, 0, errcode.New(errcode.BadRequest, "next data at %d", off)
	}
	return min(off, p.Size()), p.Size(), nil
}

// ReadAt computes the bytes of the file at off.
func (p *plan) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errcode.New(errcode.BadRequest, "read at negative offset %d", off)
	}
	n := 0
	for n < len(b) && off+int64(n) < p.Size() {
		q, err := p.part(b[n:], off+int64(n))
		if err != nil {
			return n, err
		}
		n += q
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// part fills as much of b as lies in the same part of the file as off.
func (p *plan) part(b []byte, off int64) (int, error) {
	s := p.shape
	clip := func(end int64) []byte { return b[:min(int64(len(b)), end-off)] }
	switch {
	case off < s.Head:
		b = clip(s.Head)
		fillParts(b, off, p.head)
		return len(b), nil
	case off >= p.end:
		b = clip(p.Size())
		fillParts(b, off-p.end, p.tail)
		return len(b), nil
	}
	rank, in := (off-s.Head)/s.hostBlock(), (off-s.Head)%s.hostBlock()
	if in < s.BlockHead {
		b = clip(off - in + s.BlockHead)
		clear(b)
		p.layout.BlockHead(b, in)
		return len(b), nil
	}
	return p.readData(b, rank, in-s.BlockHead, off)
}

// readData reads guest bytes from in bytes into the stored block of the given
// rank, up to the end of what is in one piece.
func (p *plan) readData(b []byte, rank, in, off int64) (int, error) {
	s := p.shape
	block := p.stored.Pick(rank)
	guest := block*s.BlockSize + in
	if end := p.runEnd(block); guest < end {
		b = b[:min(int64(len(b)), end-guest)]
	} else {
		b = b[:min(int64(len(b)), s.BlockSize-in)] // what the disk's end leaves of its last block
	}
	stored := b[:max(0, min(int64(len(b)), p.src.Size()-guest))]
	clear(b[len(stored):])
	if len(stored) == 0 {
		return len(b), nil
	}
	if _, err := formats.ReadData(p.src, stored, guest); err != nil {
		return 0, fmt.Errorf("read guest data for output offset %d: %w", off, err)
	}
	return len(b), nil
}
