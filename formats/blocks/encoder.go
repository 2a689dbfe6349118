package blocks

import (
	"context"
	"encoding/binary"
	"hash/crc32"

	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/formats/transfer"
	"ingest/internal/binio"
)

// sparseGrain is the piece of zeros inside a stored block that is not written.
const sparseGrain = 4 << 10

// An Encoder writes an image in one forward pass over a source that cannot tell
// its holes: a block is stored if any of its bytes is not zero.
type Encoder struct {
	Target Target
	// Engine copies the bytes. A Digest that it carries must be as far as the
	// checkpoint that Encode is given.
	Engine transfer.Engine
}

var _ formats.Encoder = Encoder{}

// Codec names the target's options and the version of its layout.
func (e Encoder) Codec() string { return e.Target.Codec() + " forward" }

// Head returns the length of the headers and tables, which are written last.
func (e Encoder) Head(size int64) int64 {
	l, err := layoutOf(e.Target, size)
	if err != nil {
		return 0
	}
	return l.Shape().Head
}

// Encode writes src to dst. It goes on at the checkpoint if that was made by
// the same codec for a disk of the same size, and starts from the beginning if
// not.
func (e Encoder) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	l, err := layoutOf(e.Target, src.Size())
	if err != nil {
		return formats.Summary{}, err
	}
	b := newBuilder(dst, l)
	start := int64(0)
	if from.Codec == e.Codec() && b.restore(from, src.Size()) {
		start = from.Off
	} else {
		b = newBuilder(dst, l)
	}
	deliver := func(u *transfer.Unit) error {
		if err := b.unit(u); err != nil {
			return err
		}
		end := u.Off + u.Len
		if end%transfer.UnitBytes != 0 {
			return nil
		}
		return dst.Checkpoint(ctx, func() formats.Checkpoint { return b.checkpoint(e.Codec(), end) })
	}
	engine := e.Engine
	if err := engine.Run(ctx, src, start, src.Size(), nil, deliver); err != nil {
		return formats.Summary{}, err
	}
	p, err := newPlan(l, src, b.stored, e.Target.Codec())
	if err != nil {
		return formats.Summary{}, err
	}
	return p.Summary(), b.finish(ctx, p)
}

// A builder keeps which blocks are stored so far.
type builder struct {
	dst    formats.Sink
	layout Layout
	shape  Shape
	stored *rankmap.Map
	count  int64 // stored blocks
	last   int64 // the last of them, -1 if there is none
	head   []byte
	pieces []transfer.Piece
}

func newBuilder(dst formats.Sink, l Layout) *builder {
	s := l.Shape()
	b := &builder{dst: dst, layout: l, shape: s, stored: rankmap.New(s.Blocks()), last: -1}
	if s.BlockHead > 0 {
		b.head = make([]byte, s.BlockHead)
		l.BlockHead(b.head, 0)
	}
	return b
}

// unit writes what is not zero of a unit.
func (b *builder) unit(u *transfer.Unit) error {
	if u.Data == nil {
		return nil
	}
	grain := min(sparseGrain, b.shape.BlockSize)
	b.pieces = transfer.Pieces(b.pieces[:0], u.Data, int(grain))
	for _, pc := range b.pieces {
		if err := b.piece(u.Data[pc.Start:pc.End], u.Off+int64(pc.Start)); err != nil {
			return err
		}
	}
	return nil
}

// piece writes guest bytes that are not all zero. Blocks without heads follow
// each other in one piece of the output, and are written as one.
func (b *builder) piece(p []byte, off int64) error {
	s := b.shape
	for len(p) > 0 {
		first := off / s.BlockSize
		k := int64(len(p))
		if s.BlockHead > 0 {
			k = min(k, (first+1)*s.BlockSize-off)
		}
		at, err := b.place(first, (off+k-1)/s.BlockSize)
		if err != nil {
			return err
		}
		if _, err := b.dst.WriteAt(p[:k], at+off%s.BlockSize); err != nil {
			return err
		}
		p, off = p[k:], off+k
	}
	return nil
}

