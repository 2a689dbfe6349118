package vhd

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	sectorBytes    = 512
	footerBytes    = 512
	oldFooterBytes = 511 // before Virtual PC 2004
	footerMagic    = "conectix"
	fileVersion    = 0x00010000
)

// Disk types of the footer.
const (
	typeFixed        = 2
	typeDynamic      = 3
	typeDifferencing = 4
)

// footer is the hard disk footer or its copy.
type footer struct {
	version     uint32
	dataOffset  uint64 // of the dynamic disk header, bytes
	timeStamp   uint32 // of creation, seconds since the begin of 2000
	creator     string // four bytes
	currentSize uint64 // bytes
	chs         int64  // bytes that the geometry stands for
	chsMax      bool   // the geometry is the largest there is, so says nothing
	diskType    uint32
	uniqueID    [16]byte
	savedState  byte

	at   int64 // host offset
	len  int64 // 512 or 511
	name string
}

// hasFooter reports whether p begins with a footer.
func hasFooter(p []byte) bool { return strings.HasPrefix(string(p[:min(8, len(p))]), footerMagic) }

// tailFooter returns the footer at the end of tail, 512 or 511 bytes, or nil.
func tailFooter(tail []byte) []byte {
	for _, n := range []int{footerBytes, oldFooterBytes} {
		if len(tail) >= n && hasFooter(tail[len(tail)-n:]) {
			return tail[len(tail)-n:]
		}
	}
	return nil
}

// decodeFooter reads p, a footer that lay at off, and proves its checksum.
func decodeFooter(p []byte, off int64, name string) (*footer, error) {
	be := binary.BigEndian
	if got, want := checksum(p, 64), be.Uint32(p[64:]); got != want {
		return nil, place{name, "checksum", off + 64}.refuse(errcode.VHDChecksum, fmt.Sprintf("%#08x", want), fmt.Sprintf("%#08x", got),
			"the checksum of the %s is wrong", name)
	}
	c, h, s := int64(be.Uint16(p[56:])), int64(p[58]), int64(p[59])
	return &footer{
		version:     be.Uint32(p[12:]),
		dataOffset:  be.Uint64(p[16:]),
		timeStamp:   be.Uint32(p[24:]),
		creator:     string(p[28:32]),
		currentSize: be.Uint64(p[48:]),
		chs:         c * h * s * sectorBytes,
		chsMax:      c == 65535 && h == 16 && s == 255,
		diskType:    be.Uint32(p[60:]),
		uniqueID:    [16]byte(p[68:84]),
		savedState:  p[84],
		at:          off, len: int64(len(p)), name: name,
	}, nil
}

// checksum is the one's complement of the sum of all bytes but the four of the
// checksum itself, which lie at skip.
func checksum(p []byte, skip int) uint32 {
	var sum uint32
	for i, b := range p {
		if i < skip || i >= skip+4 {
			sum += uint32(b)
		}
	}
	return ^sum
}

// refuse returns an error about the field that lies rel bytes into the footer.
func (f *footer) refuse(code errcode.Code, field string, rel int64, value any, limit, format string, args ...any) error {
	return place{f.name, field, f.at + rel}.refuse(code, value, limit, format, args...)
}

