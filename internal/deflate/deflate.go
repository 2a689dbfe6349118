// Package deflate compresses whole buffers into DEFLATE streams (RFC 1951), bare
// or in a zlib wrapper (RFC 1950).
//
// It is for what disk images are made of: clusters and grains of a few tens of
// KiB, each a stream of its own, read by programs that may insist on a window of
// 4 KiB. Knowing the input in full lets it keep everything in arrays that are
// indexed by 16-bit positions, so that no bound has to be checked, and cut the
// input into blocks where its statistics change.
//
// The same input gives the same stream, whatever an Encoder did before.
package deflate

import (
	"encoding/binary"
	"hash/adler32"
	"slices"
)

// Windows.
const (
	// MaxWindow is DEFLATE's own.
	MaxWindow = 32 << 10
	// SmallWindow is what qcow2's readers have.
	SmallWindow = 4 << 10
)

// An Encoder holds what one stream at a time needs, 0.5 MiB. It serves one goroutine,
// and allocates nothing but room in dst.
type Encoder struct {
	window int
	m      matcher
	s      splitter
	w      writer
}

// New returns an Encoder whose distances stay within the window, a power of two
// from 256 bytes to MaxWindow.
func New(window int, effort Effort) *Encoder {
	if window < 256 || window > MaxWindow || window&(window-1) != 0 {
		panic("deflate: window")
	}
	e := &Encoder{window: window}
	e.m.init(window, effort)
	return e
}

// Raw appends the bare stream of src to dst. If it takes more than limit bytes it
// returns dst as it was, and false.
func (e *Encoder) Raw(dst, src []byte, limit int) ([]byte, bool) {
	return e.run(dst, src, limit, true)
}

// Run appends blocks that stand alone: they refer to no byte before src, none is
// the last of a stream, and an empty stored block at their end fills up the last
// byte, so that runs can stand one behind the other (RFC 1951 section 3.2.4).
func (e *Encoder) Run(dst, src []byte) []byte {
	dst, _ = e.run(dst, src, bound(len(src)), false)
	return dst
}

// Zlib appends the zlib stream of src to dst.
func (e *Encoder) Zlib(dst, src []byte) []byte {
	// CM 8, the window, and no preset dictionary; FCHECK makes it a multiple of 31.
	head := uint16(8|(log2(e.window)-8)<<4)<<8 | 1<<6
	head += 31 - head%31
	dst = binary.BigEndian.AppendUint16(dst, head)
	dst, _ = e.run(dst, src, bound(len(src)), true)
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(src))
}

// bound is how long a stream of n bytes gets at most: each block is stored if it
// does not get smaller, and stands for chunkTokens bytes or more unless it is the
// last of a segment.
func bound(n int) int { return n + n/256 + 64 }

func (e *Encoder) run(dst, src []byte, limit int, final bool) ([]byte, bool) {
	start := len(dst)
	limit = min(limit, bound(len(src)))
	// The bit writer stores eight bytes at a time.
	dst = slices.Grow(dst, limit+writeMargin)
	e.w.start(dst[start:start+limit+writeMargin], limit)
	e.m.reset()
	for at := 0; ; {
		n := e.m.load(src[at:])
		at += n
		last := at == len(src)
		e.m.parse()
		if !e.blocks(src[at-n:at], final && last) {
			return dst[:start], false
		}
		if last {
			break
		}
	}
	if !final && !e.w.stored(nil, false) {
		return dst[:start], false
	}
	n, ok := e.w.finish()
	return dst[:start+n], ok
}

// blocks writes the tokens that stand for src.
func (e *Encoder) blocks(src []byte, final bool) bool {
	tokens := e.m.tokens[:e.m.n]
	cuts := e.s.split(tokens)
	from, at := 0, 0
	for i := range cuts {
		c := &cuts[i]
		n := c.bytes
		if !e.w.block(c, tokens[from:c.end], src[at:at+n], final && i == len(cuts)-1) {
			return false
		}
		from, at = c.end, at+n
	}
	return true
}
