package put

import (
	"context"
	"io"
	"net/http"

	"ingest/exports"
	"ingest/internal/errcode"
)

// A Request is a PUT without its body, and who sends it.
type Request struct {
	*http.Request
	Sender http.RoundTripper
	Shown  string // its URL, without what may be secret
}

// A Driver exports to web servers.
type Driver struct {
	build func(ctx context.Context, d exports.Destination) (Request, error)
}

var _ exports.Driver = (*Driver)(nil)

// New returns a driver. build makes the request for a destination, signed as its
// credential says, within the rules for addresses.
func New(build func(ctx context.Context, d exports.Destination) (Request, error)) *Driver {
	return &Driver{build}
}

// Schemes returns both.
func (d *Driver) Schemes() []string { return []string{"http", "https"} }

// Open judges the destination. Nothing is sent before Send.
func (d *Driver) Open(ctx context.Context, to exports.Destination, _ []byte) (exports.Target, error) {
	r, err := d.build(ctx, to)
	if err != nil {
		return nil, err
	}
	return &target{r, to.Overwrite}, nil
}

type target struct {
	r     Request
	force bool
}

var _ exports.Receiver = (*target)(nil)

// Shown is the URL without its query.
func (t *target) Shown() string { return t.r.Shown }

// Send sends the content in one request.
func (t *target) Send(ctx context.Context, s exports.Sending) error {
	req := t.r.Request.Clone(ctx)
	req.ContentLength = s.Size()
	req.Body = http.NoBody
	if s.Size() > 0 {
		req.Body = &body{ctx: ctx, r: io.NewSectionReader(s, 0, s.Size()), s: s}
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if !t.force {
		req.Header.Set("If-None-Match", "*") // a server that knows it keeps what it has
	}
	resp, err := t.r.Sender.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e, ok := errcode.As(err); ok && e.Code == errcode.SourceAddrBlocked {
			return err
		}
		return errcode.Wrap(err, errcode.DestinationUnreachable, "the destination could not be reached, or did not take all bytes")
	}
	defer resp.Body.Close()
	return statusError(resp.StatusCode)
}

func statusError(status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusPreconditionFailed || status == http.StatusConflict:
		return errcode.New(errcode.DestinationExist, "the destination exists")
	case status == http.StatusNotFound || status == http.StatusGone:
		return errcode.New(errcode.DestinationMissing, "the server has no such place")
	case status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return errcode.New(errcode.DestinationUnreachable, "the destination answers with status %d", status)
	}
	return errcode.New(errcode.DestinationAuth, "the destination answers with status %d", status)
}

// A body is the content as it is sent.
type body struct {
	ctx  context.Context
	r    *io.SectionReader
	s    exports.Sending
	done int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	b.s.Tap.Write(p[:n])
	if b.done += int64(n); n > 0 {
		b.s.Observe(b.done)
	}
	return n, err
}

func (b *body) Close() error { return nil }

// Abort has nothing to remove: a request that was cut off has made nothing.
func (t *target) Abort(context.Context) error { return nil }

// Close does nothing.
func (t *target) Close() error { return nil }
