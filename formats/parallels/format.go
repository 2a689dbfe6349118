package parallels

import (
	"io"

	"ingest/formats"
)

// Format reads Parallels files.
type Format struct{}

var _ formats.Format = Format{}

// Name returns formats.Parallels.
func (Format) Name() formats.Name { return formats.Parallels }

// Match looks for the two magics.
func (Format) Match(head, _ []byte, _ int64) formats.Match {
	v := versionOf(head)
	if v == 0 {
		return formats.Match{}
	}
	return formats.Match{OK: true, Subformat: subformat(v), Value: string(head[:magicBytes])}
}

// Open parses and checks the header, and proves that the BAT lies inside the
// file.
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
