// Package table reads the large flat tables of disk formats in pieces: little
// endian 32-bit entries, one for each block or cluster of the guest, such as the
// block map of a VDI or the BAT of a Parallels image. A table is never held
// whole, so that its size, which is input, costs no memory.
package table

import (
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"

	"ingest/internal/binio"
)

// EntryBytes is the size of an entry.
const EntryBytes = 4

const (
	// pieceEntries is how many entries are read and kept together: 32 KiB,
	// so that a remote file is not asked for each entry.
	pieceEntries = 8 << 10
	// walkEntries is how many entries a walk over the whole table reads at
	// once.
	walkEntries = 64 << 10
)

// A Table is read in pieces. Each piece is kept in the one slot that its index
// falls into. Looking one up takes no lock; two readers that miss at once read
// the piece twice, which is harmless.
type Table struct {
	r     io.ReaderAt
	off   int64
	n     int64
	fault func(off int64, err error) error
	slots []atomic.Pointer[Piece]
}

// A Piece is a run of entries as they lie in the file.
type Piece struct {
	first   int64 // index of its first entry
	entries []byte
}

// New returns the table of n entries at host offset off. It keeps at most limit
// bytes of it, but at least one piece. fault makes the error of a failed read.
func New(r io.ReaderAt, off, n, limit int64, fault func(off int64, err error) error) *Table {
	const overhead = 64 // slot, struct and allocation rounding
	pieces := binio.DivCeil(n, pieceEntries)
	kept := max(1, min(pieces, limit/(pieceEntries*EntryBytes+overhead)))
	return &Table{r: r, off: off, n: n, fault: fault, slots: make([]atomic.Pointer[Piece], kept)}
}

// Place returns the host offset of entry i.
func (t *Table) Place(i int64) int64 { return t.off + i*EntryBytes }

// Piece returns the piece that holds entry i.
func (t *Table) Piece(i int64) (*Piece, error) {
	index := i / pieceEntries
	slot := &t.slots[index%int64(len(t.slots))]
	first := index * pieceEntries
	if p := slot.Load(); p != nil && p.first == first {
		return p, nil
	}
	p := &Piece{first: first, entries: make([]byte, min(pieceEntries, t.n-first)*EntryBytes)}
	if err := t.read(p.entries, first); err != nil {
		return nil, err
	}
	slot.Store(p)
	return p, nil
}

// read fills q with the entries from number first on.
func (t *Table) read(q []byte, first int64) error {
	if err := binio.ReadFull(t.r, q, t.Place(first)); err != nil {
		return t.fault(t.Place(first), err)
	}
	return nil
}

// End returns the index behind the piece's last entry.
func (p *Piece) End() int64 { return p.first + int64(len(p.entries))/EntryBytes }

// Entry returns entry i of the table, which the piece holds.
func (p *Piece) Entry(i int64) uint32 {
	return binary.LittleEndian.Uint32(p.entries[(i-p.first)*EntryBytes:])
}

// SameUntil returns the index of the first entry from i on, but before stop,
// that is another one than entry, or stop. Long holes are why it looks at two
// entries at a time.
func (p *Piece) SameUntil(i, stop int64, entry uint32) int64 {
	q := p.entries[(i-p.first)*EntryBytes : (stop-p.first)*EntryBytes]
	pair := uint64(entry)<<32 | uint64(entry)
	for len(q) >= 2*EntryBytes && binary.LittleEndian.Uint64(q) == pair {
		q = q[2*EntryBytes:]
	}
	i = stop - int64(len(q))/EntryBytes
	for i < stop && p.Entry(i) == entry {
		i++
	}
	return i
}

// Each calls fn for every entry that empty does not admit, in guest order. It
// passes the cache by.
func (t *Table) Each(ctx context.Context, empty func(entry uint32) bool, fn func(i int64, entry uint32) error) error {
	buf := make([]byte, min(walkEntries, t.n)*EntryBytes)
	for first := int64(0); first < t.n; first += walkEntries {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := Piece{first: first, entries: buf[:min(walkEntries, t.n-first)*EntryBytes]}
		if err := t.read(p.entries, first); err != nil {
			return err
		}
		for i := first; i < p.End(); {
			e := p.Entry(i)
			if empty(e) {
				i = p.SameUntil(i, p.End(), e)
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
