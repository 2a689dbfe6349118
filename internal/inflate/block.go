package inflate

import "encoding/binary"

// Room that one turn of the fast loop wants: three entries of two literals, the
// longest match, and what a copy writes behind it; and what two fills read.
const (
	outMargin = 3*2 + 258 + 24
	inMargin  = 3*8 + 8
)

// block inflates up to the end of a compressed block, the tables of which are
// ready.
func (d *Decoder) block() error {
	for {
		if ended, err := d.fast(); ended || err != nil {
			return err
		}
		if ended, err := d.slow(); ended || err != nil {
			return err
		}
	}
}

// slow inflates one symbol near the end of src or dst. It is exact where fast
// has margins.
func (d *Decoder) slow() (ended bool, err error) {
	d.fill()
	e := d.litlen[d.buf&(1<<litlenBits-1)]
	if e&entryLiteral == 0 && e&entryOther != 0 && e&entrySub != 0 {
		if d.n < litlenBits {
			return false, ErrTruncated
		}
		d.drop(litlenBits)
		e = d.litlen[e>>16+uint32(d.buf)&(1<<(e>>8&15)-1)]
	}
	if uint(e&entryBits) > d.n {
		return false, ErrTruncated
	}
	switch {
	case e&entryLiteral != 0:
		d.drop(uint(e & entryBits))
		if d.out == len(d.dst) {
			return false, ErrFull
		}
		d.dst[d.out] = byte(e >> 8)
		d.out++
		return false, nil
	case e&entryEnd != 0 && e&entryOther != 0:
		d.drop(uint(e & entryBits))
		return true, nil
	case e&entryOther != 0:
		return false, d.noCode()
	}
	return false, d.slowMatch(int(d.value(e)))
}

// noCode tells a code that does not exist from one that src does not hold.
func (d *Decoder) noCode() error {
	if d.n < maxCode {
		return ErrTruncated
	}
	return ErrCorrupt
}

// value takes a length's or distance's bits, which are there, and returns what
// they say.
func (d *Decoder) value(e uint32) uint32 {
	bits, code := uint(e&entryBits), uint(e>>8&15)
	extra := uint32(d.buf&(1<<bits-1)) >> code
	d.drop(bits)
	return e>>16 + extra
}

// slowMatch reads a distance and copies.
func (d *Decoder) slowMatch(length int) error {
	d.fill()
	e := d.dist[d.buf&(1<<distBits-1)]
	if e&entryOther != 0 && e&entrySub != 0 {
		if d.n < distBits {
			return ErrTruncated
		}
		d.drop(distBits)
		e = d.dist[e>>16+uint32(d.buf)&(1<<(e>>8&15)-1)]
	}
	if uint(e&entryBits) > d.n {
		return ErrTruncated
	}
	if e&entryOther != 0 {
		return d.noCode()
	}
	dist := int(d.value(e))
	if dist > d.out {
		return ErrCorrupt
	}
	d.far |= uint(dist - 1)
	full := length > len(d.dst)-d.out
	for range min(length, len(d.dst)-d.out) {
		d.dst[d.out] = d.dst[d.out-dist]
		d.out++
	}
	if full {
		return ErrFull
	}
	return nil
}

// fast inflates as long as there is room for whole turns on both sides. Each
// turn looks up the next turn's first entry before it copies, so that the two
// overlap.
//
// n counts modulo 64: what stands above its low six bits is left over from
// entries that were subtracted whole.
func (d *Decoder) fast() (ended bool, err error) {
	src, dst := d.src, d.dst
	pos, out, buf, n, far := d.pos, d.out, d.buf, uint32(d.n), d.far
	posEnd, outEnd := len(src)-inMargin, len(dst)-outMargin
	litlen, dists := &d.litlen, &d.dist
	if pos >= posEnd || out >= outEnd {
		return false, nil
	}
	buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
	pos += int(^n & 63 >> 3)
	n |= 56
	e := litlen[buf&(1<<litlenBits-1)]

	for pos < posEnd && out < outEnd {
		if e&entryLiteral != 0 {
			buf >>= e & 63
			n -= e
			dst[out] = byte(e >> 8)
			out++
			e = litlen[buf&(1<<litlenBits-1)]
			if e&entryLiteral != 0 {
				buf >>= e & 63
				n -= e
				dst[out] = byte(e >> 8)
				out++
				e = litlen[buf&(1<<litlenBits-1)]
				if e&entryLiteral != 0 {
					buf >>= e & 63
					n -= e
					dst[out] = byte(e >> 8)
					out++
					buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
					pos += int(^n & 63 >> 3)
					n |= 56
					e = litlen[buf&(1<<litlenBits-1)]
					continue
				}
			}
			// Up to 22 bits of 56 are gone: a match takes up to 48. The entry stays.
			buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
			pos += int(^n & 63 >> 3)
			n |= 56
		}
		if e&entryOther != 0 {
			if e&entrySub != 0 {
				buf >>= litlenBits
				n -= litlenBits
				e = litlen[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
			}
			if e&entryLiteral != 0 {
				buf >>= e & 63
				n -= e
				dst[out] = byte(e >> 8)
				out++
				buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
				pos += int(^n & 63 >> 3)
				n |= 56
				e = litlen[buf&(1<<litlenBits-1)]
				continue
			}
			if e&entryOther != 0 {
				ended = e&entryEnd != 0
				if !ended {
					err = ErrCorrupt
				} else {
					buf >>= e & 63
					n -= e
				}
				break
			}
		}
		length := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		n -= e

		e = dists[buf&(1<<distBits-1)]
		if e&entryOther != 0 {
			if e&entrySub != 0 {
				buf >>= distBits
				n -= distBits
				e = dists[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
			}
			if e&entryOther != 0 {
				err = ErrCorrupt
				break
			}
		}
		dist := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		n -= e
		from, end := out-dist, out+length
		if from < 0 {
			err = ErrCorrupt
			break
		}
		far |= uint(dist - 1)

		buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
		pos += int(^n & 63 >> 3)
		n |= 56
		e = litlen[buf&(1<<litlenBits-1)]

		if dist < 8 {
			// Each turn doubles what is known of the pattern.
			for dist < 8 && out < end {
				binary.LittleEndian.PutUint64(dst[out:], binary.LittleEndian.Uint64(dst[from:]))
				out += dist
				dist += dist
			}
		}
		binary.LittleEndian.PutUint64(dst[out:], binary.LittleEndian.Uint64(dst[from:]))
		binary.LittleEndian.PutUint64(dst[out+8:], binary.LittleEndian.Uint64(dst[from+8:]))
		if out+16 < end {
			out += 16
			from += 16
			for out < end {
				binary.LittleEndian.PutUint64(dst[out:], binary.LittleEndian.Uint64(dst[from:]))
				out += 8
				from += 8
			}
		}
		out = end
	}
	n &= 63
	d.pos, d.out, d.buf, d.n, d.far = pos, out, buf&(1<<n-1), uint(n), far
	return ended, err
}
