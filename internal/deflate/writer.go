package deflate

import (
	"encoding/binary"

	"ingest/internal/huffman"
)

const (
	// writeMargin is how much room in out is wanted behind its limit.
	writeMargin = 16
	maxStored   = 65535
)

// A writer writes blocks, bit by bit.
type writer struct {
	out   []byte
	limit int // bytes
	pos   int
	buf   uint64 // the next bit is the lowest
	n     uint   // bits in it, less than 8 between calls

	tree huffman.Tree
	dynamic,
	fixed codes
	header header
}

func (w *writer) start(out []byte, limit int) {
	w.out, w.limit, w.pos, w.buf, w.n = out, limit, 0, 0, 0
	if w.fixed.litlenLengths[0] == 0 {
		w.fixed.fix()
	}
}

// finish fills the last byte up and returns how long the stream is.
func (w *writer) finish() (int, bool) {
	if w.n > 0 {
		w.pos++
	}
	w.out = nil
	return w.pos, w.pos <= w.limit
}

// fits tells whether there is room for so many bits more.
func (w *writer) fits(bits int) bool { return w.pos*8+int(w.n)+bits <= w.limit*8 }

// put writes up to 56 bits.
func (w *writer) put(v uint64, n uint) {
	w.buf |= v << (w.n & 63)
	w.n += n
	binary.LittleEndian.PutUint64(w.out[w.pos:], w.buf)
	w.pos += int(w.n >> 3)
	w.buf >>= w.n &^ 7 & 63
	w.n &= 7
}

// block writes a block of the kind that is the shortest: stored, with fixed codes,
// or with its own. It returns false if there is no room.
func (w *writer) block(h *histogram, tokens []token, src []byte, final bool) bool {
	h.litlen[endSymbol] = 1
	w.dynamic.make(&w.tree, h)
	w.header.make(&w.tree, &w.dynamic)
	dynamic, fixed := w.header.bits+w.dynamic.bits(h), w.fixed.bits(h)
	if stored := len(src) + 5*(len(src)/maxStored+1); stored*8 <= 3+min(dynamic, fixed) {
		return w.stored(src, final)
	}
	c, kind := &w.fixed, uint64(1)
	if dynamic < fixed {
		c, kind = &w.dynamic, 2
	}
	if !w.fits(3 + min(dynamic, fixed)) {
		return false
	}
	w.put(flag(final)|kind<<1, 3)
	if kind == 2 {
		w.header.write(w)
	}
	c.ready()
	w.tokens(c, tokens)
	w.put(uint64(c.litlenCodes[endSymbol]), uint(c.litlenLengths[endSymbol]))
	return true
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// tokens writes the symbols. Four literals in a row, which are the most frequent,
// are at most 56 bits; one token of any kind is at most 47, and 7 are left of the
// one before.
func (w *writer) tokens(c *codes, tokens []token) {
	litlen, dist := &c.litlen, &c.dist
	out, pos, buf, n := w.out, w.pos, w.buf, uint64(w.n)
	for i := 0; i < len(tokens); {
		if i+4 <= len(tokens) {
			t := tokens[i : i+4 : i+4]
			if (t[0]|t[1]|t[2]|t[3])&isMatch == 0 {
				i += 4
				l := uint64(litlen[t[0]&tokenLitlen])
				buf |= l >> litlenCode << (n & 63)
				n += l & litlenBits
				l = uint64(litlen[t[1]&tokenLitlen])
				buf |= l >> litlenCode << (n & 63)
				n += l & litlenBits
				l = uint64(litlen[t[2]&tokenLitlen])
				buf |= l >> litlenCode << (n & 63)
				n += l & litlenBits
				l = uint64(litlen[t[3]&tokenLitlen])
				buf |= l >> litlenCode << (n & 63)
				n += l & litlenBits
				binary.LittleEndian.PutUint64(out[pos:pos+8:pos+8], buf)
				pos += int(n >> 3)
				buf >>= n & 56
				n &= 7
				continue
			}
		}
		t := tokens[i]
		i++
		l := uint64(litlen[t&tokenLitlen])
		buf |= l >> litlenCode << (n & 63)
		n += l & litlenBits
		d := uint64(dist[t>>tokenDist&(distSymbols-1)])
		buf |= d >> distCode << (n & 63)
		buf |= uint64(t<<1>>(tokenExtra+1)) << ((n + d) & 63)
		n += d >> distTotal & 63
		binary.LittleEndian.PutUint64(out[pos:pos+8:pos+8], buf)
		pos += int(n >> 3)
		buf >>= n & 56
		n &= 7
	}
	w.pos, w.buf, w.n = pos, buf, uint(n)
}

// stored writes p as it is, in as many blocks as that takes.
func (w *writer) stored(p []byte, final bool) bool {
	for {
		n := min(len(p), maxStored)
		if !w.fits(3 + 7 + 32 + 8*n) {
			return false
		}
		w.put(flag(final && n == len(p)), 3)
		if w.n > 0 {
			w.put(0, 8-w.n)
		}
		binary.LittleEndian.PutUint16(w.out[w.pos:], uint16(n))
		binary.LittleEndian.PutUint16(w.out[w.pos+2:], ^uint16(n))
		w.pos += 4 + copy(w.out[w.pos+4:], p[:n])
		if p = p[n:]; len(p) == 0 {
			return true
		}
	}
}
