package vdi

import (
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"

	"ingest/internal/binio"
)

const (
	entryBytes = 4
	// pieceEntries is how many entries are read and kept together: 32 KiB,
	// so that a remote file is not asked for each entry.
	pieceEntries = 8 << 10
	// walkEntries is how many entries a walk over the whole map reads at once.
	walkEntries = 64 << 10
)

// The entries that name no place.
const (
	entryHole = 0xFFFFFFFF
	entryZero = 0xFFFFFFFE
)

// A bmap is the block map, read in pieces. Each piece is kept in the one slot
// that its index falls into. Looking one up takes no lock; two readers that
// miss at once read the piece twice, which is harmless.
type bmap struct {
	r     io.ReaderAt
	off   int64 // host offset
	n     int64 // entries that the virtual size needs
	slots []atomic.Pointer[piece]
}

// A piece is a run of entries as they lie in the file.
type piece struct {
	first   int64 // index of its first entry
	entries []byte
}

// newBmap returns a map of n entries that keeps at most limit bytes, but at
// least one piece.
func newBmap(r io.ReaderAt, off, n, limit int64) *bmap {
	const overhead = 64 // slot, struct and allocation rounding
	pieces := binio.DivCeil(n, pieceEntries)
	kept := max(1, min(pieces, limit/(pieceEntries*entryBytes+overhead)))
	return &bmap{r: r, off: off, n: n, slots: make([]atomic.Pointer[piece], kept)}
}

// piece returns the piece that holds entry i.
func (m *bmap) piece(i int64) (*piece, error) {
	index := i / pieceEntries
	slot := &m.slots[index%int64(len(m.slots))]
	first := index * pieceEntries
	if p := slot.Load(); p != nil && p.first == first {
		return p, nil
	}
	p := &piece{first: first, entries: make([]byte, min(pieceEntries, m.n-first)*entryBytes)}
	if err := m.read(p.entries, first); err != nil {
		return nil, err
	}
	slot.Store(p)
	return p, nil
}

// read fills q with the entries from number first on.
func (m *bmap) read(q []byte, first int64) error {
	at := m.off + first*entryBytes
	if err := binio.ReadFull(m.r, q, at); err != nil {
		return place{"block map", "", at}.unread(err)
	}
	return nil
}

// end returns the index behind the piece's last entry.
func (p *piece) end() int64 { return p.first + int64(len(p.entries))/entryBytes }

// entry returns entry i of the map, which the piece holds.
func (p *piece) entry(i int64) uint32 {
	return binary.LittleEndian.Uint32(p.entries[(i-p.first)*entryBytes:])
}

// sameUntil returns the index of the first entry from i on, but before stop,
// that is another one than entry, or stop. Long holes are why it looks at two
// entries at a time.
func (p *piece) sameUntil(i, stop int64, entry uint32) int64 {
	q := p.entries[(i-p.first)*entryBytes : (stop-p.first)*entryBytes]
	pair := uint64(entry)<<32 | uint64(entry)
	for len(q) >= 2*entryBytes && binary.LittleEndian.Uint64(q) == pair {
		q = q[2*entryBytes:]
	}
	i = stop - int64(len(q))/entryBytes
	for i < stop && p.entry(i) == entry {
		i++
	}
	return i
}

// each calls fn for every entry that names a place, in guest order. It passes
// the cache by.
func (m *bmap) each(ctx context.Context, fn func(i int64, entry uint32) error) error {
	buf := make([]byte, min(walkEntries, m.n)*entryBytes)
	for first := int64(0); first < m.n; first += walkEntries {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := piece{first: first, entries: buf[:min(walkEntries, m.n-first)*entryBytes]}
		if err := m.read(p.entries, first); err != nil {
			return err
		}
		for i := first; i < p.end(); {
			e := p.entry(i)
			if e >= entryZero {
				i = p.sameUntil(i, p.end(), e)
				continue
			}
			if err := fn(i, e); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}
