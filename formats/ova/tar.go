package ova

import (
	"encoding/binary"
	"fmt"
)

// blockBytes is tar's unit; recordBytes is what tar fills an archive up to.
const (
	blockBytes  = 512
	recordBytes = 20 * blockBytes
)

// header returns a member's header (POSIX.1-2017, pax, "ustar Interchange
// Format"). name has at most 100 bytes.
func header(name string, size int64) []byte {
	p := make([]byte, blockBytes)
	copy(p[0:100], name)
	copy(p[100:], "0000644\x00") // mode
	copy(p[108:], "0000000\x00") // uid
	copy(p[116:], "0000000\x00") // gid
	copy(p[124:], sizeField(size))
	copy(p[136:], "00000000000\x00") // mtime
	copy(p[148:], "        ")        // chksum, counted as spaces
	p[156] = '0'
	copy(p[257:], "ustar\x0000")
	copy(p[329:], "0000000\x00") // devmajor
	copy(p[337:], "0000000\x00") // devminor
	sum := 0
	for _, c := range p {
		sum += int(c)
	}
	copy(p[148:], fmt.Sprintf("%06o\x00 ", sum))
	return p
}

// sizeField returns a size in octal, or in base-256 if it has more than eleven
// digits.
func sizeField(n int64) string {
	if n < 1<<33 {
		return fmt.Sprintf("%011o\x00", n)
	}
	return string(binary.BigEndian.AppendUint64([]byte("\x80\x00\x00\x00"), uint64(n)))
}

// padding returns how many zeros follow a member of size bytes.
func padding(size int64) int64 { return -size & (blockBytes - 1) }
