package formattest

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
)

// A Bad image is a good one with one illness.
type Bad struct {
	Name string
	// Make returns the ill image. It owns b, a copy of the good one.
	Make func(b []byte) []byte
	Want errcode.Code
	// Limits, if set, replace the default ones.
	Limits *formats.Limits
}

// Refused fails the test unless each image is refused with its code, by Open,
// Info().Unreadable, Validate or a read of all, whichever comes first; and
// unless the good image passes all of them.
func Refused(t *testing.T, f formats.Format, good []byte, table []Bad) {
	t.Helper()
	if where, err := use(t, f, good, formats.DefaultLimits()); err != nil {
		t.Fatalf("%s: the good image is refused: %v", where, err)
	}
	for _, c := range table {
		t.Run(c.Name, func(t *testing.T) {
			lim := formats.DefaultLimits()
			if c.Limits != nil {
				lim = *c.Limits
			}
			where, err := use(t, f, c.Make(bytes.Clone(good)), lim)
			if got := errcode.Of(err); got != c.Want {
				t.Fatalf("%s: refused with %q, want %s: %v", where, got, c.Want, err)
			}
			if e, ok := errcode.As(err); !ok || e.Evidence == nil || e.Evidence.Format == "" {
				t.Errorf("%s: no evidence in %v", where, err)
			}
		})
	}
}

// use opens the image, validates it and reads it whole. It returns the first
// error and what was being done.
func use(t *testing.T, f formats.Format, image []byte, lim formats.Limits) (string, error) {
	t.Helper()
	d, err := f.Open(bytes.NewReader(image), int64(len(image)), lim)
	if err != nil {
		return "open", err
	}
	defer d.Close()
	if err := d.Info().Unreadable; err != nil {
		return "unreadable", err
	}
	if v, ok := d.(formats.Validator); ok {
		if _, err := v.Validate(t.Context()); err != nil {
			return "validate", err
		}
	}
	buf := make([]byte, chunkBytes)
	for off := int64(0); off < d.Size(); off += chunkBytes {
		if _, err := d.ReadAt(buf, off); err != nil && err != io.EOF {
			return "read", err
		}
	}
	return "read", nil
}

// Set returns a Bad.Make that overwrites bytes at off; a negative off counts
// from the end.
func Set(off int, p ...byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		at := off
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], p)
		return b
	}
}

// Cut returns a Bad.Make that drops the last n bytes.
func Cut(n int) func(b []byte) []byte {
	return func(b []byte) []byte { return b[:len(b)-n] }
}
