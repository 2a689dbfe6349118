// Package sources says where an image's bytes come from. A Driver resolves a
// reference to a Source and pins it: every later read is of that version, or
// fails with errcode.SourceChanged. Nothing is ever spliced from two versions.
package sources

import (
	"context"
	"io"
)

// A Ref names a source as the user gave it.
type Ref struct {
	URL        string `json:"url"`                  // http(s)://…, file:///… or a plain path
	Credential string `json:"credential,omitempty"` // name of a credential, resolved by the driver; never the secret
	Project    string `json:"project,omitempty"`    // who asks; a credential may be bound to projects. "" is nobody's
	// Mirrors are other URLs of the same bytes. A driver that cannot use them reads
	// from URL alone.
	Mirrors []string `json:"mirrors,omitempty"`
	// Whole asks a source that stands in a catalogue for all that is said of it, also for
	// what means nothing once the bytes are converted, and refuses one of which not all
	// can be taken.
	Whole bool `json:"whole,omitempty"`
}

// A Pin is one version of a source. It is small, holds no secret, and travels
// between activities.
type Pin struct {
	Driver    string `json:"driver"`              // "file", "http"
	URL       string `json:"url"`                 // as asked for, without user info
	Size      int64  `json:"size"`                // bytes, -1 if unknown
	Validator string `json:"validator,omitempty"` // ETag, or modification time and length; "" if the source has none
	Strong    bool   `json:"strong"`              // the validator changes with every change of the bytes
	Random    bool   `json:"random"`              // ReaderAt works: any range can be read at any time
	Local     bool   `json:"local"`               // only this host can read it
	// Mirrors are the places that hold the version, each with its own validator, as
	// the driver writes them; "" if there is only the one. Text, so that two pins can
	// be compared.
	Mirrors string `json:"mirrors,omitempty"`
}

// A Driver reads one kind of source.
type Driver interface {
	Name() string
	// Schemes lists the URL schemes it takes.
	Schemes() []string
	// Open resolves ref. If pin is not nil, the source must still be that
	// version, else errcode.SourceChanged.
	Open(ctx context.Context, ref Ref, pin *Pin) (Source, error)
}

// A Source is one opened, pinned source.
type Source interface {
	Pin() Pin
	// Stream reads from off to the end. off > 0 needs Pin().Random. The
	// stream ends with an error, not io.EOF, if the source was cut short.
	Stream(ctx context.Context, off int64) (io.ReadCloser, error)
	// ReaderAt reads any range if Pin().Random. The context ends all reads.
	// It is safe for concurrent use, and a formats.DataFinder if the source
	// knows its holes.
	ReaderAt(ctx context.Context) (io.ReaderAt, error)
	Close() error
}

// Noted is an ability of sources that leave out a part of what they were given, such
// as a mirror with other bytes, and go on without it. The notes are for whoever
// imports, and hold no secret.
type Noted interface{ Notes() []string }

// NotesOf returns a source's notes so far, nil if it has none.
func NotesOf(s Source) []string {
	if n, ok := s.(Noted); ok {
		return n.Notes()
	}
	return nil
}
