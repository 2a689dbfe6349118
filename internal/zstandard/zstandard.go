package zstandard

import (
	"encoding/binary"
	"slices"
)

const (
	magic = 0xFD2FB528
	// Of the frame header descriptor (RFC 8878 section 3.1.1.1.1).
	singleSegment = 1 << 5
	sizeShift     = 6
	// Of a block header (RFC 8878 section 3.1.1.2).
	blockRaw        = 0
	blockCompressed = 2
	blockHeader     = 3
	maxHeader       = 9
	// A block of fewer bytes is not tried.
	minBlock = 16
)

// An Encoder holds what one frame at a time needs, 1 MiB. It serves one goroutine,
// and allocates nothing but room in dst.
type Encoder struct {
	m matcher
	l literalWriter
	s sequenceWriter
	w bitWriter
}

// New returns an Encoder.
func New() *Encoder {
	e := new(Encoder)
	e.s.init()
	return e
}

// Frame appends the frame of src, of less than 4 GiB, to dst. If it takes more than
// limit bytes, Frame returns dst as it was, and false. No frame is longer than src by
// more than 9 bytes and 3 for each 64 KiB.
func (e *Encoder) Frame(dst, src []byte, limit int) ([]byte, bool) {
	start := len(dst)
	dst = slices.Grow(dst, max(0, min(limit, len(src))+maxHeader+blockHeader))
	dst = appendHeader(dst, len(src))
	e.m.reset()
	e.s.reset()
	for {
		n := e.m.load(src)
		kind, body := e.block(src[:n])
		if len(dst)-start+blockHeader+len(body) > limit {
			return dst[:start], false
		}
		h := kind<<1 | uint32(len(body))<<3
		if n == len(src) {
			h |= 1
		}
		dst = append(dst, byte(h), byte(h>>8), byte(h>>16))
		dst = append(dst, body...)
		if src = src[n:]; len(src) == 0 {
			return dst, true
		}
	}
}

// appendHeader appends the frame's header, with the content size in as few bytes as
// it takes.
func appendHeader(dst []byte, n int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	switch {
	case n < 1<<8:
		return append(dst, singleSegment, byte(n))
	case n < 1<<8+1<<16:
		return binary.LittleEndian.AppendUint16(append(dst, 1<<sizeShift|singleSegment), uint16(n-1<<8))
	}
	return binary.LittleEndian.AppendUint32(append(dst, 2<<sizeShift|singleSegment), uint32(n))
}

// block returns the body of the block that was loaded, which is p. It is good until
// the next block.
func (e *Encoder) block(p []byte) (kind uint32, body []byte) {
	if len(p) < minBlock {
		return blockRaw, p
	}
	recent := e.s.recent
	e.m.parse()
	e.w.reset()
	e.l.write(&e.w, e.m.lits[:e.m.nlit])
	if e.w.pos < len(p) {
		e.s.write(&e.w, e.m.seqs[:e.m.n])
	}
	if e.w.pos >= len(p) {
		e.s.recent = recent // a decoder learns no distance of a raw block
		return blockRaw, p
	}
	return blockCompressed, e.w.out[:e.w.pos]
}
