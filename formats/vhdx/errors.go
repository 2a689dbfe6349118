package vhdx

import (
	"errors"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A place is where in the file something is wrong.
type place struct {
	structure string
	field     string
	off       int64 // host offset of the field; -1 if unknown
}

// refuse returns an error with evidence of the value seen at the place and of
// what was allowed there ("" if that says itself).
func (p place) refuse(code errcode.Code, value any, limit, format string, args ...any) error {
	ev := errcode.Evidence{Format: string(formats.VHDX), Structure: p.structure, Field: p.field, Limit: limit}
	if value != nil {
		ev.Value = fmt.Sprint(value)
	}
	if p.off >= 0 {
		ev.Offset = errcode.At(p.off)
	}
	return errcode.New(code, format, args...).With(ev)
}

// unread turns an error of reading the structure into one with a code. An error
// of the reader keeps its own: a source that stopped answering in mid-file is
// not a truncated image.
func (p place) unread(err error) error {
	_, coded := errcode.As(err)
	switch {
	case coded:
		return fmt.Errorf("read %s of VHDX at %d: %w", p.structure, p.off, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, binio.ErrPastEnd):
		return p.refuse(errcode.Truncated, nil, "", "read %s: %v", p.structure, err)
	case errors.Is(err, binio.ErrLimit), errors.Is(err, binio.ErrOverflow):
		return p.refuse(errcode.TableBounds, nil, "", "read %s: %v", p.structure, err)
	default:
		return fmt.Errorf("read %s of VHDX at %d: %w", p.structure, p.off, err)
	}
}

// hex shows a field that is not a number to people.
func hex(v uint64) string { return fmt.Sprintf("%#x", v) }
