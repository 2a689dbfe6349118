package deflate

import (
	"math/bits"

	"ingest/internal/huffman"
)

// codes.litlen has of a symbol how many bits it takes, extra bits among them, and
// from bit litlenCode on these bits. codes.dist has the length of the code, from
// bit distTotal on how many bits it takes with its extra bits, and from bit
// distCode on the code.
const (
	litlenCode = 8
	litlenBits = 1<<litlenCode - 1
	distTotal  = 6
	distCode   = 16
)

// The codes of a block.
type codes struct {
	litlenLengths [huffman.MaxSymbols]uint8
	distLengths   [distSymbols]uint8
	litlenCodes   [huffman.MaxSymbols]uint16
	distCodes     [distSymbols]uint16

	litlen [tokenLitlen + 1]uint32
	dist   [distSymbols]uint32
}

// make makes the codes that are best for h.
func (c *codes) make(t *huffman.Tree, h *histogram) {
	lengthsOf(t, h.litlen[:], c.litlenLengths[:numLitlen], maxLitlenCode)
	lengthsOf(t, h.dist[:], c.distLengths[:numDist], maxDistCode)
}

// lengthsOf finds the lengths of codes. There are two codes at least, since some
// readers refuse incomplete ones.
func lengthsOf(t *huffman.Tree, counts []uint32, lengths []uint8, limit int) {
	switch n := t.Lengths(counts, lengths, limit); {
	case n == 0:
		lengths[0], lengths[1] = 1, 1
	case n == 1 && lengths[0] == 0:
		lengths[0] = 1
	case n == 1:
		lengths[1] = 1
	}
}

// fix makes the fixed codes (RFC 1951 section 3.2.6).
func (c *codes) fix() {
	for s := range c.litlenLengths {
		switch {
		case s < 144, s >= 280:
			c.litlenLengths[s] = 8
		case s < 256:
			c.litlenLengths[s] = 9
		default:
			c.litlenLengths[s] = 7
		}
	}
	for s := range c.distLengths {
		c.distLengths[s] = 5
	}
}

// bits returns how many the symbols of h take.
func (c *codes) bits(h *histogram) int {
	n := uint32(0)
	for s, f := range &h.litlen {
		n += f * uint32(c.litlenLengths[s])
	}
	for s, extra := range &lengthExtra {
		n += h.litlen[endSymbol+1+s] * uint32(extra)
	}
	for s, f := range &h.dist {
		n += f * uint32(c.distLengths[s]+distExtra[s])
	}
	return int(n)
}

// ready makes what tokens are written with.
func (c *codes) ready() {
	assign(c.litlenLengths[:], c.litlenCodes[:])
	assign(c.distLengths[:], c.distCodes[:])
	for i := range 256 {
		c.litlen[i] = uint32(c.litlenCodes[i])<<litlenCode | uint32(c.litlenLengths[i])
		s := int(lengthSymbols[i])
		n := c.litlenLengths[endSymbol+1+s]
		extra := uint32(i-int(lengthBase[s])) << n
		c.litlen[256+i] = (uint32(c.litlenCodes[endSymbol+1+s])|extra)<<litlenCode | uint32(n+lengthExtra[s])
	}
	for s := range numDist {
		n := uint32(c.distLengths[s])
		c.dist[s] = uint32(c.distCodes[s])<<distCode | (n+uint32(distExtra[s]))<<distTotal | n
	}
}

const (
	numPre    = 19
	maxPre    = 7
	preRepeat = 16 // the length before, 3 to 6 times: 2 extra bits
	preZeros  = 17 // 3 to 10 zeros: 3
	preMany   = 18 // 11 to 138 zeros: 7
)

var (
	preOrder = [numPre]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	preExtra = [numPre]uint8{preRepeat: 2, preZeros: 3, preMany: 7}
)

// A header is what stands of a block's codes in front of it (RFC 1951 section
// 3.2.7).
type header struct {
	items    [numLitlen + numDist]uint16 // symbol, extra bits from the fifth bit on
	n        int
	counts   [numPre]uint32
	lengths  [numPre]uint8
	codes    [numPre]uint16
	litlens  int
	dists    int
	pres     int
	bits     int
	sequence [numLitlen + numDist]uint8
}

func (h *header) make(t *huffman.Tree, c *codes) {
	h.litlens, h.dists = numLitlen, numDist
	for h.litlens > endSymbol+1 && c.litlenLengths[h.litlens-1] == 0 {
		h.litlens--
	}
	for h.dists > 1 && c.distLengths[h.dists-1] == 0 {
		h.dists--
	}
	copy(h.sequence[:], c.litlenLengths[:h.litlens])
	copy(h.sequence[h.litlens:], c.distLengths[:h.dists])
	h.n = 0
	clear(h.counts[:])
	h.runs(h.sequence[:h.litlens+h.dists])
	lengthsOf(t, h.counts[:], h.lengths[:], maxPre)
	assign(h.lengths[:], h.codes[:])
	h.pres = numPre
	for h.pres > 4 && h.lengths[preOrder[h.pres-1]] == 0 {
		h.pres--
	}
	h.bits = 14 + 3*h.pres
	for s, n := range &h.counts {
		h.bits += int(n) * int(h.lengths[s]+preExtra[s])
	}
}

// runs makes items of the code lengths.
func (h *header) runs(p []uint8) {
	for i := 0; i < len(p); {
		v, n := p[i], 1
		for i+n < len(p) && p[i+n] == v {
			n++
		}
		i += n
		if v != 0 {
			h.item(v, 0)
			n--
			for ; n >= 3; n -= min(n, 6) {
				h.item(preRepeat, min(n, 6)-3)
			}
		} else {
			for ; n >= 11; n -= min(n, 138) {
				h.item(preMany, min(n, 138)-11)
			}
			if n >= 3 {
				h.item(preZeros, n-3)
				n = 0
			}
		}
		for ; n > 0; n-- {
			h.item(v, 0)
		}
	}
}

func (h *header) item(symbol uint8, extra int) {
	h.items[h.n] = uint16(symbol) | uint16(extra)<<5
	h.counts[symbol]++
	h.n++
}

func (h *header) write(w *writer) {
	w.put(uint64(h.litlens-257)|uint64(h.dists-1)<<5|uint64(h.pres-4)<<10, 14)
	for _, s := range preOrder[:h.pres] {
		w.put(uint64(h.lengths[s]), 3)
	}
	for _, it := range h.items[:h.n] {
		s := it & 31
		n := uint(h.lengths[s])
		w.put(uint64(h.codes[s])|uint64(it>>5)<<n, n+uint(preExtra[s]))
	}
}

// assign gives symbols of the same length ascending codes (RFC 1951 section
// 3.2.2), their bits turned round as they stand in the stream.
func assign(lengths []uint8, codes []uint16) {
	var at, next [maxCode + 1]uint16
	for _, l := range lengths {
		at[l&maxCode]++
	}
	at[0] = 0
	code := uint16(0)
	for l := 1; l <= maxCode; l++ {
		code = (code + at[l-1]) << 1
		next[l] = code
	}
	for s, l := range lengths {
		codes[s] = bits.Reverse16(next[l&maxCode]) >> (16 - l&31)
		next[l&maxCode]++
	}
}
