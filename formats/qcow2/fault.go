package qcow2

import (
	"errors"
	"fmt"
	"io"

	"ingest/internal/errcode"
)

// evidence names a field of a structure in the file.
func evidence(structure, field string, off int64, value any) errcode.Evidence {
	return errcode.Evidence{Format: "qcow2", Structure: structure, Field: field,
		Offset: errcode.At(off), Value: fmt.Sprint(value)}
}

// limited adds what would have been allowed.
func limited(ev errcode.Evidence, limit any) errcode.Evidence {
	ev.Limit = fmt.Sprint(limit)
	return ev
}

// hex formats a bit field.
func hex(v uint64) string { return fmt.Sprintf("%#x", v) }

// readError explains an error of the reader below. A file that ends before the
// size that it was announced with is truncated; whatever else went wrong is the
// source's own to say.
func readError(err error, doing string, off int64) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		if _, coded := errcode.As(err); !coded {
			return errcode.Wrap(err, errcode.Truncated, "%s: the file ends early", doing).
				With(evidence(doing, "", off, "end of file"))
		}
	}
	return fmt.Errorf("%s at host offset %d: %w", doing, off, err)
}