// place stores the blocks from first to last and returns where the data of the
// first begin.
func (b *builder) place(first, last int64) (int64, error) {
	s := b.shape
	if first != b.last {
		if err := b.begin(first); err != nil {
			return 0, err
		}
	}
	at := s.Head + (b.count-1)*s.hostBlock() + s.BlockHead
	if last > first {
		b.stored.SetRange(first, last+1)
		b.count, b.last = b.count+last-first, last
	}
	return at, nil
}

// begin stores another block.
func (b *builder) begin(block int64) error {
	b.stored.SetRange(block, block+1)
	b.count++
	b.last = block
	if len(b.head) == 0 {
		return nil
	}
	_, err := b.dst.WriteAt(b.head, b.shape.Head+(b.count-1)*b.shape.hostBlock())
	return err
}

// finish writes the tail and then the head.
func (b *builder) finish(ctx context.Context, p *plan) error {
	if err := b.put(ctx, p, p.end, p.Size()); err != nil {
		return err
	}
	return b.put(ctx, p, 0, p.shape.Head)
}

// put writes a range of the plan's metadata in pieces, but for those of zeros.
func (b *builder) put(ctx context.Context, p *plan, off, end int64) error {
	buf := make([]byte, min(1<<20, end-off))
	for off < end {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		q := buf[:min(int64(len(buf)), end-off)]
		if _, err := p.ReadAt(q, off); err != nil {
			return err
		}
		if !binio.IsZero(q) {
			if _, err := b.dst.WriteAt(q, off); err != nil {
				return err
			}
		}
		off += int64(len(q))
	}
	return nil
}

// A checkpoint's State holds, in big-endian words of 8 bytes, the version of
// this list, the virtual size, the guest offset and the count of stored blocks;
// then the set of stored blocks; and at the end a CRC-32 of it all.
const (
	stateVersion = 1
	stateWords   = 4
	stateSum     = 4
)

// checkpoint returns where the builder can be set up again.
func (b *builder) checkpoint(codec string, off int64) formats.Checkpoint {
	var p []byte
	for _, w := range []int64{stateVersion, b.shape.VirtualSize, off, b.count} {
		p = binary.BigEndian.AppendUint64(p, uint64(w))
	}
	p = b.stored.AppendBinary(p, binio.DivCeil(off, b.shape.BlockSize))
	p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return formats.Checkpoint{Codec: codec, Off: off, HostOff: b.hostOff(off), State: p}
}

// hostOff returns up to where the output is written when the guest's bytes before
// off are: the last block may still be open.
func (b *builder) hostOff(off int64) int64 {
	end := b.shape.Head + b.count*b.shape.hostBlock()
	return end - max(0, (b.last+1)*b.shape.BlockSize-off)
}

// restore sets a fresh builder up from a checkpoint. It reports false, and
// leaves the builder unusable, if the checkpoint does not fit.
func (b *builder) restore(from formats.Checkpoint, size int64) bool {
	n := len(from.State) - stateSum
	if from.Off <= 0 || from.Off > size || from.Off%transfer.UnitBytes != 0 || n < 8*stateWords ||
		crc32.ChecksumIEEE(from.State[:n]) != binary.BigEndian.Uint32(from.State[n:]) {
		return false
	}
	word := func(i int) int64 { return int64(binary.BigEndian.Uint64(from.State[8*i:])) }
	end := binio.DivCeil(from.Off, b.shape.BlockSize)
	if word(0) != stateVersion || word(1) != b.shape.VirtualSize || word(2) != from.Off ||
		!b.stored.SetBinary(from.State[8*stateWords:n], end) {
		return false
	}
	b.stored.Seal()
	b.count, b.last = b.stored.Len(), -1
	if b.count > 0 {
		b.last = b.stored.Pick(b.count - 1)
	}
	return b.count == word(3) && b.last < end
}
