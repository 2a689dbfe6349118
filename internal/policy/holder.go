package policy

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
)

// Load reads the policy of a file. What is wrong with it is
// errcode.PolicyInvalid.
func Load(path string) (*Policy, error) {
	p, problems, err := Read(path)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, invalid(filepath.Base(path), problems)
	}
	return p, nil
}

// Read is Load for those who want to see every problem.
func Read(path string) (*Policy, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(err, path)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, nil, unreadable(err, path)
	}
	p, problems := Parse(filepath.Base(path), raw)
	return p, problems, nil
}

func unreadable(err error, path string) error {
	var why *os.PathError
	text := err.Error()
	if errors.As(err, &why) {
		text = why.Err.Error()
	}
	return errcode.Wrap(err, errcode.PolicyInvalid, "read the policy file %s: %s", filepath.Base(path), text).
		With(errcode.Evidence{Structure: "policy", Field: filepath.Base(path)})
}

// A Holder holds the policy in force and reads it again when its file changes. A
// nil Holder holds none. It is safe for concurrent use.
type Holder struct {
	path    string
	log     zerolog.Logger
	current atomic.Pointer[Policy]

	mu     sync.Mutex // one reload at a time
	failed string     // digest or text of what was last refused, told once
}

// Open loads a policy and holds it.
func Open(path string, log zerolog.Logger) (*Holder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	h := &Holder{path: abs, log: log}
	p, err := Load(abs)
	if err != nil {
		return nil, err
	}
	h.current.Store(p)
	return h, nil
}

// Current returns the policy in force, nil if there is none.
func (h *Holder) Current() *Policy {
	if h == nil {
		return nil
	}
	return h.current.Load()
}

// Reload reads the file again. A file that cannot be used leaves the policy in
// force as it is, and is the error; it is logged once.
func (h *Holder) Reload() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := Load(h.path)
	if err != nil {
		if err.Error() != h.failed {
			h.failed = err.Error()
			h.log.Error().Str("policy", filepath.Base(h.path)).Str("error", err.Error()).Str("in_force", h.Current().Digest()).
				Msg("the policy file cannot be used; the policy in force stays")
		}
		return err
	}
	h.failed = ""
	if old := h.Current(); old.Digest() != p.Digest() {
		h.current.Store(p)
		h.log.Info().Str("policy", p.Name()).Str("digest", p.Digest()).Str("was", old.Digest()).Msg("policy loaded")
	}
	return nil
}

// Run reloads on every value of now, and every so often, until ctx ends. The
// file is a page that stays in memory: reading it costs less than to be told of
// changes in ways that differ from one file system to the next.
func (h *Holder) Run(ctx context.Context, every time.Duration, now <-chan os.Signal) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
		case <-tick.C:
		}
		_ = h.Reload() // logged there
	}
}
