package gce

import (
	"encoding/binary"
	"fmt"
)

// container is the format's name in evidence.
const container = "gce tar.gz"

// memberName is the name that Google demands.
const memberName = "disk.raw"

// The old GNU header and its extensions: blocks of 512 bytes ("Basic Tar Format":
// struct posix_header, struct oldgnu_header, struct sparse_header). An entry of the
// map is an offset and a length of 12 bytes each.
const (
	blockBytes   = 512
	recordBytes  = 20 * blockBytes // what tar pads an archive to
	atMode       = 100
	atUID        = 108
	atGID        = 116
	atSize       = 124
	atTime       = 136
	atSum        = 148
	atType       = 156
	atMagic      = 257
	atSparse     = 386
	atExtended   = 482
	atRealSize   = 483
	atMoreExt    = 504 // isextended of an extension block
	numberBytes  = 12
	entryBytes   = 2 * numberBytes
	headEntries  = 4
	blockEntries = 21
	typeSparse   = 'S'
	magic        = "ustar  \x00"
)

// header returns the member's header with the map's extension blocks.
func (m sparseMap) header() []byte {
	p := make([]byte, blockBytes)
	copy(p, memberName)
	copy(p[atMode:], "0000644")
	copy(p[atUID:], "0000000")
	copy(p[atGID:], "0000000")
	putNumber(p[atSize:], m.stored())
	putNumber(p[atTime:], 0)
	p[atType] = typeSparse
	copy(p[atMagic:], magic)
	putNumber(p[atRealSize:], m.size)
	entries := m.entries()
	rest := putEntries(p[atSparse:], entries, headEntries)
	p[atExtended] = more(rest)
	putSum(p)
	for len(rest) > 0 {
		block := make([]byte, blockBytes)
		rest = putEntries(block, rest, blockEntries)
		block[atMoreExt] = more(rest)
		p = append(p, block...)
	}
	return p
}

// entries returns the runs, and behind them an empty one at the end if the disk
// ends with a hole: extracting programs take the file's length from the last.
func (m sparseMap) entries() []run {
	if n := len(m.runs); n > 0 && m.runs[n-1].end == m.size {
		return m.runs
	}
	return append(m.runs[:len(m.runs):len(m.runs)], run{m.size, m.size})
}

// putEntries puts up to n entries into p and returns those that are left.
func putEntries(p []byte, entries []run, n int) []run {
	n = min(n, len(entries))
	for i, r := range entries[:n] {
		putNumber(p[i*entryBytes:], r.off)
		putNumber(p[i*entryBytes+numberBytes:], r.end-r.off)
	}
	return entries[n:]
}

func more(rest []run) byte {
	if len(rest) > 0 {
		return 1
	}
	return 0
}

// putNumber puts a number of 12 bytes: eleven octal digits and a zero byte below
// 8 GiB, base-256 with the first bit set from there on.
func putNumber(p []byte, n int64) {
	if n < 1<<33 {
		copy(p, fmt.Sprintf("%011o\x00", n))
		return
	}
	copy(p, "\x80\x00\x00\x00")
	binary.BigEndian.PutUint64(p[numberBytes-8:], uint64(n))
}

// putSum puts the header's checksum: the sum of its bytes, the field itself taken
// as spaces.
func putSum(p []byte) {
	copy(p[atSum:], "        ")
	sum := 0
	for _, c := range p[:blockBytes] {
		sum += int(c)
	}
	copy(p[atSum:], fmt.Sprintf("%06o\x00 ", sum))
}
