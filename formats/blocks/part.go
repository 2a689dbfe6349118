package blocks

import (
	"encoding/binary"
	"sort"

	"ingest/formats/rankmap"
)

// A Part is a run of a head or a tail. Fill fills p with the bytes from off on,
// counted from the begin of the part; p is zeros before, and never reaches over
// the part's end.
type Part struct {
	Off  int64 // from the begin of the head or tail, bytes
	Len  int64 // bytes
	Fill func(p []byte, off int64)
}

// Bytes is a part that is held in memory.
func Bytes(off int64, b []byte) Part {
	return Part{Off: off, Len: int64(len(b)), Fill: func(p []byte, o int64) { copy(p, b[o:]) }}
}

// Words32 is a part of n words of 4 bytes.
func Words32(off, n int64, order binary.ByteOrder, word func(i int64) uint32) Part {
	return Part{Off: off, Len: 4 * n, Fill: func(p []byte, o int64) {
		var w [4]byte
		for i := o / 4; len(p) > 0; i++ {
			order.PutUint32(w[:], word(i))
			k := copy(p, w[o%4:])
			p, o = p[k:], o+int64(k)
		}
	}}
}

// Words64 is a part of n words of 8 bytes.
func Words64(off, n int64, order binary.ByteOrder, word func(i int64) uint64) Part {
	return Part{Off: off, Len: 8 * n, Fill: func(p []byte, o int64) {
		var w [8]byte
		for i := o / 8; len(p) > 0; i++ {
			order.PutUint64(w[:], word(i))
			k := copy(p, w[o%8:])
			p, o = p[k:], o+int64(k)
		}
	}}
}

// Table32 is a part of one word of 4 bytes for each block: word of the number of
// stored blocks before it if it is stored, and absent if not. Runs of blocks
// that are not stored cost next to nothing.
func Table32(off int64, order binary.ByteOrder, stored *rankmap.Map, absent uint32, word func(rank int64) uint32) Part {
	n := stored.Cap()
	var none [4]byte
	order.PutUint32(none[:], absent)
	return Part{Off: off, Len: 4 * n, Fill: func(p []byte, o int64) {
		if o%4 != 0 || len(p)%4 != 0 {
			fillUnaligned(p, o, n, order, stored, absent, word)
			return
		}
		first, end := o/4, o/4+int64(len(p)/4)
		rank := stored.Rank(first)
		for i := first; i < end; {
			from := min(end, stored.Next(i, true))
			if absent != 0 {
				repeat(p[4*(i-first):4*(from-first)], none)
			}
			to := min(end, stored.Next(from, false))
			for i = from; i < to; i++ {
				order.PutUint32(p[4*(i-first):], word(rank))
				rank++
			}
		}
	}}
}

// fillUnaligned is Table32's way for ranges that cut words.
func fillUnaligned(p []byte, o, n int64, order binary.ByteOrder, stored *rankmap.Map, absent uint32, word func(rank int64) uint32) {
	Words32(0, n, order, func(i int64) uint32 {
		if !stored.Has(i) {
			return absent
		}
		return word(stored.Rank(i))
	}).Fill(p, o)
}

// repeat fills p with w.
func repeat(p []byte, w [4]byte) {
	for n := copy(p, w[:]); 0 < n && n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// fillParts fills p with the bytes at off of parts that ascend.
func fillParts(p []byte, off int64, parts []Part) {
	clear(p)
	end := off + int64(len(p))
	i := sort.Search(len(parts), func(i int) bool { return parts[i].Off+parts[i].Len > off })
	for ; i < len(parts) && parts[i].Off < end; i++ {
		from, to := max(off, parts[i].Off), min(end, parts[i].Off+parts[i].Len)
		if from < to {
			parts[i].Fill(p[from-off:to-off], from-parts[i].Off)
		}
	}
}
