package qcow2

import (
	"encoding/binary"
	"errors"
)

// Magics of zstd frames; RFC 8878 sections 3.1.1 and 3.1.2. The low four bits
// of a skippable frame's are free.
const (
	zstdMagic = 0xFD2FB528
	skipMagic = 0x184D2A50
)

// errFrame is returned for bytes that are no whole zstd frame.
var errFrame = errors.New("not a whole zstd frame")

// frameLen returns the length of the zstd frame at the begin of p, which goes on
// behind it: an L2 entry counts whole sectors, and the next cluster's frame may
// begin in the last of them. It walks the headers of the frame's blocks and
// checks no more than it needs to; the decoder does.
func frameLen(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, errFrame
	}
	magic := binary.LittleEndian.Uint32(p)
	if magic&^0xF == skipMagic {
		n := uint64(8) + uint64(binary.LittleEndian.Uint32(p[4:]))
		if n > uint64(len(p)) {
			return 0, errFrame
		}
		return int(n), nil
	}
	if magic != zstdMagic {
		return 0, errFrame
	}
	at := 5 + frameHeaderLen(p[4])
	for last := false; !last; {
		if at+3 > len(p) {
			return 0, errFrame
		}
		// Section 3.1.1.2: the last block's bit, two bits of type, 21 of size.
		h := uint32(p[at]) | uint32(p[at+1])<<8 | uint32(p[at+2])<<16
		at += 3
		last = h&1 != 0
		switch h >> 1 & 3 {
		case 1: // one byte, repeated
			at++
		case 3:
			return 0, errFrame
		default:
			at += int(h >> 3)
		}
	}
	if p[4]&(1<<2) != 0 { // content checksum
		at += 4
	}
	if at > len(p) {
		return 0, errFrame
	}
	return at, nil
}

// frameHeaderLen returns how many bytes of frame header follow the descriptor:
// window descriptor, dictionary and content size; section 3.1.1.1.
func frameHeaderLen(descriptor byte) int {
	single := descriptor&(1<<5) != 0
	n := [...]int{0, 1, 2, 4}[descriptor&3]
	if !single {
		n++
	}
	switch size := descriptor >> 6; {
	case size > 0:
		n += 1 << size
	case single:
		n++
	}
	return n
}

// framesLen returns the length of the frames at the begin of p that decode to
// size bytes: qemu-img writes one. A frame that does not tell its content's
// size is taken to be the last.
func framesLen(p []byte, size int64) (int, error) {
	at := 0
	for size > 0 {
		n, err := frameLen(p[at:])
		if err != nil {
			return 0, err
		}
		content, told := frameContent(p[at : at+n])
		at += n
		if !told || content >= uint64(size) {
			break
		}
		size -= int64(content)
	}
	return at, nil
}

// frameContent returns how many bytes a whole frame says that it decodes to;
// sections 3.1.1.1.4 and 3.1.2.
func frameContent(p []byte) (n uint64, told bool) {
	if binary.LittleEndian.Uint32(p) != zstdMagic {
		return 0, true // skippable
	}
	var b [8]byte
	single, flag := p[4]&(1<<5) != 0, p[4]>>6
	width := 1 << flag
	if flag == 0 && !single {
		return 0, false
	}
	copy(b[:width], p[5+frameHeaderLen(p[4])-width:])
	n = binary.LittleEndian.Uint64(b[:])
	if flag == 1 {
		n += 256
	}
	return n, true
}
