package zstandard

import (
	"encoding/binary"
	"math/bits"
)

const (
	// blockSize is how many bytes a block has at most, and history how many of
	// those before it are at hand. Both are what 16 bits count: positions stay the
	// same in their lower 16 bits when a block becomes history.
	blockSize = 64 << 10
	history   = 64 << 10
	// first is the position of the first byte. As many are read in front of it.
	first = 16
	// bufMask is for the compiler, which then knows that positions are within buf:
	// none is so large.
	bufMask   = 1<<18 - 1
	bufMargin = 16

	tableBits = 14
	// hashFactor spreads the lowest 5 bytes.
	hashFactor = 0xB185EBCA87 << 24
	// leastMatch is how many bytes the search asks for. A block has room for no
	// more sequences than maxSequences.
	leastMatch   = 4
	maxSequences = blockSize / leastMatch
	// tail is how many bytes at a block's end begin no match.
	tail = 12
	// After each 1<<patience bytes without a match the search passes over one more
	// at a time.
	patience = 6
	// plainCopy is how many literals are copied whether there are so many or not.
	plainCopy = 16
)

// A matcher cuts blocks into sequences. It remembers, by a hash, the newest position
// of some prefixes: the lower 16 bits of it.
type matcher struct {
	buf        [bufMask + 1 + bufMargin]byte
	table      [1 << tableBits]uint16
	start, end int // positions of the block

	seqs [maxSequences]sequence
	n    int
	lits [blockSize + plainCopy]byte // those of all sequences, and those behind the last
	nlit int
}

// reset forgets all. Where the table has nothing it has a position in front of the
// first byte.
func (m *matcher) reset() {
	clear(m.table[:])
	m.end = first
}

// load takes in as much of p as a block has.
func (m *matcher) load(p []byte) int {
	m.start = m.end
	if m.end == first+history+blockSize {
		copy(m.buf[first:first+history], m.buf[first+blockSize:first+blockSize+history])
		m.start = first + history
	}
	n := copy(m.buf[m.start:m.start+blockSize], p)
	m.end = m.start + n
	return n
}

func (m *matcher) load8(i int) uint64 {
	p := i & bufMask
	return binary.LittleEndian.Uint64(m.buf[p : p+8])
}

func (m *matcher) load4(i int) uint32 {
	p := i & bufMask
	return binary.LittleEndian.Uint32(m.buf[p : p+4])
}

func hash(x uint64) uint64 { return x * hashFactor >> (64 - tableBits) }

// parse makes sequences of the block that was loaded, each of the first match that is
// seen.
//
// At each step it looks at two positions: whether the second continues at the last
// distance, and what the table has of either. One branch is on all three, since it is
// foreseen mostly; which of them it was is computed.
func (m *matcher) parse() {
	table := &m.table
	end, anchor := m.end, m.start // anchor is behind the last match
	last := end - tail
	rep, other := 1, 1 // the last two distances
	m.n, m.nlit = 0, 0
	for i := m.start + 1; i < last; {
		x := m.load8(i)
		if i == anchor && m.load4(i-other) == uint32(x) {
			rep, other = other, rep
			table[hash(x)] = uint16(i)
			length := leastMatch + m.equal(i+leastMatch, rep)
			if length == leastMatch+8 {
				length = m.longer(i, rep, end)
			}
			length = min(length, end-i)
			m.add(0, length, rep)
			i += length
			anchor = i
			continue
		}
		y := x >> 8
		hx, hy := hash(x), hash(y)
		cx, cy := table[hx], table[hy]
		table[hx], table[hy] = uint16(i), uint16(i+1)
		dx, dy := distance(i, cx), distance(i+1, cy)
		repeats := m.load4(i+1-rep) ^ uint32(y)
		atX, atY := m.load4(i-dx)^uint32(x), m.load4(i+1-dy)^uint32(y)
		if repeats != 0 && atX != 0 && atY != 0 {
			i += 2 + (i-anchor)>>patience
			continue
		}
		at, d := i+1, dx
		if atX != 0 {
			d = dy
		}
		if repeats == 0 {
			d = rep
		} else if atX == 0 {
			at = i
		}
		if at-d < first {
			i += 2 // the table had nothing
			continue
		}
		length := leastMatch + m.equal(at+leastMatch, d)
		if length == leastMatch+8 {
			length = m.longer(at, d, end)
		}
		length = min(length, end-at)
		back := min(bits.LeadingZeros64(m.load8(at-8)^m.load8(at-d-8))>>3, at-anchor, at-d-first)
		m.literals(anchor, at-back-anchor)
		m.add(at-back-anchor, length+back, d)
		rep, other = d, rep
		i = at + length
		anchor = i
		table[hash(m.load8(at+2))] = uint16(at + 2)
		if i < last { // what stands behind the end is of another frame
			table[hash(m.load8(i-2))] = uint16(i - 2)
		}
	}
	m.literals(anchor, end-anchor)
}

// distance returns how far before i the last position was that is the same as c in
// its lower 16 bits.
func distance(i int, c uint16) int { return int(uint16(i)-c-1) + 1 }

// equal returns how many of the 8 bytes at i are those d before them, from the first
// on.
func (m *matcher) equal(i, d int) int {
	return bits.TrailingZeros64(m.load8(i)^m.load8(i-d)) >> 3
}

// longer returns the length of a match at i, of which 12 bytes are equal. It may be
// beyond the end.
func (m *matcher) longer(i, d, end int) int {
	n := leastMatch + 8
	for ; i+n < end; n += 8 {
		if k := m.equal(i+n, d); k < 8 {
			return n + k
		}
	}
	return n
}

// add appends the sequence of so many literals and a match.
func (m *matcher) add(lit, length, d int) {
	m.seqs[m.n&(maxSequences-1)] = sequence{uint16(lit), uint16(length - minMatch), uint32(d)}
	m.n++
}

// literals appends n of them that stand at i.
func (m *matcher) literals(i, n int) {
	to, from := m.nlit&(blockSize-1), i&bufMask
	*(*[plainCopy]byte)(m.lits[to : to+plainCopy]) = *(*[plainCopy]byte)(m.buf[from : from+plainCopy])
	if n > plainCopy {
		copy(m.lits[to:to+n], m.buf[from:from+n])
	}
	m.nlit += n
}
