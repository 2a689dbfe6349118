package zstandard

import (
	"encoding/binary"
	"math/bits"
)

// Alphabets (RFC 8878 section 3.1.1.3.2.1.1).
const (
	numLit    = 36
	numMatch  = 53
	numOffset = 32 // more than there are in a window of 64 KiB
	minMatch  = 3
	// Codes of literal lengths, and of match lengths less minMatch, stand in tables
	// below these; above, each doubles the length.
	litTable   = 64
	matchTable = 128
)

// A sequence is a run of literals and a match behind it.
type sequence struct {
	lit    uint16
	match  uint16 // length less minMatch
	offset uint32 // the distance, and then the value that stands for it
}

// modes of a table (RFC 8878 section 3.1.1.3.2.1).
const (
	modePredefined = iota
	modeRLE
	modeFSE
)

var (
	litCodes   [litTable]uint8
	matchCodes [matchTable]uint8
	litExtra   [numLit]uint8
	matchExtra [numMatch]uint8

	litNorm    = []int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}
	matchNorm  = []int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}
	offsetNorm = []int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}
)

func init() {
	fill := func(codes, extra []uint8, plain int, widths []uint8) {
		base := 0
		for c := range extra {
			if c >= plain {
				extra[c] = widths[c-plain]
			}
			for range 1 << extra[c] {
				if base < len(codes) {
					codes[base] = uint8(c)
				}
				base++
			}
		}
	}
	fill(litCodes[:], litExtra[:], 16, []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	fill(matchCodes[:], matchExtra[:], 32, []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
}

func litCode(n uint16) uint8 {
	if n < litTable {
		return litCodes[n]
	}
	return uint8(bits.Len16(n) + 18)
}

func matchCode(n uint16) uint8 {
	if n < matchTable {
		return matchCodes[n]
	}
	return uint8(bits.Len16(n) + 35)
}

// A sequenceWriter writes sequences sections (RFC 8878 section 3.1.1.3.2).
type sequenceWriter struct {
	lit, match, offset coder
	packed             [maxSequences]packed
	recent             [3]uint32
}

// packed is a sequence as it is written:
//
//	codes  of the literal length, the match length and the offset, and how many
//	       extra bits there are, a byte each
//	extra  the extra bits: of the literal length, of the match length, of the offset
type packed struct {
	codes uint32
	extra uint64
}

func (s *sequenceWriter) init() {
	s.lit.init(litNorm, 6)
	s.match.init(matchNorm, 6)
	s.offset.init(offsetNorm, 5)
}

func (s *sequenceWriter) reset() { s.recent = [3]uint32{1, 4, 8} }

// write writes the section.
func (s *sequenceWriter) write(w *bitWriter, seqs []sequence) {
	n := len(seqs)
	if n < 128 {
		w.put(uint64(n), 8)
	} else { // fewer than 0x7F00 are in a block
		w.put(uint64(n>>8+128)|uint64(n&255)<<8, 16)
	}
	if n == 0 {
		return
	}
	s.pack(seqs)
	s.lit.choose(uint32(n), numLit, maxLog)
	s.offset.choose(uint32(n), numOffset, maxLog-1)
	s.match.choose(uint32(n), numMatch, maxLog)
	w.put(s.lit.mode<<6|s.offset.mode<<4|s.match.mode<<2, 8)
	s.lit.describe(w)
	s.offset.describe(w)
	s.match.describe(w)
	s.bits(w, n)
}

// pack makes codes and counts them (RFC 8878 section 3.1.1.5).
func (s *sequenceWriter) pack(seqs []sequence) {
	clear(s.lit.counts[:])
	clear(s.match.counts[:])
	clear(s.offset.counts[:])
	r0, r1, r2 := s.recent[0], s.recent[1], s.recent[2]
	for i := range seqs {
		q := &seqs[i]
		d := q.offset
		v := d + 3
		if d == r0 && q.lit != 0 {
			v = 1
		} else if d == r1 {
			v = 2
			if q.lit == 0 {
				v = 1
			}
			r0, r1 = r1, r0
		} else {
			if d == r2 {
				v = 3
				if q.lit == 0 {
					v = 2
				}
			}
			r0, r1, r2 = d, r0, r1
		}
		lc, mc, oc := litCode(q.lit), matchCode(q.match), uint32(bits.Len32(v)-1)
		le, me := uint32(litExtra[lc&63]), uint32(matchExtra[mc&63])
		extra := uint64(v) & (1<<(oc&31) - 1)
		extra = extra<<(me&31) | uint64(q.match)&(1<<(me&31)-1)
		extra = extra<<(le&31) | uint64(q.lit)&(1<<(le&31)-1)
		p := &s.packed[i&(maxSequences-1)]
		p.codes = uint32(lc) | uint32(mc)<<8 | oc<<16 | (le+me+oc)<<24
		p.extra = extra
		s.lit.counts[lc&63]++
		s.match.counts[mc&63]++
		s.offset.counts[oc&63]++
	}
	s.recent = [3]uint32{r0, r1, r2}
}

// bits writes the bitstream of n sequences, of the last one first.
func (s *sequenceWriter) bits(w *bitWriter, n int) {
	lt, mt, ot := s.lit.use, s.match.use, s.offset.use
	i := n - 1
	p := &s.packed[i&(maxSequences-1)]
	ls, ms, os := lt.first(uint8(p.codes)), mt.first(uint8(p.codes>>8)), ot.first(uint8(p.codes>>16))
	w.put(p.extra, uint(p.codes>>24))
	pos, buf, have := w.pos, w.buf, uint64(w.n)
	out := &w.out
	for i--; i >= 0; i-- {
		p := s.packed[i&(maxSequences-1)]
		f, g, h := ot.transforms[uint8(p.codes>>16)&63], mt.transforms[uint8(p.codes>>8)&63], lt.transforms[uint8(p.codes)&63]
		on, mn, ln := (os+f.bits)>>16, (ms+g.bits)>>16, (ls+h.bits)>>16
		o, m, l := os>>(on&31), ms>>(mn&31), ls>>(ln&31)
		v := uint64(ls ^ l<<(ln&31))
		v = v<<(mn&63) | uint64(ms^m<<(mn&31))
		v = v<<(on&63) | uint64(os^o<<(on&31))
		os = uint32(ot.states[(int32(o)+f.find)&(1<<maxLog-1)])
		ms = uint32(mt.states[(int32(m)+g.find)&(1<<maxLog-1)])
		ls = uint32(lt.states[(int32(l)+h.find)&(1<<maxLog-1)])
		buf |= v << (have & 63)
		have += uint64(on + mn + ln)
		extra := uint64(p.codes >> 24)
		if have+extra >= 64 {
			at := pos & (room - 1)
			binary.LittleEndian.PutUint64(out[at:at+8], buf)
			pos += int(have >> 3)
			buf >>= have & 56
			have &= 7
		}
		buf |= p.extra << (have & 63)
		have += extra
		at := pos & (room - 1)
		binary.LittleEndian.PutUint64(out[at:at+8], buf)
		pos += int(have >> 3)
		buf >>= have & 56
		have &= 7
	}
	w.pos, w.buf, w.n = pos, buf, uint(have)
	w.put(uint64(ms)&(1<<mt.log-1), mt.log)
	w.put(uint64(os)&(1<<ot.log-1), ot.log)
	w.put(uint64(ls)&(1<<lt.log-1), lt.log)
	w.finish()
}
