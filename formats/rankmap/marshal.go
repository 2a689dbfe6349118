package rankmap

import "encoding/binary"

// The kinds of chunk in a marshalled map.
const (
	chunkEmpty = iota
	chunkFull
	chunkMixed
)

const chunkBytes = chunkBits / 8

// AppendBinary appends the members below end to p: for each chunk of 32768
// numbers a byte that says whether it is empty, full or mixed, and for a mixed
// one its bits. It may be called before Seal.
func (m *Map) AppendBinary(p []byte, end int64) []byte {
	for c := int64(0); c*chunkBits < end; c++ {
		switch set := m.chunks[c].set; {
		case set == nil:
			p = append(p, chunkEmpty)
		case set == m.full || set.isFull():
			p = append(p, chunkFull)
		default:
			p = append(p, chunkMixed)
			for _, w := range set.words {
				p = binary.LittleEndian.AppendUint64(p, w)
			}
		}
	}
	return p
}

// isFull reports whether all of the chunk's numbers are members, however they
// came in: a set has one marshalled form.
func (s *chunkSet) isFull() bool {
	for _, w := range s.words {
		if w != ^uint64(0) {
			return false
		}
	}
	return true
}

// SetBinary adds the members below end that AppendBinary wrote. It reports
// false, and leaves the map unusable, if p is not exactly that.
func (m *Map) SetBinary(p []byte, end int64) bool {
	if end > m.n {
		return false
	}
	for c := int64(0); c*chunkBits < end; c++ {
		if len(p) == 0 {
			return false
		}
		kind := p[0]
		p = p[1:]
		switch kind {
		case chunkEmpty:
		case chunkFull:
			m.chunks[c].set = m.full
		case chunkMixed:
			if len(p) < chunkBytes {
				return false
			}
			set := &chunkSet{}
			for i := range set.words {
				set.words[i] = binary.LittleEndian.Uint64(p[8*i:])
			}
			m.chunks[c].set, p = set, p[chunkBytes:]
		default:
			return false
		}
	}
	return len(p) == 0
}
