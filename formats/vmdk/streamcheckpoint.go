package vmdk

import (
	"encoding/binary"
	"hash/crc32"

	"ingest/formats"
	"ingest/formats/transfer"
)

// A checkpoint's State holds, in big-endian words of 8 bytes: the version of
// this list, the virtual size, the guest and the host offset, the directory index
// of the open grain table or -1; then the directory's entries up to the guest
// offset and the open table, as in the file; and at the end a CRC-32 of it all.
const (
	stateVersion = 1
	stateWords   = 5
	stateSum     = 4
)

// entriesTo returns the bytes of the directory's entries that can be set when the
// guest bytes before off are stored.
func (b *streamBuilder) entriesTo(off int64) int64 {
	return min(int64(len(b.directory)), 4*(off/tableSpan))
}

// checkpoint returns where the builder can be set up again. off is the guest
// offset up to which it has been given units.
func (b *streamBuilder) checkpoint(codec string, off int64) formats.Checkpoint {
	done := b.directory[:b.entriesTo(off)]
	p := make([]byte, 0, 8*stateWords+len(done)+len(b.entries())+stateSum)
	for _, w := range []int64{stateVersion, b.size, off, b.pos, b.at} {
		p = binary.BigEndian.AppendUint64(p, uint64(w))
	}
	p = append(p, done...)
	p = append(p, b.entries()...)
	p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return formats.Checkpoint{Codec: codec, Off: off, HostOff: b.pos, State: p}
}

// restore sets a fresh builder up from a checkpoint. It reports false, and
// leaves the builder unusable, if the checkpoint does not fit the source's size.
func (b *streamBuilder) restore(from formats.Checkpoint, sourceSize int64) bool {
	n := len(from.State) - stateSum
	if from.Off <= 0 || from.Off > sourceSize || from.Off%transfer.UnitBytes != 0 ||
		from.HostOff < streamHead || from.HostOff%sectorBytes != 0 || n < 8*stateWords ||
		crc32.ChecksumIEEE(from.State[:n]) != binary.BigEndian.Uint32(from.State[n:]) {
		return false
	}
	word := func(i int) int64 { return int64(binary.BigEndian.Uint64(from.State[8*i:])) }
	at, tables := word(4), from.State[8*stateWords:n]
	done := b.entriesTo(from.Off)
	if word(0) != stateVersion || word(1) != b.size || word(2) != from.Off || word(3) != from.HostOff ||
		at != -1 && at != from.Off/tableSpan || int64(len(tables)) != done+int64(len(b.entries())) {
		return false
	}
	copy(b.directory, tables[:done])
	copy(b.entries(), tables[done:])
	b.at, b.pos = at, from.HostOff
	return true
}
