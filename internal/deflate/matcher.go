package deflate

import (
	"encoding/binary"
	"math/bits"
)

// Effort is how much is done to find matches.
type Effort int

// Efforts.
const (
	// Fast looks for matches of 4 bytes and more.
	Fast Effort = iota
	// Good looks for matches of 3 bytes too, if they are near.
	Good
)

// LevelEffort returns the effort for one of the levels 1 to 6 that users know from
// zlib. Those above are not for this package.
func LevelEffort(level int) (Effort, bool) {
	if level <= 5 {
		return Fast, true
	}
	return Good, level == 6
}

const (
	segment  = 64 << 10 // what 16-bit positions reach
	margin   = maxMatch + 16
	maxTable = 1 << 15
	// tail is how many bytes at a segment's end begin no match: what is hashed
	// and what is looked up lie within it.
	tail = 12
	// A match of lazy bytes is taken at once; after a shorter one the next
	// position is tried too.
	lazy = 20
	// far3 is how far away 3 bytes may be: farther, three literals are shorter.
	far3 = 1024
	// After each 1<<patience positions without a match one more is passed over at
	// a time.
	patience = 6
)

// A matcher turns bytes into tokens. It remembers the newest position of the
// short and of the long prefix at each position, by their hashes.
type matcher struct {
	window     int
	windowBits int
	far        uint32 // how far away a match of 3 bytes may be

	// Hashes are the upper bits of products, and of them those in tableMask.
	shortFactor, longFactor, tableMask uint64

	buf         [segment + margin]byte
	short, long [maxTable]uint16
	start, end  int // what of buf is to be parsed

	tokens [segment]token
	n      int
}

func (m *matcher) init(window int, effort Effort) {
	m.window = window
	// More than positions in the window, since hashes collide.
	size := min(log2(window)+1, log2(maxTable))
	m.tableMask = 1<<size - 1
	m.windowBits = log2(window)
	least := 4
	if effort != Fast {
		least, m.far = minMatch, far3
	}
	spread := uint64(factor)
	m.shortFactor, m.longFactor = spread<<(64-8*least), spread<<(64-8*longPrefix)
}

func (m *matcher) tables() (short, long []uint16) {
	return m.short[:m.tableMask+1], m.long[:m.tableMask+1]
}

// reset forgets all. A position of 0, where nothing was, does no harm: what stands
// there is compared.
func (m *matcher) reset() {
	short, long := m.tables()
	clear(short)
	clear(long)
	m.start, m.end = 0, 0
}

// load takes in as much of p as there is room for, behind a window of what was
// there before.
func (m *matcher) load(p []byte) int {
	if m.end > 0 {
		shift := m.end - m.window
		copy(m.buf[:m.window], m.buf[shift:m.end])
		short, long := m.tables()
		for i, v := range short {
			short[i] = uint16(max(0, int(v)-shift))
		}
		for i, v := range long {
			long[i] = uint16(max(0, int(v)-shift))
		}
		m.end = m.window
	}
	m.start = m.end
	n := copy(m.buf[m.end:segment], p)
	m.end += n
	clear(m.buf[m.end : m.end+margin])
	return n
}

func (m *matcher) load8(i uint16) uint64 {
	p := int(i)
	return binary.LittleEndian.Uint64(m.buf[p : p+8])
}

const (
	// factor spreads prefixes; shifted left it leaves bytes out.
	factor     = 0x9E3779B185EBCA87
	longPrefix = 8
	hashShift  = 64 - 15
)

// parse makes tokens of what was loaded. A match is taken when the next position has
// none that is longer.
//
// Whether the candidates are within the window is computed into what they differ by,
// since a branch on it would be mispredicted every other time.
func (m *matcher) parse() {
	buf, tokens := &m.buf, &m.tokens
	i, last, n := m.start, m.end-tail, 0
	held, heldDist := 0, uint32(0) // a match at i-1 that is not taken yet
	misses := 0
	for i < last {
		x := m.load8(uint16(i))
		hs, hl := x*m.shortFactor>>hashShift&m.tableMask, x*m.longFactor>>hashShift&m.tableMask
		cs, cl := m.short[hs], m.long[hl]
		m.short[hs], m.long[hl] = uint16(i), uint16(i)
		dist, dl := uint32(uint16(i)-cs), uint32(uint16(i)-cl)
		// At a distance of 0, or beyond the window, the first byte is made to differ.
		xs := m.load8(cs) ^ x | uint64((dist-1)>>(m.windowBits&31))
		xl := m.load8(cl) ^ x | uint64((dl-1)>>(m.windowBits&31))
		length, long := bits.TrailingZeros64(xs)>>3, bits.TrailingZeros64(xl)>>3
		if long > length {
			length, dist = long, dl
		}
		if length <= minMatch {
			if length < minMatch || dist > m.far {
				length = 0
			}
		} else if length == 8 {
			length, dist = m.longer(i, dist, dl, long)
		}
		at := i
		if length > held {
			if held > 0 {
				tokens[n&(segment-1)] = literal | token(buf[(i-1)&(segment-1)])
				n++
			}
			if length < lazy {
				held, heldDist = length, dist
				i++
				continue
			}
		} else if held > 0 {
			at, length, dist = i-1, held, heldDist
		} else {
			tokens[n&(segment-1)] = literal | token(byte(x))
			n++
			i++
			misses++
			for skip := misses >> patience; skip > 0 && i < last; skip-- {
				tokens[n&(segment-1)] = literal | token(buf[i&(segment-1)])
				n++
				i++
			}
			continue
		}
		held, misses = 0, 0
		tokens[n&(segment-1)] = match(length, dist)
		n++
		m.remember(i+1, min(at+length, last))
		i = at + length
	}
	if held > 0 {
		tokens[n&(segment-1)] = match(held, heldDist)
		n++
		i += held - 1
	}
	m.n = n
	m.rest(i)
}

// rest makes literals of what is left from i on.
func (m *matcher) rest(i int) {
	for ; i < m.end; i++ {
		m.tokens[m.n&(segment-1)] = literal | token(m.buf[i&(segment-1)])
		m.n++
	}
}

// longer extends a match at i of 8 bytes, and the other candidate if that is long
// too.
func (m *matcher) longer(i int, dist, other uint32, otherLength int) (int, uint32) {
	length := m.extend(i, dist)
	if other != dist && otherLength == 8 {
		if l := m.extend(i, other); l > length {
			return l, other
		}
	}
	return length, dist
}

// extend returns the length of a match at i that is 8 bytes at least.
func (m *matcher) extend(i int, dist uint32) int {
	p := uint16(i)
	q := p - uint16(dist)
	limit := min(maxMatch, m.end-i)
	n := 8
	for ; n < limit; n += 8 {
		if x := m.load8(p+uint16(n)) ^ m.load8(q+uint16(n)); x != 0 {
			return min(limit, n+bits.TrailingZeros64(x)>>3)
		}
	}
	return limit
}

// remember enters the positions from i to before end, which are within a match.
func (m *matcher) remember(i, end int) {
	short, long, mask := m.shortFactor, m.longFactor, m.tableMask
	for ; i < end; i++ {
		x := m.load8(uint16(i))
		m.short[x*short>>hashShift&mask] = uint16(i)
		m.long[x*long>>hashShift&mask] = uint16(i)
	}
}
