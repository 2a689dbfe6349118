package fs

import (
	"io"
	"os"
)

// A section is a range of a committed object that is open for reading.
type section struct {
	*io.SectionReader
	f   *os.File
	off int64 // in the file, at which the section begins
}

var _ io.WriterTo = (*section)(nil)

// Close closes the file.
func (s *section) Close() error { return s.f.Close() }

// WriteTo writes what has not been read yet. A writer that takes files, such as a
// connection, is given this one, so that the kernel sends it from the page cache. The
// section is then not for concurrent use.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	to, ok := w.(io.ReaderFrom)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{s.SectionReader})
	}
	if _, err := s.f.Seek(s.off+at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(&io.LimitedReader{R: s.f, N: s.Size() - at})
	if _, err2 := s.Seek(at+n, io.SeekStart); err == nil {
		err = err2
	}
	return n, err
}