// check holds the fields that every kind of disk has against the format and
// the limits. A differencing disk is refused unless it is opened in a chain.
func (f *footer) check(lim formats.Limits, chain bool) error {
	switch {
	case f.version != fileVersion:
		return f.refuse(errcode.VHDHeader, "file format version", 12, fmt.Sprintf("%#08x", f.version), "0x00010000",
			"format version %#08x is not supported", f.version)
	case f.diskType == typeDifferencing && !chain:
		return f.refuse(errcode.VHDDifferencing, "disk type", 60, f.diskType, "2 or 3", "the disk holds only what differs from its parent")
	case f.diskType != typeFixed && f.diskType != typeDynamic && f.diskType != typeDifferencing:
		return f.refuse(errcode.VHDHeader, "disk type", 60, f.diskType, "2 or 3", "disk type %d is not known", f.diskType)
	case f.savedState != 0:
		return f.refuse(errcode.VHDSavedState, "saved state", 84, f.savedState, "0", "the machine of this disk is in saved state")
	case f.currentSize == 0:
		return f.refuse(errcode.VirtualSizeZero, "current size", 48, 0, "> 0", "the disk has no bytes")
	case f.currentSize > uint64(lim.VirtualSize):
		return f.refuse(errcode.VirtualSizeTooLarge, "current size", 48, f.currentSize, fmt.Sprint(lim.VirtualSize),
			"virtual size of %d bytes is above the limit", f.currentSize)
	case f.currentSize%sectorBytes != 0:
		return f.refuse(errcode.SizeUnaligned, "current size", 48, f.currentSize, "a multiple of 512",
			"virtual size of %d bytes is not a multiple of 512", f.currentSize)
	}
	return nil
}

// sameDisk refuses two footers of one file that describe different disks.
func (f *footer) sameDisk(g *footer) error {
	for _, c := range []struct {
		field string
		rel   int64
		a, b  any
	}{
		{"disk type", 60, f.diskType, g.diskType},
		{"current size", 48, f.currentSize, g.currentSize},
		{"data offset", 16, f.dataOffset, g.dataOffset},
		{"unique id", 68, f.uniqueID, g.uniqueID},
		{"saved state", 84, f.savedState, g.savedState},
	} {
		if c.a != c.b {
			return g.refuse(errcode.VHDHeader, c.field, c.rel, c.b, fmt.Sprint(c.a), "%s differs between the footer and its copy", c.field)
		}
	}
	return nil
}

// bySize lists the creators whose disks qemu, too, takes to be of the current
// size; those of all others it cuts or extends to the geometry.
var bySize = [...]string{"win ", "qem2", "d2v ", "CTXS", "tap\x00", "wa\x00\x00"}

// geometryFinding returns what to tell about a geometry that stands for
// another size, nil if nothing.
func (f *footer) geometryFinding() []formats.Finding {
	if f.chsMax || f.chs == int64(f.currentSize) {
		return nil
	}
	for _, c := range bySize {
		if c == f.creator {
			return nil
		}
	}
	return []formats.Finding{formats.Note(errcode.VHDSizeMismatch, formats.SeverityWarning,
		fmt.Sprintf("the geometry stands for %d bytes and the current size is %d; ingest takes the current size, some programs the geometry", f.chs, f.currentSize),
		errcode.Evidence{Format: string(formats.VHD), Structure: f.name, Field: "disk geometry", Offset: errcode.At(f.at + 56), Value: fmt.Sprint(f.chs)})}
}

// info describes the disk as far as the footer does.
func (f *footer) info(fileSize int64) formats.Info {
	return formats.Info{
		Format: formats.VHD, Subformat: subformat(f.diskType),
		VirtualSize: int64(f.currentSize), FileSize: fileSize,
		Creator:  printable(strings.TrimRight(f.creator, " \x00")),
		Findings: f.geometryFinding(),
	}
}

// printable replaces every character that is not printable by a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// subformat names a disk type.
func subformat(diskType uint32) string {
	switch diskType {
	case typeFixed:
		return "fixed"
	case typeDynamic:
		return "dynamic"
	case typeDifferencing:
		return "differencing"
	}
	return ""
}

// readEnds reads the first and the last 512 bytes of the file, or all of a
// shorter one.
func readEnds(r io.ReaderAt, size int64) (head, tail []byte, err error) {
	n := min(max(size, 0), footerBytes)
	head, tail = make([]byte, n), make([]byte, n)
	if err := binio.ReadFull(r, head, 0); err != nil {
		return nil, nil, place{"footer copy", "", 0}.unread(err)
	}
	if err := binio.ReadFull(r, tail, size-n); err != nil {
		return nil, nil, place{"footer", "", size - n}.unread(err)
	}
	return head, tail, nil
}
