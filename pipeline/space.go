package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// checkSpace refuses to stage size more bytes if they would not fit, before the
// first of them.
func (p *Pipeline) checkSpace(size int64) error {
	if size <= 0 {
		return nil
	}
	free := p.free
	if free == nil {
		free = fsutil.Free
	}
	if free, err := free(p.StagingDir); err == nil && size > free {
		return errcode.New(errcode.NoSpace, "staging has %d bytes left, the source needs %d", free, size).
			With(errcode.Evidence{Structure: "staging", Field: "free bytes", Value: strconv.FormatInt(free, 10), Limit: strconv.FormatInt(size, 10)})
	}
	return nil
}

// spaceError gives a full disk its code.
func spaceError(err error) error {
	if filled(err) {
		return errcode.Wrap(err, errcode.NoSpace, "staging is full")
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("staging: %w", err)
	}
	return err
}

func tooLarge(size, limit int64) error {
	return errcode.New(errcode.SourceTooLarge, "the source has %d bytes or more, at most %d are taken", size, limit).
		With(errcode.Evidence{Structure: "source", Field: "length", Value: strconv.FormatInt(size, 10), Limit: strconv.FormatInt(limit, 10)})
}
