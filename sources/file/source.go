package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ingest/internal/bandwidth"
	"ingest/internal/directio"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/sources"
)

// source is one open file.
type source struct {
	f    *os.File
	past *directio.File // what is not in the page cache stays out of it
	pin  sources.Pin
}

var _ sources.Source = (*source)(nil)

func newSource(f *os.File, url string) (*source, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, readError(err)
	}
	return &source{f: f, past: directio.Reader(f), pin: sources.Pin{
		Driver:    Name,
		URL:       url,
		Size:      fi.Size(),
		Validator: validator(fi),
		Strong:    true,
		Random:    true,
		Local:     true,
	}}, nil
}

// validator names one version of a file: modification time in seconds and
// nanoseconds, size, inode.
func validator(fi fs.FileInfo) string {
	t := fi.ModTime()
	return fmt.Sprintf("%d.%09d-%d-%d", t.Unix(), t.Nanosecond(), fi.Size(), fsutil.Inode(fi))
}

func (s *source) matches(pin *sources.Pin) error {
	if pin.Validator != s.pin.Validator || pin.Size != s.pin.Size {
		return changed(pin.Validator, s.pin.Validator)
	}
	return nil
}

// Pin returns the version of the file at Open.
func (s *source) Pin() sources.Pin { return s.pin }

// Check compares the file with its pin. Called behind the last read, it tells
// whether any byte can be of another version.
func (s *source) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fi, err := s.f.Stat()
	if err != nil {
		return readError(err)
	}
	if now := validator(fi); now != s.pin.Validator {
		return changed(s.pin.Validator, now)
	}
	return nil
}

// Stream reads from off to the end and checks there that the file is still the
// pinned version.
func (s *source) Stream(ctx context.Context, off int64) (io.ReadCloser, error) {
	if off < 0 || off > s.pin.Size {
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the source of %d bytes", off, s.pin.Size)
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	return &stream{r: reader{ctx, s}, off: off}, nil
}

// ReaderAt reads any range, and knows the holes.
func (s *source) ReaderAt(ctx context.Context) (io.ReaderAt, error) {
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	return &reader{ctx, s}, nil
}

// Close closes the file.
func (s *source) Close() error { return errors.Join(s.past.Close(), s.f.Close()) }

// reader reads ranges until its context ends.
type reader struct {
	ctx context.Context
	s   *source
}

// ReadAt reads the file within its pinned size.
func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	size := r.s.pin.Size
	if off >= size {
		return 0, io.EOF
	}
	eof := off >= 0 && int64(len(p)) > size-off
	if eof {
		p = p[:size-off]
	}
	if err := bandwidth.AdmitAll(r.ctx, len(p)); err != nil {
		return 0, err
	}
	n, err := r.s.past.ReadAt(p, off)
	switch {
	case err == io.EOF && n < len(p):
		return n, changed(r.s.pin.Validator, fmt.Sprintf("end of file at %d", off+int64(n)))
	case err != nil && err != io.EOF:
		return n, readError(err)
	case eof:
		return n, io.EOF
	}
	return n, nil
}

// NextData returns the first run of data at or after off.
func (r *reader) NextData(off int64) (start, end int64, err error) {
	if err := r.ctx.Err(); err != nil {
		return 0, 0, err
	}
	start, end, err = fsutil.NextData(r.s.f, off, r.s.pin.Size)
	return start, end, readError(err)
}

// stream reads the file from front to end.
type stream struct {
	r      reader
	off    int64
	closed bool
}

// Read reads on.
func (s *stream) Read(p []byte) (int, error) {
	if s.closed {
		return 0, readError(os.ErrClosed)
	}
	n, err := s.r.ReadAt(p, s.off)
	s.off += int64(n)
	if err == io.EOF {
		if changed := s.r.s.Check(s.r.ctx); changed != nil {
			return n, changed
		}
	}
	return n, err
}

// Close ends the stream. The source stays open.
func (s *stream) Close() error {
	s.closed = true
	return nil
}

func changed(was, is string) error {
	return errcode.New(errcode.SourceChanged, "the file is not the version that was pinned").
		With(errcode.Evidence{Structure: "source", Field: "modification time, size, inode", Value: is, Limit: was})
}

func readError(err error) error {
	if err == nil {
		return nil
	}
	return errcode.Wrap(err, errcode.SourceUnreachable, "the file cannot be read")
}
