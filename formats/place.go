package formats

import (
	"errors"
	"fmt"
	"io"

	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A Place is where in a file something is wrong. It makes errors with evidence.
type Place struct {
	Format    Name
	Structure string // on-disk structure, such as "block map entry 17"
	Field     string // within it, "" for all of it
	Off       int64  // host offset, bytes; -1 if unknown
}

// Refuse returns an error with evidence of the value seen at the place (nil for
// none) and of what was allowed there ("" if that says itself).
func (p Place) Refuse(code errcode.Code, value any, limit, format string, args ...any) error {
	ev := errcode.Evidence{Format: string(p.Format), Structure: p.Structure, Field: p.Field, Limit: limit}
	if value != nil {
		ev.Value = fmt.Sprint(value)
	}
	if p.Off >= 0 {
		ev.Offset = errcode.At(p.Off)
	}
	return errcode.New(code, format, args...).With(ev)
}

// Unread turns an error of reading the structure into one with a code. An error
// of the reader keeps its own: a source that stopped answering in mid-file is
// not a truncated image.
func (p Place) Unread(err error) error {
	if _, coded := errcode.As(err); !coded {
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, binio.ErrPastEnd):
			return p.Refuse(errcode.Truncated, nil, "", "read %s: %v", p.Structure, err)
		case errors.Is(err, binio.ErrLimit), errors.Is(err, binio.ErrOverflow):
			return p.Refuse(errcode.TableBounds, nil, "", "read %s: %v", p.Structure, err)
		}
	}
	return fmt.Errorf("read %s of %s at %d: %w", p.Structure, p.Format, p.Off, err)
}

// errNegative is what a read before the begin of a disk gets.
var errNegative = errors.New("read at a negative offset")

// ReadRuns is a disk's ReadAt over a function that reads at most one run: it
// keeps io.ReaderAt's contract and never asks behind the disk's end. readRun
// returns how many bytes it read, at least one unless it fails.
func ReadRuns(p []byte, off, size int64, readRun func(p []byte, off int64) (int, error)) (int, error) {
	switch {
	case off < 0:
		return 0, errNegative
	case len(p) == 0:
		return 0, nil
	case off >= size:
		return 0, io.EOF
	}
	q := p[:min(int64(len(p)), size-off)]
	n := 0
	for n < len(q) {
		k, err := readRun(q[n:], off+int64(n))
		n += k
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
