package quota

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/reload"
	"ingest/metadata"
)

// A Holder holds the limits in force and reads them again when their file
// changes. It is safe for concurrent use.
type Holder struct {
	base *Set
	file *reload.Holder[*Set] // nil if there is no file
}

// Open returns a holder of the file's limits, above those of base; path may be "".
func Open(path string, base metadata.Limits, log zerolog.Logger) (*Holder, error) {
	h := &Holder{base: New(base)}
	if path == "" {
		return h, nil
	}
	var err error
	h.file, err = reload.Open(reload.Options[*Set]{
		Path: path, Log: log, Load: func(path string) (*Set, error) { return Load(path, base) },
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Of returns the limits of a project that are in force.
func (h *Holder) Of(project string) metadata.Limits {
	if h.file == nil {
		return h.base.Of(project)
	}
	return h.file.Current().Of(project)
}

// Run reads the file again every so often, until ctx ends.
func (h *Holder) Run(ctx context.Context, every time.Duration) {
	if h.file != nil {
		h.file.Run(ctx, every, nil)
	}
}
