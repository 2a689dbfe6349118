package quota

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ingest/metadata"
)

// A Holder holds the limits in force and reads them again when their file
// changes. It is safe for concurrent use.
type Holder struct {
	path    string // "" if there is no file
	base    metadata.Limits
	log     zerolog.Logger
	current atomic.Pointer[Set]
	failed  string // what was last refused, told once; of Reload alone
}

// Open returns a holder of the file's limits, above those of base; path may be "".
func Open(path string, base metadata.Limits, log zerolog.Logger) (*Holder, error) {
	h := &Holder{base: base, log: log}
	if path == "" {
		h.current.Store(New(base))
		return h, nil
	}
	var err error
	if h.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	s, err := Load(h.path, base)
	if err != nil {
		return nil, err
	}
	h.current.Store(s)
	return h, nil
}

// Of returns the limits of a project that are in force.
func (h *Holder) Of(project string) metadata.Limits { return h.current.Load().Of(project) }

// Reload reads the file again. One that cannot be used leaves the limits in force
// as they are; it is logged once. It must not be called twice at a time.
func (h *Holder) Reload() {
	if h.path == "" {
		return
	}
	s, err := Load(h.path, h.base)
	switch {
	case err == nil:
		h.failed = ""
		h.current.Store(s)
	case err.Error() != h.failed:
		h.failed = err.Error()
		h.log.Error().Str("error", h.failed).Msg("the quota file cannot be used; the quotas in force stay")
	}
}

// Run reloads every so often, until ctx ends.
func (h *Holder) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.Reload()
		case <-ctx.Done():
			return
		}
	}
}
