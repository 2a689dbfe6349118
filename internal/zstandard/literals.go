package zstandard

import (
	"encoding/binary"

	"ingest/internal/huffman"
)

const (
	maxHuffman   = 11 // bits of a code (RFC 8878 section 4.2.1)
	maxWeightLog = 6
	maxPlain     = 128 // weights that are written as they are
	// Fewer literals are not compressed.
	leastHuffman = 32
	// So many are four streams, which decoders read at the same time; fewer are one.
	fourStreams = 256
)

const (
	literalsRaw = iota
	literalsRLE
	literalsCompressed
)

// A literalWriter writes literals sections (RFC 8878 section 3.1.1.3.1).
type literalWriter struct {
	tree    huffman.Tree
	counts  [256]uint32
	lengths [256]uint8
	codes   [256]uint32 // code<<8 | length
	weights fseTable
}

// write writes the section for p, in the way that is the shortest, about.
func (l *literalWriter) write(w *bitWriter, p []byte) {
	if len(p) < leastHuffman {
		l.raw(w, p)
		return
	}
	largest, last := l.count(p)
	if largest == uint32(len(p)) {
		l.header(w, literalsRLE, len(p))
		w.put(uint64(p[0]), 8)
		return
	}
	start := w.pos
	// Where the most frequent byte is hardly more frequent than any other, no code helps.
	if largest <= uint32(len(p))>>7+4 || !l.compressed(w, p, last) {
		w.pos = start
		l.raw(w, p)
	}
}

// compressed writes a section by a Huffman code, of bytes up to the last. If that is not
// worth it, it returns false, and what it has written counts for nothing.
func (l *literalWriter) compressed(w *bitWriter, p []byte, last int) bool {
	l.tree.Lengths(l.counts[:], l.lengths[:], maxHuffman)
	total := uint32(0)
	for s, c := range &l.counts {
		total += c * uint32(l.lengths[s])
	}
	// A decoder needs more time for it: it has to save a part in 64 at least.
	if size := int(total >> 3); size+size>>6+16 >= len(p) {
		return false
	}
	head := 3
	switch {
	case len(p) >= 1<<14:
		head = 5
	case len(p) >= 1<<10:
		head = 4
	}
	start := w.pos
	w.pos += head
	if !l.describe(w, last, l.assign(last)) {
		return false
	}
	format := uint64(head - 2)
	if len(p) < fourStreams {
		format = 0
		l.stream(w, p)
	} else {
		l.streams(w, p)
	}
	size := w.pos - start - head
	width := uint(head*8-4) / 2
	v := literalsCompressed | format<<2 | uint64(len(p))<<4 | uint64(size)<<(4+width)
	for i := range head {
		w.out[start+i] = byte(v >> (8 * i))
	}
	return size+head < len(p)
}

func (l *literalWriter) raw(w *bitWriter, p []byte) {
	l.header(w, literalsRaw, len(p))
	w.bytes(p)
}

// header writes that of a section without a tree.
func (l *literalWriter) header(w *bitWriter, kind uint64, n int) {
	switch {
	case n < 1<<5:
		w.put(kind|uint64(n)<<3, 8)
	case n < 1<<12:
		w.put(kind|1<<2|uint64(n)<<4, 16)
	default:
		w.put(kind|3<<2|uint64(n)<<4, 24)
	}
}

// count fills counts, and returns the largest of them and the last symbol.
func (l *literalWriter) count(p []byte) (largest uint32, last int) {
	// Four, because the same byte twice would wait for its own count.
	var a, b, c, d [256]uint32
	for len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p)
		p = p[8:]
		a[byte(x)]++
		b[byte(x>>8)]++
		c[byte(x>>16)]++
		d[byte(x>>24)]++
		a[byte(x>>32)]++
		b[byte(x>>40)]++
		c[byte(x>>48)]++
		d[byte(x>>56)]++
	}
	for _, v := range p {
		a[v]++
	}
	for i := range 256 {
		n := a[i] + b[i] + c[i] + d[i]
		l.counts[i] = n
		if n > 0 {
			last = i
		}
		largest = max(largest, n)
	}
	return largest, last
}

// assign gives each symbol its code, and returns how long the longest is: those of the
// same length ascend, and the longest begin at 0 (RFC 8878 section 4.2.1.3).
func (l *literalWriter) assign(last int) uint8 {
	var at [16]uint32
	for _, n := range l.lengths[:last+1] {
		at[n&15]++
	}
	at[0] = 0
	code, long := uint32(0), uint8(0)
	for n := maxHuffman; n > 0; n-- {
		if at[n] > 0 && long == 0 {
			long = uint8(n)
		}
		at[n], code = code, (code+at[n])>>1
	}
	for s, n := range &l.lengths {
		l.codes[s] = at[n&15]<<8 | uint32(n)
		at[n&15]++
	}
	return long
}

// streams writes four streams behind their jump table.
func (l *literalWriter) streams(w *bitWriter, p []byte) {
	const jumps = 6
	at := w.pos
	w.pos += jumps
	part := (len(p) + 3) / 4
	for i := range 4 {
		from := w.pos
		l.stream(w, p[i*part:min((i+1)*part, len(p))])
		if i < 3 {
			binary.LittleEndian.PutUint16(w.out[at+2*i:], uint16(w.pos-from))
		}
	}
}

// stream writes the codes of p from its end. Four codes are 44 bits at most, and 7
// bits are left of those before.
func (l *literalWriter) stream(w *bitWriter, p []byte) {
	codes := &l.codes
	pos, buf, n := w.pos, w.buf, uint64(w.n)
	out := &w.out
	for len(p) >= 4 {
		q := p[len(p)-4:]
		p = p[:len(p)-4]
		c3, c2, c1, c0 := uint64(codes[q[3]]), uint64(codes[q[2]]), uint64(codes[q[1]]), uint64(codes[q[0]])
		v := c3>>8 | c2>>8<<(c3&63)
		u := c1>>8 | c0>>8<<(c1&63)
		vn, un := c3&255+c2&255, c1&255+c0&255
		buf |= (v | u<<(vn&63)) << (n & 63)
		n += vn + un
		o := pos & (room - 1)
		binary.LittleEndian.PutUint64(out[o:o+8], buf)
		pos += int(n >> 3)
		buf >>= n & 56
		n &= 7
	}
	w.pos, w.buf, w.n = pos, buf, uint(n)
	for i := len(p) - 1; i >= 0; i-- {
		c := codes[p[i]]
		w.put(uint64(c>>8), uint(c&255))
	}
	w.finish()
}
