package vhdx

import (
	"bytes"
	"encoding/binary"
	base16 "encoding/hex"
	"fmt"
	"hash/crc32"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	headerMagic = "head"
	headerBytes = 4 * kib
	header1Off  = 64 * kib
	header2Off  = 128 * kib
)

// A guid is one as its bytes lie in the file.
type guid [16]byte

// String returns the usual form; the first three groups are little endian.
func (g guid) String() string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(g[:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:])
}

// parseGUID reads a GUID in braces, in capitals or not.
func parseGUID(s string) (guid, bool) {
	const form = "{00000000-0000-0000-0000-000000000000}"
	var digits []byte
	for i := range min(len(s), len(form)) {
		switch {
		case form[i] == '0':
			digits = append(digits, s[i])
		case form[i] != s[i]:
			return guid{}, false
		}
	}
	p, err := base16.DecodeString(string(digits))
	if len(s) != len(form) || err != nil {
		return guid{}, false
	}
	// The first three groups are little endian in the file.
	return guid{p[3], p[2], p[1], p[0], p[5], p[4], p[7], p[6], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]}, true
}

// checksum returns the CRC-32C of p with the four bytes at offset 4, where
// every structure has it, taken as zeros.
func checksum(p []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(0, table, p[:4])
	crc = crc32.Update(crc, table, make([]byte, 4))
	return crc32.Update(crc, table, p[8:])
}

// header is one of the two headers (2.2.2).
type header struct {
	sequence   uint64
	dataGUID   guid // DataWriteGuid: children know a disk by it
	logGUID    guid
	logVersion uint16
	version    uint16
	logLength  uint32
	logOffset  uint64

	at int64 // host offset
}

// readHeader returns the current header: the valid one with the higher
// sequence number. Two valid ones with the same number must be identical, as
// some writers leave them.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	var pages [2][]byte
	var errs [2]error
	for i, at := range [2]int64{header1Off, header2Off} {
		p, err := binio.ReadRange(r, size, at, headerBytes, headerBytes)
		if err != nil {
			return nil, place{"header", "", at}.unread(err)
		}
		if errs[i] = checkPage(p, headerMagic, "header", at, errcode.VHDXHeader); errs[i] == nil {
			pages[i] = p
		}
	}
	a, b := pages[0], pages[1]
	switch {
	case a == nil && b == nil:
		return nil, worse(errs[0], errs[1])
	case b == nil:
		return decodeHeader(a, header1Off, size)
	case a == nil:
		return decodeHeader(b, header2Off, size)
	}
	m, n := binary.LittleEndian.Uint64(a[8:]), binary.LittleEndian.Uint64(b[8:])
	if m == n && !bytes.Equal(a, b) {
		return nil, place{"header", "SequenceNumber", header2Off + 8}.refuse(errcode.VHDXHeader, n, "", "two different headers have the same sequence number")
	}
	if m >= n {
		return decodeHeader(a, header1Off, size)
	}
	return decodeHeader(b, header2Off, size)
}

// checkPage proves signature and checksum of a header or region table.
func checkPage(p []byte, magic, structure string, at int64, code errcode.Code) error {
	if string(p[:4]) != magic {
		return place{structure, "Signature", at}.refuse(code, fmt.Sprintf("%q", p[:4]), magic, "the %s at %d has no signature", structure, at)
	}
	if got, want := checksum(p), binary.LittleEndian.Uint32(p[4:]); got != want {
		return place{structure, "Checksum", at + 4}.refuse(errcode.VHDXChecksum, hex(uint64(want)), hex(uint64(got)), "the checksum of the %s at %d is wrong", structure, at)
	}
	return nil
}

// worse chooses between the errors of two copies: a wrong checksum tells more
// than a copy that is not there.
func worse(a, b error) error {
	if errcode.Of(b) == errcode.VHDXChecksum && errcode.Of(a) != errcode.VHDXChecksum {
		return b
	}
	return a
}

// decodeHeader decodes the current header and checks it.
func decodeHeader(p []byte, at, size int64) (*header, error) {
	le := binary.LittleEndian
	h := &header{
		sequence:   le.Uint64(p[8:]),
		dataGUID:   guid(p[32:48]),
		logGUID:    guid(p[48:64]),
		logVersion: le.Uint16(p[64:]),
		version:    le.Uint16(p[66:]),
		logLength:  le.Uint32(p[68:]),
		logOffset:  le.Uint64(p[72:]),
		at:         at,
	}
	return h, h.check(size)
}

func (h *header) refuse(code errcode.Code, field string, rel int64, value any, limit, format string, args ...any) error {
	return place{"header", field, h.at + rel}.refuse(code, value, limit, format, args...)
}

// check holds the version and the place of the log against format and file.
func (h *header) check(size int64) error {
	if h.version != 1 {
		return h.refuse(errcode.VHDXHeader, "Version", 66, h.version, "1", "version %d is not supported", h.version)
	}
	if h.dirty() && h.logVersion != 0 {
		return h.refuse(errcode.VHDXLogInvalid, "LogVersion", 64, h.logVersion, "0", "a log of version %d cannot be replayed", h.logVersion)
	}
	if h.logLength == 0 {
		if h.dirty() {
			return h.refuse(errcode.VHDXLogInvalid, "LogLength", 68, 0, "", "the header names a log of no bytes")
		}
		return nil
	}
	if h.logLength%mib != 0 {
		return h.refuse(errcode.VHDXHeader, "LogLength", 68, h.logLength, "a multiple of 1 MiB", "a log of %d bytes", h.logLength)
	}
	if h.logOffset%mib != 0 || h.logOffset < mib {
		return h.refuse(errcode.VHDXHeader, "LogOffset", 72, h.logOffset, "a multiple of 1 MiB", "the log is at %d", h.logOffset)
	}
	if h.logOffset > uint64(size) || int64(h.logLength) > size-int64(h.logOffset) {
		return h.refuse(errcode.Truncated, "LogOffset", 72, h.logOffset, fmt.Sprintf("%d bytes", size), "the log passes the end of the file")
	}
	return nil
}

// dirty reports whether the log has to be replayed.
func (h *header) dirty() bool { return h.logGUID != guid{} }

// log returns where the log lies, an empty range if there is none.
func (h *header) log() formats.Range {
	if h.logLength == 0 {
		return formats.Range{}
	}
	return formats.Range{Off: int64(h.logOffset), End: int64(h.logOffset) + int64(h.logLength)}
}
