package gce

import (
	"encoding/binary"
	"hash/crc32"

	"ingest/formats"
	"ingest/formats/transfer"
)

// A checkpoint's State holds, in big-endian words of 8 bytes: the version of this
// list, the virtual size, the guest and the host offset, the length of the tar file
// so far and its CRC-32, and the map's sum; and at the end a CRC-32 of it all. The
// map itself is made again from the source.
const (
	stateVersion = 1
	stateWords   = 7
	stateSum     = 4
)

// checkpoint returns where the builder can be set up again. off is the guest
// offset up to which it has been given units.
func (b *builder) checkpoint(codec string, off int64) formats.Checkpoint {
	p := make([]byte, 0, 8*stateWords+stateSum)
	for _, w := range []int64{stateVersion, b.m.size, off, b.pos, b.plain, int64(b.crc), int64(b.m.sum())} {
		p = binary.BigEndian.AppendUint64(p, uint64(w))
	}
	p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return formats.Checkpoint{Codec: codec, Off: off, HostOff: b.pos, State: p}
}

// restore sets a fresh builder up from a checkpoint. It reports false, and leaves
// the builder as it was, if the checkpoint does not fit the source and its map.
func (b *builder) restore(from formats.Checkpoint, source int64) bool {
	n := len(from.State) - stateSum
	if from.Off <= 0 || from.Off > source || from.Off%transfer.UnitBytes != 0 || from.HostOff < int64(len(gzipHeader)) ||
		n != 8*stateWords || crc32.ChecksumIEEE(from.State[:n]) != binary.BigEndian.Uint32(from.State[n:]) {
		return false
	}
	word := func(i int) int64 { return int64(binary.BigEndian.Uint64(from.State[8*i:])) }
	plain := int64(len(b.m.header()))
	for r := range b.m.within(0, from.Off) {
		plain += r.end - r.off
	}
	if word(0) != stateVersion || word(1) != b.m.size || word(2) != from.Off || word(3) != from.HostOff ||
		word(4) != plain || word(6) != int64(b.m.sum()) {
		return false
	}
	b.pos, b.plain, b.crc = from.HostOff, plain, uint32(word(5))
	return true
}
