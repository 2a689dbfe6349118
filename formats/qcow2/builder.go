package qcow2

import (
	"encoding/binary"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A builder lays clusters and tables out as the units come in. It holds the L1
// table, the L2 table of the range that it is in, the refcount table and the
// refcount blocks that are not full.
type builder struct {
	target
	dst  formats.Sink
	pos  int64 // host offset up to which all but the head is written
	l1   []uint64
	l2   []byte // the table being filled
	at   int64  // its L1 index, -1 if it has no entry yet
	refs refcounts
	zero []byte // one cluster
}

func newBuilder(dst formats.Sink, t target) *builder {
	b := &builder{target: t, dst: dst, pos: t.cluster, at: -1,
		l1: make([]uint64, t.l1Entries), l2: make([]byte, t.cluster), zero: make([]byte, t.cluster)}
	b.refs = refcounts{perBlock: t.refsPerBlock()}
	b.refs.add(0)
	return b
}

// unit takes the next unit: what its worker left in Buf, or zeros.
func (b *builder) unit(u *transfer.Unit) error {
	if u.Data != nil {
		if err := b.data(u); err != nil {
			return err
		}
	}
	// The table of a range follows its last cluster.
	if end := u.Off + u.Len; b.at >= 0 && end >= (b.at+1)*b.span {
		return b.closeTable()
	}
	return nil
}

// data stores a unit's clusters, one L2 range after the other.
func (b *builder) data(u *transfer.Unit) error {
	n := binio.DivCeil(u.Len, b.cluster)
	lengths, packed := u.Buf[:n*lengthBytes], u.Buf[n*lengthBytes:]
	for i := int64(0); i < n; {
		first := u.Off/b.cluster + i
		stop := min(n, i+b.entries-first%b.entries)
		if index := first / b.entries; b.at >= 0 && b.at != index {
			if err := b.closeTable(); err != nil {
				return err
			}
		}
		s := stretch{first: first, lengths: lengths[i*lengthBytes : stop*lengthBytes],
			data: u.Data[i*b.cluster : min(stop*b.cluster, u.Len)]}
		used, err := b.pack(s, packed)
		if err != nil {
			return err
		}
		packed = packed[used:]
		if err := b.plain(s); err != nil {
			return err
		}
		i = stop
	}
	return nil
}

// A stretch is a run of clusters under one L2 table.
type stretch struct {
	first   int64 // guest cluster
	lengths []byte
	data    []byte
}

func (s stretch) count() int { return len(s.lengths) / lengthBytes }
func (s stretch) length(i int) int64 {
	return int64(binary.BigEndian.Uint32(s.lengths[i*lengthBytes:]))
}

// pack stores the compressed clusters of a stretch, byte after byte, and
// returns how many bytes of packed they are.
func (b *builder) pack(s stretch, packed []byte) (int, error) {
	used, written := 0, 0
	flush := func() error {
		p := packed[written:used]
		written = used
		return b.write(p, b.pos-int64(len(p)))
	}
	for i := range s.count() {
		n := s.length(i)
		if n == 0 || n == b.cluster {
			continue
		}
		if b.refs.full(b.pos / b.cluster) {
			if err := flush(); err != nil {
				return 0, err
			}
			if err := b.align(); err != nil {
				return 0, err
			}
		}
		if err := b.mapPacked(s.first+int64(i), n); err != nil {
			return 0, err
		}
		used += int(n)
	}
	return used, flush()
}

// mapPacked gives the n compressed bytes of a guest cluster their place at pos.
func (b *builder) mapPacked(guest, n int64) error {
	shift := 62 - (b.bits - 8)
	last := b.pos + n - 1
	if last >= 1<<min(shift, 55) {
		return errcode.New(errcode.TargetOption, "compressed data beyond host offset %#x cannot be described", b.pos).
			With(evidence("L2 table", "compressed offset", b.pos, hex(uint64(b.pos))))
	}
	more := last/sectorSize - b.pos/sectorSize
	b.entry(guest, entryCompressed|uint64(more)<<shift|uint64(b.pos))
	for c := b.pos / b.cluster; c <= last/b.cluster; c++ {
		b.refs.add(c)
	}
	b.pos += n
	return nil
}

// plain stores the plain clusters of a stretch.
func (b *builder) plain(s stretch) error {
	for i := 0; i < s.count(); i++ {
		if s.length(i) != b.cluster {
			continue
		}
		if err := b.align(); err != nil {
			return err
		}
		from, start := i, b.pos
		for ; i < s.count() && s.length(i) == b.cluster; i++ {
			b.entry(s.first+int64(i), entryCopied|uint64(b.pos))
			b.refs.add(b.pos / b.cluster)
			b.pos += b.cluster
		}
		p := s.data[int64(from)*b.cluster : min(int64(i)*b.cluster, int64(len(s.data)))]
		if err := b.write(p, start); err != nil {
			return err
		}
		// The disk's last cluster may lack its end.
		if end := start + int64(len(p)); end < b.pos {
			if err := b.write(b.zero[:b.pos-end], end); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry sets a guest cluster's L2 entry.
func (b *builder) entry(guest int64, e uint64) {
	b.at = guest / b.entries
	binary.BigEndian.PutUint64(b.l2[guest%b.entries*8:], e)
}

// closeTable writes the L2 table.
func (b *builder) closeTable() error {
	if err := b.align(); err != nil {
		return err
	}
	b.l1[b.at] = entryCopied | uint64(b.pos)
	b.at = -1
	if err := b.append(b.l2); err != nil {
		return err
	}
	clear(b.l2)
	return nil
}

// align moves to the next cluster border and writes the refcount blocks whose
// range lies before it.
func (b *builder) align() error {
	if rest := b.round(b.pos) - b.pos; rest > 0 {
		if err := b.write(b.zero[:rest], b.pos); err != nil {
			return err
		}
		b.pos += rest
	}
	for b.refs.written() < b.pos/b.cluster/b.refsPerBlock() {
		if err := b.checkRefTable(b.refs.written() + 1); err != nil {
			return err
		}
		if err := b.append(b.refs.take(b.pos)); err != nil {
			return err
		}
	}
	return nil
}

// append writes one cluster of a table at pos, a cluster border, and counts it.
func (b *builder) append(p []byte) error {
	if err := b.write(p, b.pos); err != nil {
		return err
	}
	b.refs.add(b.pos / b.cluster)
	b.pos += b.cluster
	return nil
}

func (b *builder) write(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	_, err := b.dst.WriteAt(p, off)
	return err
}

// finish writes what is left: the open L2 table, the L1 table, the refcount
// structures, and at last the header.
func (b *builder) finish() (formats.Summary, error) {
	if b.at >= 0 {
		if err := b.closeTable(); err != nil {
			return formats.Summary{}, err
		}
	}
	if err := b.align(); err != nil {
		return formats.Summary{}, err
	}
	l1Off := b.pos
	if err := b.writeWords(b.l1); err != nil {
		return formats.Summary{}, err
	}
	blocks, table := b.refTables(b.pos/b.cluster, b.refs.written())
	if err := b.checkRefTable(b.refs.written() + blocks); err != nil {
		return formats.Summary{}, err
	}
	// Counted before they are written: the blocks hold their own counts.
	for c := b.pos / b.cluster; c < b.pos/b.cluster+blocks+table; c++ {
		b.refs.add(c)
	}
	for range blocks {
		p := b.refs.take(b.pos)
		if err := b.write(p, b.pos); err != nil {
			return formats.Summary{}, err
		}
		b.pos += b.cluster
	}
	tableOff := b.pos
	if err := b.write(b.refs.tableBytes(table*b.cluster), tableOff); err != nil {
		return formats.Summary{}, err
	}
	b.pos += table * b.cluster
	head := append(b.header(l1Off, tableOff, table), b.zero[headerFilled:]...)
	if err := b.write(head, 0); err != nil {
		return formats.Summary{}, err
	}
	return b.summary(b.pos), nil
}

// writeWords appends a table of 8-byte entries, a cluster at a time.
func (b *builder) writeWords(words []uint64) error {
	p := make([]byte, b.cluster)
	for len(words) > 0 {
		clear(p)
		n := min(len(words), len(p)/8)
		for i, w := range words[:n] {
			binary.BigEndian.PutUint64(p[8*i:], w)
		}
		if err := b.append(p); err != nil {
			return err
		}
		words = words[n:]
	}
	return nil
}
