package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/internal/errcode"
)

// A Plan is a qcow2 file as a function of its source. All of it but the header
// and the set of stored clusters is computed when it is read. It is safe for
// concurrent use.
type Plan struct {
	target
	src      formats.Disk
	clusters *rankmap.Map // stored guest clusters
	tables   *rankmap.Map // L1 entries with a table
	head     []byte
	// Host offsets; each part ends where the next begins.
	refTable, refBlocks, l1, l2, data, end int64
}

var _ formats.Plan = (*Plan)(nil)

// Size returns the file size in bytes.
func (p *Plan) Size() int64 { return p.end }

// Summary says what the plan writes.
func (p *Plan) Summary() formats.Summary { return p.summary(p.end) }

// Metadata yields the one range before the data clusters.
func (p *Plan) Metadata() iter.Seq[formats.Range] {
	return func(yield func(formats.Range) bool) { yield(formats.Range{Off: 0, End: p.data}) }
}

// Locate returns where the guest byte at off is stored, and how many bytes from
// there on are in one piece.
func (p *Plan) Locate(off int64) (hostOff, n int64) {
	if off < 0 || off >= p.size {
		return -1, 0
	}
	c := off / p.cluster
	if !p.clusters.Has(c) {
		return -1, min(p.clusters.Next(c, true)*p.cluster, p.size) - off
	}
	end := min(p.clusters.Next(c, false)*p.cluster, p.size)
	return p.data + p.clusters.Rank(c)*p.cluster + off%p.cluster, end - off
}

// NextData returns the rest of the file: it has no holes.
func (p *Plan) NextData(off int64) (start, end int64, err error) {
	if off < 0 {
		return 0, 0, errcode.New(errcode.BadRequest, "next data at %d", off)
	}
	return min(off, p.end), p.end, nil
}

// ReadAt computes the bytes of the file at off.
func (p *Plan) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errcode.New(errcode.BadRequest, "read at negative offset %d", off)
	}
	n := 0
	for n < len(b) && off+int64(n) < p.end {
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
func (p *Plan) part(b []byte, off int64) (int, error) {
	clip := func(end int64) []byte { return b[:min(int64(len(b)), end-off)] }
	switch {
	case off < p.refTable:
		b = clip(p.refTable)
		clear(b)
		if off < int64(len(p.head)) {
			copy(b, p.head[off:])
		}
	case off < p.refBlocks:
		b = clip(p.refBlocks)
		fillWords(b, off-p.refTable, p.refTableEntry)
	case off < p.l1:
		b = clip(p.l1)
		p.fillRefcounts(b, off-p.refBlocks)
	case off < p.l2:
		b = clip(p.l2)
		fillWords(b, off-p.l1, p.l1Entry)
	case off < p.data:
		b = clip(p.l2 + ((off-p.l2)/p.cluster+1)*p.cluster)
		p.fillL2(b, off-p.l2)
	default:
		return p.readData(b, off-p.data)
	}
	return len(b), nil
}

// fillWords fills b with the bytes at off of a table of 8-byte entries.
func fillWords(b []byte, off int64, entry func(i int64) uint64) {
	var w [8]byte
	for i := off / 8; len(b) > 0; i++ {
		binary.BigEndian.PutUint64(w[:], entry(i))
		n := copy(b, w[off%8:])
		b, off = b[n:], off+int64(n)
	}
}

// refTableEntry returns the host offset of a refcount block.
func (p *Plan) refTableEntry(i int64) uint64 {
	if at := p.refBlocks + i*p.cluster; at < p.l1 {
		return uint64(at)
	}
	return 0
}

// fillRefcounts fills b from off bytes into the refcount blocks: every cluster
// of the file has one reference, and a count has two bytes.
func (p *Plan) fillRefcounts(b []byte, off int64) {
	all := p.end / p.cluster
	for i := range b {
		at := off + int64(i)
		b[i] = 0
		if at%2 == 1 && at/2 < all {
			b[i] = 1
		}
	}
}

// l1Entry returns an entry of the L1 table.
func (p *Plan) l1Entry(i int64) uint64 {
	if i >= p.l1Entries || !p.tables.Has(i) {
		return 0
	}
	return entryCopied | uint64(p.l2+p.tables.Rank(i)*p.cluster)
}

// fillL2 fills b from off bytes into the L2 tables, within one of them.
func (p *Plan) fillL2(b []byte, off int64) {
	first := p.tables.Pick(off/p.cluster) * p.entries
	// The place of a cluster is counted on from the first that is asked for.
	from := first + off%p.cluster/8
	host := p.data + p.clusters.Rank(from)*p.cluster
	fillWords(b, off%p.cluster, func(i int64) uint64 {
		if c := first + i; c >= p.clusters.Cap() || !p.clusters.Has(c) {
			return 0
		}
		e := entryCopied | uint64(host)
		host += p.cluster
		return e
	})
}

// readData reads guest bytes from off bytes into the data clusters, up to the
// next gap in the guest.
func (p *Plan) readData(b []byte, off int64) (int, error) {
	c := p.clusters.Pick(off / p.cluster)
	guest := c*p.cluster + off%p.cluster
	b = b[:min(int64(len(b)), p.clusters.Next(c, false)*p.cluster-guest)]
	stored := b[:max(0, min(int64(len(b)), p.src.Size()-guest))]
	clear(b[len(stored):])
	if len(stored) == 0 {
		return len(b), nil
	}
	if _, err := formats.ReadData(p.src, stored, guest); err != nil {
		return 0, fmt.Errorf("read guest data for output offset %d: %w", p.data+off, err)
	}
	return len(b), nil
}
