package qcow2

import (
	"encoding/binary"
	"hash/crc32"

	"ingest/formats"
	"ingest/formats/transfer"
)

// A checkpoint's State holds, in big-endian words of 8 bytes: the version of
// this list, the virtual size, the L1 index of the open L2 table or -1, the
// counts of L1 entries, refcount table entries and refcount blocks; then those
// entries, the open L2 table and the blocks; and at the end a CRC-32 of it all.
const (
	stateVersion = 1
	stateWords   = 8
	stateSum     = 4
)

// checkpoint returns where the builder can be set up again. off is the guest
// offset up to which it has been given units.
func (b *builder) checkpoint(codec string, off int64) formats.Checkpoint {
	done := b.l1[:min(int64(len(b.l1)), off/b.span+1)]
	size := 8*(stateWords+len(done)+len(b.refs.table)) + len(b.l2)*(1+len(b.refs.blocks)) + stateSum
	p := make([]byte, 0, size)
	for _, w := range []int64{stateVersion, b.size, off, b.pos, b.at, int64(len(done)), b.refs.written(), int64(len(b.refs.blocks))} {
		p = binary.BigEndian.AppendUint64(p, uint64(w))
	}
	for _, e := range done {
		p = binary.BigEndian.AppendUint64(p, e)
	}
	for _, o := range b.refs.table {
		p = binary.BigEndian.AppendUint64(p, uint64(o))
	}
	p = append(p, b.l2...)
	for _, block := range b.refs.blocks {
		p = append(p, block...)
	}
	p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return formats.Checkpoint{Codec: codec, Off: off, HostOff: b.pos, State: p}
}

// restore sets a fresh builder up from a checkpoint. It reports false, and
// leaves the builder unusable, if the checkpoint does not fit the target and
// the source's size.
func (b *builder) restore(from formats.Checkpoint, sourceSize int64) bool {
	if from.Off <= 0 || from.Off > sourceSize || from.Off%transfer.UnitBytes != 0 || from.HostOff < b.cluster {
		return false
	}
	n := len(from.State) - stateSum
	if n < 8*stateWords || crc32.ChecksumIEEE(from.State[:n]) != binary.BigEndian.Uint32(from.State[n:]) {
		return false
	}
	p := from.State[:n]
	next := func() int64 {
		w := int64(binary.BigEndian.Uint64(p))
		p = p[8:]
		return w
	}
	version, size, off, pos := next(), next(), next(), next()
	at, entries, table, blocks := next(), next(), next(), next()
	if version != stateVersion || size != b.size || off != from.Off || pos != from.HostOff || at < -1 || at >= entries ||
		entries != min(b.l1Entries, from.Off/b.span+1) || table < 0 || blocks < 0 ||
		table > int64(n) || blocks > int64(n) ||
		int64(len(p)) != 8*(entries+table)+b.cluster*(1+blocks) {
		return false
	}
	for i := range entries {
		b.l1[i] = uint64(next())
	}
	b.at, b.pos = at, from.HostOff
	b.refs = refcounts{perBlock: b.refsPerBlock()}
	for range table {
		b.refs.table = append(b.refs.table, next())
	}
	copy(b.l2, p)
	p = p[b.cluster:]
	for range blocks {
		b.refs.blocks = append(b.refs.blocks, append([]byte(nil), p[:b.cluster]...))
		p = p[b.cluster:]
	}
	// The counted clusters reach to where the output does.
	return b.refs.written() <= (b.pos-1)/b.cluster/b.refsPerBlock() &&
		(b.pos-1)/b.cluster/b.refsPerBlock() < b.refs.written()+blocks
}
