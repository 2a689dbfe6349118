package zstandard

import "encoding/binary"

const (
	// room is how many bytes of a block's body there is room for, which may be longer
	// than the block until that is noticed: literals as they are, and sequences of the
	// shortest matches with the most bits.
	room            = 1 << 18
	maxSequenceBits = 8 + 9 + 9 + 15 + 15 + 16
)

// A bitWriter writes a bitstream that is read from its end (RFC 8878 section 4.1):
// the first bit is the lowest of the first byte.
type bitWriter struct {
	out [room + 8]byte
	pos int
	buf uint64
	n   uint // bits in buf, less than 8 between calls
}

func (w *bitWriter) reset() { w.pos, w.buf, w.n = 0, 0, 0 }

// put writes up to 56 bits.
func (w *bitWriter) put(v uint64, n uint) {
	w.buf |= v << (w.n & 63)
	w.n += n
	p := w.pos & (room - 1)
	binary.LittleEndian.PutUint64(w.out[p:p+8], w.buf)
	w.pos += int(w.n >> 3)
	w.buf >>= w.n & 56
	w.n &= 7
}

// align fills the last byte up with zeros, and returns where the next begins.
func (w *bitWriter) align() int {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	return w.pos
}

// finish ends a bitstream: a bit tells the reader where to begin.
func (w *bitWriter) finish() int {
	w.put(1, 1)
	return w.align()
}

// bytes appends p to what is written, at a byte's border.
func (w *bitWriter) bytes(p []byte) { w.pos += copy(w.out[w.pos&(room-1):room], p) }
