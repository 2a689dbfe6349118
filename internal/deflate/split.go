package deflate

import (
	"math"
	"math/bits"
)

const (
	// chunkTokens is where blocks may end: at multiples of so many tokens.
	chunkTokens = 4096
	maxChunks   = segment / chunkTokens
	// headerBits is what a block's code lengths cost, whatever they are.
	headerBits = 300
	// symbolBits is what they cost for each literal that occurs.
	symbolBits = 3
)

// A histogram counts the symbols of tokens.
type histogram struct {
	litlen [numLitlen]uint32
	dist   [numDist]uint32
	end    int    // index of the first token behind them
	bytes  int    // that they stand for
	cost   uint64 // bits that they take, about, in 1/256
}

// A splitter cuts tokens into blocks.
type splitter struct {
	cuts [maxChunks]histogram
	both histogram
}

// split returns the blocks: neighbouring chunks are one if two would not be
// shorter by what a header costs.
func (s *splitter) split(tokens []token) []histogram {
	n := 0
	for from := 0; from < len(tokens) || n == 0; {
		end := min(from+chunkTokens, len(tokens))
		c := &s.cuts[n]
		c.count(tokens[from:end])
		c.end = end
		c.cost = c.estimate()
		from = end
		if n > 0 && s.joined(&s.cuts[n-1], c) {
			s.cuts[n-1] = s.both
		} else {
			n++
		}
	}
	return s.cuts[:n]
}

// joined makes both of a and b and tells whether that is better than the two.
func (s *splitter) joined(a, b *histogram) bool {
	for i := range s.both.litlen {
		s.both.litlen[i] = a.litlen[i] + b.litlen[i]
	}
	for i := range s.both.dist {
		s.both.dist[i] = a.dist[i] + b.dist[i]
	}
	s.both.end, s.both.bytes = b.end, a.bytes+b.bytes
	s.both.cost = s.both.estimate()
	return s.both.cost <= a.cost+b.cost+headerBits<<8
}

// count fills h with those of the tokens.
func (h *histogram) count(tokens []token) {
	// Two, because the same literal twice would wait for its own count.
	var litlen, other [tokenLitlen + 1]uint32
	var dist [distSymbols]uint32
	for len(tokens) >= 4 {
		a, b, c, d := tokens[0], tokens[1], tokens[2], tokens[3]
		tokens = tokens[4:]
		litlen[a&tokenLitlen]++
		other[b&tokenLitlen]++
		litlen[c&tokenLitlen]++
		other[d&tokenLitlen]++
		if (a|b|c|d)&isMatch != 0 {
			dist[a>>tokenDist&(distSymbols-1)]++
			dist[b>>tokenDist&(distSymbols-1)]++
			dist[c>>tokenDist&(distSymbols-1)]++
			dist[d>>tokenDist&(distSymbols-1)]++
		}
	}
	for _, t := range tokens {
		litlen[t&tokenLitlen]++
		dist[t>>tokenDist&(distSymbols-1)]++
	}
	clear(h.litlen[:])
	h.bytes = 0
	for i := range 256 {
		h.litlen[i] = litlen[i] + other[i]
		h.bytes += int(h.litlen[i])
	}
	for i := range 256 {
		c := litlen[256+i] + other[256+i]
		h.litlen[endSymbol+1+int(lengthSymbols[i])] += c
		h.bytes += int(c) * (i + minMatch)
	}
	copy(h.dist[:], dist[:])
}

// estimate returns the entropy of the symbols and what their code lengths cost,
// without what does not depend on where blocks end.
func (h *histogram) estimate() uint64 {
	litlen, used := entropy(h.litlen[:])
	dist, _ := entropy(h.dist[:])
	return litlen + dist + used*symbolBits<<8
}

// entropy returns 256 times the bits that the counts' symbols take.
func entropy(counts []uint32) (total, used uint64) {
	var sum uint32
	var parts uint64
	for _, c := range counts {
		if c > 0 {
			sum += c
			parts += nlogn(c)
			used++
		}
	}
	return nlogn(sum) - parts, used
}

// logarithms has 256*log2(1+i/256).
var logarithms [256]uint32

func init() {
	for i := range logarithms {
		logarithms[i] = uint32(math.Round(256 * math.Log2(1+float64(i)/256)))
	}
}

// nlogn returns about 256*n*log2(n).
func nlogn(n uint32) uint64 {
	if n < 2 {
		return 0
	}
	z := bits.LeadingZeros32(n)
	mantissa := n << z >> 23 & 255
	return uint64(n) * uint64(uint32(31-z)<<8+logarithms[mantissa])
}
