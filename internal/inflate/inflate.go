// Package inflate decompresses whole DEFLATE streams (RFC 1951), bare or in a
// zlib wrapper (RFC 1950), from one buffer into another whose size is known.
//
// It is for what disk images are made of: clusters and grains of a few tens of
// KiB, each a stream of its own. Knowing both buffers in full lets it look up
// symbols in wide tables out of a 64-bit bit buffer and copy eight bytes at a
// time, without asking for room at every byte.
//
// Streams are hostile. Nothing is read or written outside the two slices, and
// the package accepts and refuses the same streams as compress/flate does,
// which its fuzz tests hold it against.
package inflate

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// What can be wrong with a stream.
var (
	// ErrCorrupt: the bytes are no DEFLATE stream.
	ErrCorrupt = errors.New("inflate: corrupt stream")
	// ErrTruncated: src ends before the stream does.
	ErrTruncated = errors.New("inflate: stream ends too early")
	// ErrFull: dst is full and the stream goes on.
	ErrFull = errors.New("inflate: stream gives more bytes than there is room for")
	// ErrHeader: no zlib header, or one that asks for a preset dictionary.
	ErrHeader = errors.New("inflate: no zlib header")
	// ErrChecksum: what came out has another Adler-32 than the stream says.
	ErrChecksum = errors.New("inflate: checksum differs")
)

// A Decoder holds the tables of one stream at a time, 40 KiB. The zero value is
// ready; it serves one goroutine.
type Decoder struct {
	src []byte
	dst []byte
	pos int    // in src, behind what is in the bit buffer
	out int    // bytes written to dst
	buf uint64 // bit buffer: the next bit is the lowest
	n   uint   // bits in it
	far uint   // all distances of the stream, less one each, ORed

	litlen litlenTable
	dist   distTable
	fixed  bool // the tables are those of fixed blocks

	pre     preTable
	lengths [maxLitlen + maxDist]uint8
	sorted  [maxLitlen]uint16
}

// Raw inflates the bare stream at the begin of src into dst and returns how
// many bytes of each it has used. Whatever the error, dst[:written] is what the
// stream gives; with ErrFull all of dst is. What follows the stream in src is
// left alone.
func (d *Decoder) Raw(dst, src []byte) (written, used int, err error) {
	d.src, d.dst, d.pos, d.out, d.buf, d.n, d.far = src, dst, 0, 0, 0, 0, 0
	err = d.stream()
	written, used = d.out, d.pos-int(d.n>>3)
	d.src, d.dst = nil, nil
	return written, used, err
}

// Window returns the window that the last stream needs, bytes: the least power of
// two that no distance of it exceeds.
func (d *Decoder) Window() int { return 1 << bits.Len(d.far) }

// stream inflates block after block.
func (d *Decoder) stream() error {
	for {
		if !d.need(3) {
			return ErrTruncated
		}
		last, kind := d.take(1), d.take(2)
		var err error
		switch kind {
		case 0:
			err = d.stored()
		case 1:
			if !d.fixed {
				d.fixTables()
			}
			err = d.block()
		case 2:
			if err = d.readTables(); err == nil {
				err = d.block()
			}
		default:
			err = ErrCorrupt
		}
		if err != nil || last == 1 {
			return err
		}
	}
}

// stored copies a block that is not compressed (RFC 1951 section 3.2.4).
func (d *Decoder) stored() error {
	d.drop(d.n & 7)
	if !d.need(32) {
		return ErrTruncated
	}
	size, check := int(d.take(16)), int(d.take(16))
	if size != ^check&0xffff {
		return ErrCorrupt
	}
	// Whole bytes that are in the bit buffer go back.
	d.pos -= int(d.n >> 3)
	d.buf, d.n = 0, 0
	have := min(size, len(d.src)-d.pos)
	n := copy(d.dst[d.out:], d.src[d.pos:d.pos+have])
	d.out += n
	d.pos += n
	switch {
	case n < have:
		return ErrFull
	case have < size:
		return ErrTruncated
	}
	return nil
}

// need fills the bit buffer up to at least n bits, at most 56, if src has them.
func (d *Decoder) need(n uint) bool {
	for d.n < n {
		if d.pos >= len(d.src) {
			return false
		}
		d.buf |= uint64(d.src[d.pos]) << d.n
		d.pos++
		d.n += 8
	}
	return true
}

// fill puts as many whole bytes into the bit buffer as there is room for.
func (d *Decoder) fill() {
	if len(d.src)-d.pos >= 8 {
		d.buf |= binary.LittleEndian.Uint64(d.src[d.pos:]) << d.n
		d.pos += int((63 - d.n) >> 3)
		d.n |= 56
		// Bits above n would be counted twice by need.
		d.buf &= 1<<d.n - 1
		return
	}
	d.need(56)
}

// take removes n bits that are in the bit buffer.
func (d *Decoder) take(n uint) uint32 {
	v := uint32(d.buf & (1<<n - 1))
	d.drop(n)
	return v
}

func (d *Decoder) drop(n uint) {
	d.buf >>= n
	d.n -= n
}
