package vmdk

import (
	"encoding/binary"
	"io"

	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A footer is the file's last three sectors: its marker, a copy of the header
// with the true gdOffset, and the end-of-stream marker.
const footerBytes = 3 * sectorBytes

// Types of metadata markers: u64 number of sectors, u32 size 0, u32 type.
const (
	markerEOS    = 0
	markerGT     = 1
	markerGD     = 2
	markerFooter = 3
)

// readFooter returns the header that the footer holds, proved to describe the
// same disk as h.
func readFooter(r io.ReaderAt, size int64, h *header) (header, error) {
	at := size - footerBytes
	where := place{"footer", "", at}
	if at < sectorBytes {
		return header{}, where.refuse(errcode.VMDKFooter, nil, "", "the header refers to a footer and the file of %d bytes has no room for one", size)
	}
	p, err := binio.ReadRange(r, size, at, footerBytes, footerBytes)
	if err != nil {
		return header{}, where.unread(err)
	}
	if !isMarker(p, 1, markerFooter) || !isMarker(p[2*sectorBytes:], 0, markerEOS) {
		return header{}, where.refuse(errcode.VMDKFooter, nil, "", "the file does not end with a footer and an end-of-stream marker")
	}
	q := p[sectorBytes : 2*sectorBytes]
	if string(q[:4]) != magicSparse {
		return header{}, place{"footer", "magic", at + sectorBytes}.refuse(errcode.VMDKFooter, string(q[:4]), magicSparse, "the footer has no magic")
	}
	f := decodeHeader(q, at+sectorBytes)
	if err := h.sameDisk(&f); err != nil {
		return header{}, err
	}
	if f.gdOffset == gdAtEnd {
		return header{}, place{"footer", "gdOffset", f.at + 56}.refuse(errcode.VMDKFooter, "GD_AT_END", "", "the footer has no grain directory either")
	}
	return f, nil
}

// isMarker reports whether p begins with a metadata marker. The specification
// lets the footer's marker count its sectors; some writers leave 0.
func isMarker(p []byte, sectors uint64, kind uint32) bool {
	le := binary.LittleEndian
	n := le.Uint64(p)
	return (n == sectors || n == 0) && le.Uint32(p[8:]) == 0 && le.Uint32(p[12:]) == kind
}
