package parallels

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
	// walkEntries is how many entries a walk over the whole BAT reads at once.
	walkEntries = 64 << 10
)

// A bat is the BAT, read in pieces. Each piece is kept in the one slot that its
// index falls into. Looking one up takes no lock; two readers that miss at once
// read the piece twice, which is harmless.
type bat struct {
	r     io.ReaderAt
	n     int64 // entries that the virtual size needs
	slots []atomic.Pointer[piece]
}

// A piece is a run of entries as they lie in the file.
type piece struct {
	first   int64 // index of its first entry
	entries []byte
}

// newBAT returns a BAT of n entries that keeps at most limit bytes, but at
// least one piece.
func newBAT(r io.ReaderAt, n, limit int64) *bat {
	const overhead = 64 // slot, struct and allocation rounding
	pieces := binio.DivCeil(n, pieceEntries)
	kept := max(1, min(pieces, limit/(pieceEntries*entryBytes+overhead)))
	return &bat{r: r, n: n, slots: make([]atomic.Pointer[piece], kept)}
}

// piece returns the piece that holds entry i.
func (t *bat) piece(i int64) (*piece, error) {
	index := i / pieceEntries
	slot := &t.slots[index%int64(len(t.slots))]
	first := index * pieceEntries
	if p := slot.Load(); p != nil && p.first == first {
		return p, nil
	}
	p := &piece{first: first, entries: make([]byte, min(pieceEntries, t.n-first)*entryBytes)}
	if err := t.read(p.entries, first); err != nil {
		return nil, err
	}
	slot.Store(p)
	return p, nil
}

// read fills q with the entries from number first on.
func (t *bat) read(q []byte, first int64) error {
	at := headerBytes + first*entryBytes
	if err := binio.ReadFull(t.r, q, at); err != nil {
		return place{"BAT", "", at}.unread(err)
	}
	return nil
}

// end returns the index behind the piece's last entry.
func (p *piece) end() int64 { return p.first + int64(len(p.entries))/entryBytes }

// entry returns entry i of the BAT, which the piece holds.
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

// each calls fn for every entry that is not 0, in guest order. It passes the
// cache by.
func (t *bat) each(ctx context.Context, fn func(i int64, entry uint32) error) error {
	buf := make([]byte, min(walkEntries, t.n)*entryBytes)
	for first := int64(0); first < t.n; first += walkEntries {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := piece{first: first, entries: buf[:min(walkEntries, t.n-first)*entryBytes]}
		if err := t.read(p.entries, first); err != nil {
			return err
		}
		for i := p.sameUntil(first, p.end(), 0); i < p.end(); i = p.sameUntil(i+1, p.end(), 0) {
			if err := fn(i, p.entry(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
