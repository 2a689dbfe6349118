package pipeline

import (
	"io"

	"ingest/formats"
)

// A section is a run of bytes of a file. It stays within them whatever is asked
// for, and knows its holes if the file does.
type section struct {
	*io.SectionReader
	r    formats.DataFinder
	base int64
}

// newSection returns a section of n bytes of r from off on.
func newSection(r io.ReaderAt, off, n int64) io.ReaderAt {
	s := io.NewSectionReader(r, off, n)
	if f, ok := r.(formats.DataFinder); ok {
		return &section{SectionReader: s, r: f, base: off}
	}
	return s
}

// NextData returns the first run of data at or after off.
func (s *section) NextData(off int64) (start, end int64, err error) {
	size := s.Size()
	if off >= size {
		return size, size, nil
	}
	start, end, err = s.r.NextData(s.base + max(off, 0))
	if err != nil {
		return 0, 0, err
	}
	start, end = min(max(start-s.base, off), size), min(max(end-s.base, off), size)
	return start, max(start, end), nil
}

var _ formats.DataFinder = (*section)(nil)
