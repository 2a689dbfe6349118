package vdi

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
)

// Format reads VDI files.
type Format struct{}

var _ formats.Format = Format{}

// Name returns formats.VDI.
func (Format) Name() formats.Name { return formats.VDI }

// Match looks for the signature behind the pre-header's line of text.
func (Format) Match(head, _ []byte, _ int64) formats.Match {
	if !hasSignature(head) {
		return formats.Match{}
	}
	m := formats.Match{OK: true, Offset: signatureOff, Value: fmt.Sprintf("%#x", uint32(signature))}
	if len(head) >= 80 {
		m.Subformat = subformat(binary.LittleEndian.Uint32(head[76:]))
	}
	return m
}

// Open parses and checks the header, and proves that the block map lies inside
// the file.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	if err := h.check(size, lim); err != nil {
		return nil, err
	}
	return newDisk(r, size, h, lim), nil
}
