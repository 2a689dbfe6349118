package inflate

import (
	"encoding/binary"
	"hash/adler32"
)

// Zlib inflates the zlib stream at the begin of src into dst and compares its
// checksum, which can only be done if dst holds all that the stream gives. It
// returns what Raw returns.
func (d *Decoder) Zlib(dst, src []byte) (written, used int, err error) {
	if len(src) < 2 {
		return 0, 0, ErrTruncated
	}
	// RFC 1950 section 2.2: CM 8, a window of at most 32 KiB, FCHECK, FDICT.
	head := binary.BigEndian.Uint16(src)
	if head>>8&15 != 8 || head>>12 > 7 || head%31 != 0 || head&0x20 != 0 {
		return 0, 0, ErrHeader
	}
	written, used, err = d.Raw(dst, src[2:])
	used += 2
	if err != nil {
		return written, used, err
	}
	if len(src)-used < 4 {
		return written, len(src), ErrTruncated
	}
	if adler32.Checksum(dst[:written]) != binary.BigEndian.Uint32(src[used:]) {
		return written, used + 4, ErrChecksum
	}
	return written, used + 4, nil
}
