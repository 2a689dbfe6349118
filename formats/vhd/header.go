package vhd

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	headerBytes = 1024
	headerMagic = "cxsparse"
	// unallocated in the BAT is a hole.
	unallocated = 0xFFFFFFFF
	// maxDynamicBytes is where 32-bit sector numbers end, 2040 GiB.
	maxDynamicBytes = 0xFF000000 * sectorBytes
	// maxBlockBytes is far above the 2 MiB that the specification names and
	// the 512 KiB and 4 MiB that are seen.
	maxBlockBytes = 256 << 20
)

// header is the dynamic disk header.
type header struct {
	tableOffset     uint64
	version         uint32
	maxTableEntries uint32
	blockSize       uint32
	parentID        [16]byte // unique id of the parent's footer
	parentTime      uint32   // when the parent was modified last, seconds since the begin of 2000
	parentName      string

	at int64 // host offset
}

// readHeader reads and checks the header to which the footer points.
func readHeader(r io.ReaderAt, size int64, f *footer) (*header, error) {
	if f.dataOffset < footerBytes || f.dataOffset%sectorBytes != 0 || f.dataOffset > uint64(maxDynamicBytes) {
		return nil, f.refuse(errcode.TableBounds, "data offset", 16, f.dataOffset, "a multiple of 512 behind the footer", "the dynamic disk header is at %d", f.dataOffset)
	}
	at := int64(f.dataOffset)
	in := func(field string, rel int64) place { return place{"dynamic disk header", field, at + rel} }
	p, err := binio.ReadRange(r, size, at, headerBytes, headerBytes)
	if err != nil {
		return nil, in("", 0).unread(err)
	}
	be := binary.BigEndian
	if string(p[:8]) != headerMagic {
		return nil, in("magic", 0).refuse(errcode.VHDHeader, fmt.Sprintf("%q", p[:8]), headerMagic, "the dynamic disk header has no magic")
	}
	if got, want := checksum(p, 36), be.Uint32(p[36:]); got != want {
		return nil, in("checksum", 36).refuse(errcode.VHDChecksum, fmt.Sprintf("%#08x", want), fmt.Sprintf("%#08x", got), "the checksum of the dynamic disk header is wrong")
	}
	h := &header{
		tableOffset:     be.Uint64(p[16:]),
		version:         be.Uint32(p[24:]),
		maxTableEntries: be.Uint32(p[28:]),
		blockSize:       be.Uint32(p[32:]),
		parentID:        [16]byte(p[40:56]),
		parentTime:      be.Uint32(p[56:]),
		parentName:      utf16Text(p[64:576]),
		at:              at,
	}
	return h, h.check(f)
}

// utf16Text decodes big-endian UTF-16 up to its first NUL.
func utf16Text(p []byte) string {
	var units []uint16
	for ; len(p) >= 2; p = p[2:] {
		u := binary.BigEndian.Uint16(p)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

func (h *header) refuse(code errcode.Code, field string, rel int64, value any, limit, format string, args ...any) error {
	return place{"dynamic disk header", field, h.at + rel}.refuse(code, value, limit, format, args...)
}

// check holds block size and table against the format and the virtual size.
func (h *header) check(f *footer) error {
	if h.version != fileVersion {
		return h.refuse(errcode.VHDHeader, "header version", 24, fmt.Sprintf("%#08x", h.version), "0x00010000", "header version %#08x is not supported", h.version)
	}
	block := int64(h.blockSize)
	if block < sectorBytes || block > maxBlockBytes || block&(block-1) != 0 {
		return h.refuse(errcode.VHDHeader, "block size", 32, block, fmt.Sprintf("a power of two, 512 to %d", maxBlockBytes), "block size of %d bytes is not supported", block)
	}
	if f.currentSize > uint64(maxDynamicBytes) {
		return f.refuse(errcode.VirtualSizeTooLarge, "current size", 48, f.currentSize, fmt.Sprint(int64(maxDynamicBytes)), "a dynamic VHD cannot have %d bytes", f.currentSize)
	}
	if need := binio.DivCeil(int64(f.currentSize), block); int64(h.maxTableEntries) < need {
		return h.refuse(errcode.VHDSizeMismatch, "max table entries", 28, h.maxTableEntries, fmt.Sprintf("%d or more", need),
			"a BAT of %d entries is too short for %d bytes", h.maxTableEntries, f.currentSize)
	}
	if most := binio.DivCeil(maxDynamicBytes, block); int64(h.maxTableEntries) > most {
		return h.refuse(errcode.TableBounds, "max table entries", 28, h.maxTableEntries, fmt.Sprint(most), "a BAT of %d entries is longer than any VHD needs", h.maxTableEntries)
	}
	return nil
}

// readBAT reads the first n entries of the BAT, and proves that all of it lies
// inside the file.
func (h *header) readBAT(r io.ReaderAt, size, n int64, lim formats.Limits) ([]byte, error) {
	if h.tableOffset < footerBytes || h.tableOffset%sectorBytes != 0 || h.tableOffset > uint64(maxDynamicBytes) {
		return nil, h.refuse(errcode.TableBounds, "table offset", 16, h.tableOffset, "a multiple of 512 behind the footer", "the BAT is at %d", h.tableOffset)
	}
	if n > lim.TableBytes/4 {
		return nil, h.refuse(errcode.TableBounds, "max table entries", 28, n, fmt.Sprint(lim.TableBytes/4), "the BAT needs %d entries", n)
	}
	if end := int64(h.tableOffset) + int64(h.maxTableEntries)*4; end > size {
		return nil, h.refuse(errcode.Truncated, "table offset", 16, h.tableOffset, fmt.Sprintf("%d bytes", size), "the BAT ends at %d, past the end of the file", end)
	}
	p, err := binio.ReadRange(r, size, int64(h.tableOffset), n*4, lim.TableBytes)
	if err != nil {
		return nil, place{"BAT", "", int64(h.tableOffset)}.unread(err)
	}
	return p, nil
}
