// Package rankmap holds sets of blocks that tell how many members lie before a
// block: where a packed output stores each of them. It is what the layout of a
// sparse image rests on.
package rankmap

import (
	"math/bits"
	"sort"
)

// Sizes of a Map's parts. A chunk of 32768 bits is 4 KiB.
const (
	chunkBits  = 1 << 15
	chunkWords = chunkBits / 64
	groupWords = 8
)

// A Map is a set of the numbers 0 to n-1 that tells in constant time how
// many members lie before a number, and almost as fast which one is the k-th.
// A chunk without members takes no memory of its own, nor does a full one, so
// that a sparse disk of any size costs little.
//
// It is filled with SetRange in any order, then sealed, then asked.
type Map struct {
	n      int64
	chunks []chunk
	before []int64 // members before each chunk, and at the end all of them
	full   *chunkSet
}

type chunk struct{ set *chunkSet }

type chunkSet struct {
	words  [chunkWords]uint64
	before [chunkWords / groupWords]uint16 // members before each group of words
}

// New returns the empty set of the numbers 0 to n-1.
func New(n int64) *Map {
	full := &chunkSet{}
	for i := range full.words {
		full.words[i] = ^uint64(0)
	}
	return &Map{n: n, chunks: make([]chunk, (n+chunkBits-1)/chunkBits), full: full}
}

// SetRange adds the numbers from a up to but not including b.
func (m *Map) SetRange(a, b int64) {
	for a < b {
		c, start := a/chunkBits, a%chunkBits
		end := min(chunkBits, start+b-a)
		a += end - start
		switch set := m.chunks[c].set; {
		case start == 0 && end == chunkBits:
			m.chunks[c].set = m.full
			continue
		case set == m.full:
			continue
		case set == nil:
			m.chunks[c].set = &chunkSet{}
		}
		m.chunks[c].set.setRange(start, end)
	}
}

// setRange sets the bits from a up to but not including b.
func (s *chunkSet) setRange(a, b int64) {
	for a < b {
		w, start := a/64, a%64
		end := min(64, start+b-a)
		s.words[w] |= ^uint64(0) >> (64 - (end - start)) << start
		a += end - start
	}
}

// Seal counts. If numbers are added after it, it must be called again.
func (m *Map) Seal() {
	m.before = make([]int64, len(m.chunks)+1)
	for i, c := range m.chunks {
		m.before[i+1] = m.before[i] + c.set.count()
	}
}

// count fills in before and returns the number of members.
func (s *chunkSet) count() int64 {
	if s == nil {
		return 0
	}
	n := 0
	for w, v := range s.words {
		if w%groupWords == 0 {
			s.before[w/groupWords] = uint16(n)
		}
		n += bits.OnesCount64(v)
	}
	return int64(n)
}

// Len returns how many members there are.
func (m *Map) Len() int64 { return m.before[len(m.chunks)] }

// Has reports whether i is a member.
func (m *Map) Has(i int64) bool {
	s := m.chunks[i/chunkBits].set
	return s != nil && s.words[i%chunkBits/64]>>(i%64)&1 != 0
}

// Rank returns how many members are smaller than i.
func (m *Map) Rank(i int64) int64 {
	if i >= m.n {
		return m.Len()
	}
	c := i / chunkBits
	n := m.before[c]
	s := m.chunks[c].set
	if s == nil {
		return n
	}
	w := i % chunkBits / 64
	n += int64(s.before[w/groupWords])
	for v := w / groupWords * groupWords; v < w; v++ {
		n += int64(bits.OnesCount64(s.words[v]))
	}
	return n + int64(bits.OnesCount64(s.words[w]&(1<<(i%64)-1)))
}

// Pick returns the member before which k others lie, 0 <= k < len.
func (m *Map) Pick(k int64) int64 {
	c := sort.Search(len(m.chunks), func(i int) bool { return m.before[i+1] > k })
	s := m.chunks[c].set
	k -= m.before[c]
	g := sort.Search(len(s.before), func(i int) bool { return int64(s.before[i]) > k }) - 1
	k -= int64(s.before[g])
	for w := g * groupWords; ; w++ {
		v := s.words[w]
		if n := int64(bits.OnesCount64(v)); k >= n {
			k -= n
			continue
		}
		for ; k > 0; k-- {
			v &= v - 1
		}
		return int64(c)*chunkBits + int64(w)*64 + int64(bits.TrailingZeros64(v))
	}
}

// Next returns the first number from i on that is a member, or with member
// false is not one; n if there is none.
func (m *Map) Next(i int64, member bool) int64 {
	for i < m.n {
		s := m.chunks[i/chunkBits].set
		switch {
		case s == nil && member, s == m.full && !member:
			i = (i/chunkBits + 1) * chunkBits
			continue
		case s == nil, s == m.full:
			return i
		}
		w := s.words[i%chunkBits/64]
		if !member {
			w = ^w
		}
		if w = w >> (i % 64); w != 0 {
			return min(m.n, i+int64(bits.TrailingZeros64(w)))
		}
		i = (i/64 + 1) * 64
	}
	return m.n
}

// Cap returns the n of New.
func (m *Map) Cap() int64 { return m.n }
