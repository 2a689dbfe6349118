package deflate

import "math/bits"

// Alphabets (RFC 1951 section 3.2.5).
const (
	minMatch  = 3
	maxMatch  = 258
	endSymbol = 256
	numLitlen = 286
	numDist   = 30
	maxCode   = 15
	// Shorter than need be, so that four literals go into 64 bits with 7 others.
	maxLitlenCode = 14
	maxDistCode   = 15
)

// A token is a literal or a match, laid out so that either is written by the same
// steps, without a branch that nobody could predict:
//
//	bits 0-8    the literal, or 256 + length - 3
//	bits 9-13   distance symbol; noDist for a literal, whose code has no bits
//	bits 14-26  the distance's extra bits
//	bit 31      whether it is a match
type token uint32

const (
	tokenLitlen = 1<<9 - 1
	tokenDist   = 9
	tokenExtra  = 14
	isMatch     = 1 << 31
	noDist      = 30
	distSymbols = 32 // with noDist, and one that fills up

	literal token = noDist << tokenDist
)

// lengthSymbols has the symbol, less 257, of a length less 3; lengthExtra how many
// extra bits a symbol has, and lengthBase the least length less 3 that it stands for.
var (
	lengthSymbols [256]uint8
	lengthBase    [29]uint8
	lengthExtra   [29]uint8
)

// distSymbol has the symbol of a distance less 1 below 256, and behind those of
// multiples of 128.
var (
	distSymbol [512]uint8
	distBase   [distSymbols]uint16
	distExtra  [distSymbols]uint8
)

func init() {
	base := 0
	for s := range 28 {
		extra := max(0, s/4-1)
		lengthExtra[s], lengthBase[s] = uint8(extra), uint8(base)
		for range 1 << extra {
			if base < 255 {
				lengthSymbols[base] = uint8(s)
			}
			base++
		}
	}
	lengthSymbols[255], lengthBase[28] = 28, 255 // 258 has a symbol of its own
	for d := range 256 {
		distSymbol[d], distSymbol[256+d] = symbolOf(d), symbolOf(d<<7)
	}
	for s := range numDist {
		if distBase[s] = uint16(s); s >= 4 {
			extra := s/2 - 1
			distExtra[s], distBase[s] = uint8(extra), uint16((2+s&1)<<extra)
		}
	}
}

// symbolOf returns the symbol of a distance less 1.
func symbolOf(d int) uint8 {
	if d < 4 {
		return uint8(d)
	}
	n := log2(d)
	return uint8(2*n + d>>(n-1)&1)
}

func log2(n int) int { return bits.Len(uint(n)) - 1 }

func match(length int, dist uint32) token {
	d := dist - 1
	i := d
	if d >= 256 {
		i = 256 + d>>7
	}
	s := uint32(distSymbol[i&511])
	return isMatch | token(256+length-minMatch) | token(s)<<tokenDist | token(d-uint32(distBase[s&31]))<<tokenExtra
}
