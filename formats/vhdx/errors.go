package vhdx

import (
	"fmt"

	"ingest/formats"
	"ingest/internal/errcode"
)

// A place is where in the file something is wrong.
type place struct {
	structure string
	field     string
	off       int64 // host offset of the field; -1 if unknown
}

func (p place) in() formats.Place {
	return formats.Place{Format: formats.VHDX, Structure: p.structure, Field: p.field, Off: p.off}
}

// refuse is formats.Place.Refuse.
func (p place) refuse(code errcode.Code, value any, limit, format string, args ...any) error {
	return p.in().Refuse(code, value, limit, format, args...)
}

// unread is formats.Place.Unread.
func (p place) unread(err error) error { return p.in().Unread(err) }

// hex shows a field that is not a number to people.
func hex(v uint64) string { return fmt.Sprintf("%#x", v) }
