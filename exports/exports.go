package exports

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A Destination is where a task shall send an image.
type Destination struct {
	URL        string
	Credential string // name of a credential, never the secret
	Project    string // who names the credential
	Overwrite  bool   // replaces what is there
	Task       string // id of the task, by which its own remains are known
}

// A Driver opens destinations.
type Driver interface {
	// Schemes are those of its URLs.
	Schemes() []string
	// Open judges a destination and takes up what an earlier attempt has left there.
	// memory is what an earlier Remember was told, nil if there was none.
	Open(ctx context.Context, d Destination, memory []byte) (Target, error)
}

// A Target is one destination, for one task. Exactly one of Writable and Receiver is
// implemented beside it.
type Target interface {
	// Shown is the destination without what may be secret in it.
	Shown() string
	// Abort removes what the task has left. It is idempotent, and leaves a destination
	// alone that was committed.
	Abort(ctx context.Context) error
	// Close lets go, and keeps what was written.
	Close() error
}

// A Writable is written as an upload is. Its upload's Commit makes it visible.
type Writable interface {
	Target
	Upload() stores.Upload
}

// Content is a finished file.
type Content interface {
	io.ReaderAt
	Size() int64
}

// A Receiver takes a finished file.
type Receiver interface {
	Target
	// Send sends the content, which is visible when Send has returned nil.
	Send(ctx context.Context, s Sending) error
}

// A Sending is what a Receiver is given.
type Sending struct {
	Content
	// Tap is given each byte of the content once, in order, whether it has to be sent
	// again or not. Its writes do not fail.
	Tap io.Writer
	// Observe is told how many bytes are there.
	Observe func(done int64)
	// Remember keeps, durably, what another attempt is opened with.
	Remember func(memory []byte) error
}

// A Readable can read back what was sent. Remove takes it away again.
type Readable interface {
	ReadBack(ctx context.Context) (io.ReaderAt, error)
	Remove(ctx context.Context) error
}

// A Set is the destinations that the operator allows.
type Set []Driver

// Schemes are those of all drivers.
func (s Set) Schemes() []string {
	var out []string
	for _, d := range s {
		out = append(out, d.Schemes()...)
	}
	return out
}

// Open opens a destination with the driver of its scheme. A plain absolute path is a
// file.
func (s Set) Open(ctx context.Context, d Destination, memory []byte) (Target, error) {
	scheme := "file"
	if !strings.HasPrefix(d.URL, "/") {
		u, err := url.Parse(d.URL)
		if err != nil || u.Scheme == "" {
			return nil, errcode.New(errcode.DestinationInvalid, "the destination is no URL, and no absolute path").
				With(errcode.Evidence{Structure: "request", Field: "destination.url"})
		}
		scheme = strings.ToLower(u.Scheme)
	}
	for _, driver := range s {
		if slices.Contains(driver.Schemes(), scheme) {
			return driver.Open(ctx, d, memory)
		}
	}
	return nil, errcode.New(errcode.DestinationScheme, "this server sends nothing to %s destinations", errcode.Shown(scheme)).
		With(errcode.Evidence{Structure: "request", Field: "destination.url", Value: errcode.Shown(scheme), Limit: strings.Join(s.Schemes(), ", ")})
}

// Until reads from r for as long as the context lives.
func Until(ctx context.Context, r io.Reader) io.Reader { return until{ctx, r} }

type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
