// Package reload holds what an operator's file says, and reads it again when it
// changes. A file that cannot be used leaves in force what was.
package reload

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// A Document is what a file says. Two with the same digest say the same.
type Document interface{ Digest() string }

// Options say how a document is read.
type Options[D Document] struct {
	Path string
	// Load reads the file.
	Load func(path string) (D, error)
	// Told is called with a document that comes into force; nil calls nothing.
	Told func(D)
	Log  zerolog.Logger
}

// A Holder holds the document that is in force. A nil Holder holds none. It is safe
// for concurrent use.
type Holder[D Document] struct {
	o       Options[D]
	current atomic.Pointer[D]

	mu     sync.Mutex // one reload at a time
	failed string     // what was last refused, told once
}

// Open loads a document and holds it. The error is that of Load.
func Open[D Document](o Options[D]) (*Holder[D], error) {
	abs, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	o.Path = abs
	d, err := o.Load(o.Path)
	if err != nil {
		return nil, err
	}
	h := &Holder[D]{o: o}
	h.put(d)
	return h, nil
}

func (h *Holder[D]) put(d D) {
	h.current.Store(&d)
	if h.o.Told != nil {
		h.o.Told(d)
	}
}

// Current returns the document in force, the zero D if there is none.
func (h *Holder[D]) Current() D {
	if h == nil {
		var none D
		return none
	}
	return *h.current.Load()
}

// Reload reads the file again. One that cannot be used is the error, which is logged
// once.
func (h *Holder[D]) Reload() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, old := filepath.Base(h.o.Path), h.Current().Digest()
	d, err := h.o.Load(h.o.Path)
	if err != nil {
		if text := err.Error(); text != h.failed {
			h.failed = text
			h.o.Log.Error().Str("file", file).Str("error", text).Str("in_force", old).Msg("the file cannot be used; what was in force stays")
		}
		return err
	}
	h.failed = ""
	if digest := d.Digest(); digest != old {
		h.put(d)
		h.o.Log.Info().Str("file", file).Str("digest", digest).Str("was", old).Msg("loaded")
	}
	return nil
}

// Run reloads on every value of now, which may be nil, and every so often, until ctx
// ends. The file is a page that stays in memory: reading it costs less than to be told
// of changes in ways that differ from one file system to the next.
func (h *Holder[D]) Run(ctx context.Context, every time.Duration, now <-chan os.Signal) {
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
