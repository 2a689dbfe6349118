package access

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

// A Document is what a Holder holds: Rules or Protections.
type Document interface{ Digest() string }

// A Holder holds what a file says, and reads it again when it changes. A file that
// cannot be used leaves what is in force as it is. It is safe for concurrent use.
type Holder[D Document] struct {
	path    string
	load    func(path string) (D, error)
	told    func(D) // about a document that comes into force
	log     zerolog.Logger
	current atomic.Pointer[D]

	mu     sync.Mutex // one reload at a time
	failed string     // what was last refused, told once
}

// OpenRules reads a file over base and holds the rules that come of it.
func OpenRules(path string, base *Rules, log zerolog.Logger) (*Holder[*Rules], error) {
	tell := func(r *Rules) {
		for _, p := range r.Unused() {
			log.Warn().Str("file", filepath.Base(path)).Int("line", p.Line).Msg(p.Message)
		}
	}
	return open(path, func(path string) (*Rules, error) { return LoadRules(path, base) }, tell, log)
}

// OpenProtections reads a file of property protections and holds them.
func OpenProtections(path string, form Form, log zerolog.Logger) (*Holder[*Protections], error) {
	return open(path, func(path string) (*Protections, error) { return LoadProtections(path, form) }, func(*Protections) {}, log)
}

func open[D Document](path string, load func(string) (D, error), told func(D), log zerolog.Logger) (*Holder[D], error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := load(abs)
	if err != nil {
		return nil, err
	}
	told(d)
	h := &Holder[D]{path: abs, load: load, told: told, log: log}
	h.current.Store(&d)
	return h, nil
}

// Current returns what is in force.
func (h *Holder[D]) Current() D { return *h.current.Load() }

// Reload reads the file again. A file that cannot be used is the error; it is logged
// once.
func (h *Holder[D]) Reload() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.load(h.path)
	old := h.Current()
	if err != nil {
		if err.Error() != h.failed {
			h.failed = err.Error()
			h.log.Error().Str("file", filepath.Base(h.path)).Str("error", err.Error()).Str("in_force", old.Digest()).
				Msg("the file cannot be used; what was in force stays")
		}
		return err
	}
	h.failed = ""
	if old.Digest() != d.Digest() {
		h.current.Store(&d)
		h.log.Info().Str("file", filepath.Base(h.path)).Str("digest", d.Digest()).Str("was", old.Digest()).Msg("loaded")
		h.told(d)
	}
	return nil
}

// Run reloads every so often until ctx ends.
func (h *Holder[D]) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = h.Reload() // logged there
		}
	}
}

// LoadRules reads a file over base. What is wrong with it is
// errcode.AccessRulesInvalid.
func LoadRules(path string, base *Rules) (*Rules, error) {
	r, problems, err := ReadRules(path, base)
	if err == nil && len(problems) > 0 {
		err = invalid("access rules", filepath.Base(path), problems)
	}
	return r, err
}

// ReadRules is LoadRules for those who want to see every problem.
func ReadRules(path string, base *Rules) (*Rules, []Problem, error) {
	raw, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	r, problems := base.Override(filepath.Base(path), raw)
	return r, problems, nil
}

// LoadProtections reads a file of property protections.
func LoadProtections(path string, form Form) (*Protections, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	p, problems := ParseProtections(raw, form)
	if len(problems) > 0 {
		return nil, invalid("property protections", filepath.Base(path), problems)
	}
	return p, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var raw []byte
		if raw, err = io.ReadAll(io.LimitReader(f, MaxBytes+1)); err == nil {
			return raw, nil
		}
	}
	var why *os.PathError
	text := err.Error()
	if errors.As(err, &why) {
		text = why.Err.Error()
	}
	return nil, errcode.Wrap(err, errcode.AccessRulesInvalid, "read the file %s: %s", filepath.Base(path), text).
		With(errcode.Evidence{Structure: "file", Field: filepath.Base(path)})
}
