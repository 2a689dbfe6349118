package vhdx

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Payload BAT entry states (2.5.1.1).
const (
	blockNotPresent       = 0
	blockUndefined        = 1
	blockZero             = 2
	blockUnmapped         = 3
	blockUnmappedDraft    = 5 // version 0.95 of the specification
	blockFullyPresent     = 6
	blockPartiallyPresent = 7

	entryState    = 1<<3 - 1
	entryReserved = 1<<20 - 1 - entryState
	entryOffset   = ^uint64(1<<20 - 1)
)

const (
	batEntryBytes = 8
	// pieceBytes of the BAT are read and cached at once. They cover 8 GiB of
	// guest with blocks of 1 MiB and 256 GiB with Hyper-V's 32 MiB.
	pieceBytes   = 64 * kib
	pieceEntries = pieceBytes / batEntryBytes
)

// A bat is the block allocation table (2.5), read in pieces when they are
// needed. Looking an entry up takes no lock and allocates nothing while its
// piece is cached.
type bat struct {
	img     *image
	off     int64 // host offset
	ratio   int64 // chunk ratio, a power of two
	shift   int   // its logarithm
	blocks  int64 // payload blocks
	entries int64 // with those of sector bitmap blocks
	child   bool  // the disk has a parent
	slots   []slot
	spare   sync.Pool // of *[pieceBytes]byte: pieces of holes are not kept
}

// A slot caches one of the pieces whose index falls into it.
type slot struct {
	mu    sync.Mutex // held while a piece is read, so that it is read once
	piece atomic.Pointer[piece]
}

// A piece is a part of the BAT as it lies in the file.
type piece struct {
	index int64
	raw   []byte // nil if no block is present and all are in one state
	state formats.State
}

// newBAT returns the table that lies in the region, which is inside the image,
// or says that the region is too short for it.
func newBAT(img *image, region formats.Range, m *metadata, lim formats.Limits) (*bat, error) {
	b := &bat{img: img, off: region.Off, child: m.child()}
	block := int64(m.blockSize)
	// A sector bitmap block has 2^23 bits, one for each logical sector (2.4).
	b.ratio = int64(m.logical) << 23 / block
	b.shift = bits.TrailingZeros64(uint64(b.ratio))
	b.blocks = binio.DivCeil(int64(m.size), block)
	b.entries = b.blocks + (b.blocks-1)>>b.shift
	if b.child { // the last chunk has a sector bitmap block too
		b.entries = b.bitmap((b.blocks-1)>>b.shift) + 1
	}
	if need := b.entries * batEntryBytes; need > region.Len() {
		return nil, place{"region table", "Length", -1}.refuse(errcode.VHDXRegion, region.Len(), fmt.Sprintf("%d or more", need),
			"a BAT of %d bytes is too short for %d blocks", region.Len(), b.blocks)
	}
	const overhead = 128 // slot, struct and allocation rounding
	b.slots = make([]slot, max(1, min(binio.DivCeil(b.entries, pieceEntries), lim.CacheBytes/(pieceBytes+overhead))))
	return b, nil
}

// index returns where in the table the entry of payload block i is.
func (b *bat) index(i int64) int64 { return i + i>>b.shift }

// payload returns the first payload block whose entry is at or after index.
func (b *bat) payload(index int64) int64 {
	chunk, in := index/(b.ratio+1), index%(b.ratio+1)
	return chunk<<b.shift + in
}

// bitmap returns where in the table the entry of a chunk's sector bitmap block
// is.
func (b *bat) bitmap(chunk int64) int64 { return chunk*(b.ratio+1) + b.ratio }

// isBitmap reports whether the entry is that of a sector bitmap block.
func (b *bat) isBitmap(index int64) bool { return index%(b.ratio+1) == b.ratio }

// read fills buf, of pieceBytes, with the piece of the given index and returns
// what the table has of it.
func (b *bat) read(index int64, buf []byte) ([]byte, error) {
	at := b.off + index*pieceBytes
	p := buf[:min(pieceBytes, b.off+b.entries*batEntryBytes-at)]
	if err := binio.ReadFull(b.img, p, at); err != nil {
		return nil, place{"BAT", "", at}.unread(err)
	}
	return p, nil
}

// piece returns the piece with the given index.
func (b *bat) piece(index int64) (*piece, error) {
	s := &b.slots[index%int64(len(b.slots))]
	if p := s.piece.Load(); p != nil && p.index == index {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.piece.Load(); p != nil && p.index == index {
		return p, nil
	}
	buf, ok := b.spare.Get().(*[pieceBytes]byte)
	if !ok {
		buf = new([pieceBytes]byte)
	}
	raw, err := b.read(index, buf[:])
	if err != nil {
		b.spare.Put(buf)
		return nil, err
	}
	p := &piece{index: index}
	if state, ok := b.even(index*pieceEntries, raw); ok {
		b.spare.Put(buf)
		p.state = state
	} else {
		p.raw = raw
	}
	s.piece.Store(p)
	return p, nil
}

// even reports whether all payload entries are of one state that is not data,
// and of which, and nothing is lost by keeping only that. first is the index of
// the first entry.
func (b *bat) even(first int64, raw []byte) (formats.State, bool) {
	want := binary.LittleEndian.Uint64(raw)
	if b.isBitmap(first) && len(raw) > batEntryBytes {
		want = binary.LittleEndian.Uint64(raw[batEntryBytes:])
	}
	state, ok := b.stateOf(want)
	if !ok || state == formats.Data {
		return 0, false
	}
	if want == 0 && binio.IsZero(raw) {
		return state, true
	}
	for i := first; len(raw) > 0; i, raw = i+1, raw[batEntryBytes:] {
		if v := binary.LittleEndian.Uint64(raw); b.isBitmap(i) {
			if b.child && v != 0 {
				return 0, false
			}
		} else if v != want {
			return 0, false
		}
	}
	return state, true
}

// entry returns the entry at the given index of the table, which lies in the
// piece, whose raw is not nil.
func (p *piece) entry(index int64) uint64 {
	return binary.LittleEndian.Uint64(p.raw[index%pieceEntries*batEntryBytes:])
}

// stateOf returns what a payload entry says, and whether the disk may have such
// an entry. A hole of a disk that has a parent is the parent's; a block of
// which something is present is data.
func (b *bat) stateOf(entry uint64) (formats.State, bool) {
	if entry&entryReserved != 0 {
		return 0, false
	}
	switch entry & entryState {
	case blockNotPresent:
		return formats.Hole, true
	case blockUndefined, blockZero, blockUnmapped, blockUnmappedDraft:
		return formats.Zero, true
	case blockFullyPresent:
		return formats.Data, true
	case blockPartiallyPresent:
		return formats.Data, b.child
	}
	return 0, false
}

// fault returns the error of an entry that stateOf does not know.
func (b *bat) fault(i int64, entry uint64) error {
	where := b.place(i)
	if entry&entryState == blockPartiallyPresent && !b.child {
		return where.refuse(errcode.TableBounds, hex(entry), "", "block %d is partially present in a disk that has no parent", i)
	}
	return where.refuse(errcode.TableBounds, hex(entry), "", "the BAT entry of block %d has a state or bits that are reserved", i)
}

// place is where the entry of payload block i lies.
func (b *bat) place(i int64) place { return b.placeOf(b.index(i)) }

// placeOf is where the entry with the given index lies.
func (b *bat) placeOf(index int64) place {
	return place{fmt.Sprintf("BAT entry %d", index), "", b.off + index*batEntryBytes}
}
