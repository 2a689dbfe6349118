package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/sources"
)

// source is one pinned URL.
type source struct {
	c     *client
	orig  *url.URL
	pin   sources.Pin
	trace sources.Trace
	auth  *login // nil without a credential

	mu sync.Mutex
	at *url.URL // where the last answer came from

	life context.Context // ends by Close, and all reads with it
	end  context.CancelFunc
}

var (
	_ sources.Source = (*source)(nil)
	_ sources.Traced = (*source)(nil)
)

// newSource returns the source that answered with a.
func newSource(c *client, orig *url.URL, a *answer, pin sources.Pin, auth *login) *source {
	s := &source{c: c, orig: orig, at: a.url, pin: pin, trace: traceOf(a), auth: auth}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Pin returns the version that was found at Open.
func (s *source) Pin() sources.Pin { return s.pin }

// Trace returns where the source was at Open.
func (s *source) Trace() sources.Trace { return s.trace }

// traceOf reads an answer to the request that pinned a source.
func traceOf(a *answer) sources.Trace {
	return sources.Trace{
		URL: sources.PublicURL(a.url), Redirects: a.via, Address: a.addr,
		ETag: headerText(a.Header, "ETag"), LastModified: headerText(a.Header, "Last-Modified"),
	}
}

// headerText returns a header that is fit to be kept: of printable ASCII, and short.
func headerText(h http.Header, name string) string {
	v := h.Get(name)
	if len(v) > maxValidator || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return v
}

// Close ends all reads.
func (s *source) Close() error {
	s.end()
	return nil
}

// Check asks whether the source is still the pinned version. With a strong
// validator each answer has been checked already, and nothing is asked.
func (s *source) Check(ctx context.Context) error {
	if s.pin.Strong {
		return ctx.Err()
	}
	got, _, err := s.c.probe(s.auth.with(ctx), s.orig)
	if err != nil {
		return err
	}
	return matches(&s.pin, got)
}

// Stream reads from off to the end. With ranges it goes on by itself behind a
// broken connection.
func (s *source) Stream(ctx context.Context, off int64) (io.ReadCloser, error) {
	ctx, cancel := s.bind(ctx)
	switch {
	case off < 0 || (s.pin.Size >= 0 && off > s.pin.Size):
		cancel()
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the source of %d bytes", off, s.pin.Size)
	case s.pin.Random:
		r := &ranged{s: s, ctx: ctx, cancel: cancel, meter: s.c.newMeter(), off: off, end: s.pin.Size}
		if err := r.open(); err != nil {
			cancel()
			return nil, err
		}
		return r, nil
	case off > 0:
		cancel()
		return nil, noRanges()
	}
	var p *plain
	err := s.c.attempt(ctx, func() (err error) {
		p, err = s.openPlain(ctx)
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	p.cancel = cancel
	return p, nil
}

// ReaderAt reads any range through a cache of chunks, or under sources.WithDirect
// with one request for each read.
func (s *source) ReaderAt(ctx context.Context) (io.ReaderAt, error) {
	if !s.pin.Random {
		return nil, noRanges()
	}
	// Nothing calls the cancel: the context ends with its parents, as the
	// reader has no Close.
	ctx, _ = s.bind(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := s.c.newMeter() // one for all reads: each alone may be shorter than a window
	fetch := func(ctx context.Context, p []byte, off int64) error {
		r := &ranged{s: s, ctx: ctx, cancel: func() {}, meter: m, off: off, end: off + int64(len(p))}
		defer r.Close()
		_, err := io.ReadFull(r, p)
		return err
	}
	if sources.Direct(ctx) {
		return readahead.Direct(ctx, fetch, s.pin.Size), nil
	}
	return readahead.New(ctx, fetch, s.pin.Size, s.c.opt.Readahead), nil
}

// bind returns a context that ends with ctx or with the source.
func (s *source) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.auth.with(ctx))
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func noRanges() error {
	return errcode.New(errcode.Conflict, "the source's server does not serve ranges of a known version")
}

// openRange asks for [off, end) of the pinned version and returns its body.
func (s *source) openRange(ctx context.Context, off, end int64, m *meter) (*body, error) {
	s.mu.Lock()
	at := s.at
	s.mu.Unlock()
	a, err := s.c.get(ctx, at, map[string]string{
		"Range":    fmt.Sprintf("bytes=%d-%d", off, end-1),
		"If-Range": s.pin.Validator,
	}, m)
	if code := errcode.Of(err); at != s.orig && (code == errcode.SourceNotFound || code == errcode.SourceAuth) {
		// Where a redirect led may be valid for a while only: ask again where
		// it leads.
		s.moved(s.orig)
		return nil, &transient{err}
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkRange(a.Response, off, end); err != nil {
		a.body.Close()
		return nil, err
	}
	s.moved(a.url)
	return a.body, nil
}

func (s *source) moved(at *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// checkRange makes sure that an answer is the range that was asked for, of the
// pinned version.
func (s *source) checkRange(resp *http.Response, off, end int64) error {
	if resp.StatusCode != http.StatusPartialContent {
		return changed("status", strconv.Itoa(resp.StatusCode), "206")
	}
	cr, ok := parseContentRange(resp.Header)
	if want := (contentRange{off, end - 1, s.pin.Size}); !ok || cr != want {
		return changed("Content-Range", resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", off, end-1, s.pin.Size))
	}
	if n := resp.ContentLength; n >= 0 && n != end-off {
		return changed("Content-Length", strconv.FormatInt(n, 10), strconv.FormatInt(end-off, 10))
	}
	if s.pin.Strong {
		if etag := resp.Header.Get("ETag"); etag != s.pin.Validator {
			return changed("ETag", etag, s.pin.Validator)
		}
	} else if date := resp.Header.Get("Last-Modified"); date != "" && date != s.pin.Validator {
		// An answer to If-Range need not repeat the date, RFC 9110 section 15.3.7.
		return changed("Last-Modified", date, s.pin.Validator)
	}
	return nil
}

// ranged reads [off, end) of the pinned version, over as many requests as it takes.
type ranged struct {
	s        *source
	ctx      context.Context
	cancel   context.CancelFunc
	meter    *meter
	off, end int64
	body     *body // nil while there is no request
	fails    int   // passing failures since the last progress
	failedAt int64 // offset of the last one
}

// open sends the request for what is left, unless nothing is.
func (r *ranged) open() error {
	for r.body == nil && r.off < r.end {
		b, err := r.s.openRange(r.ctx, r.off, r.end, r.meter)
		if err == nil {
			r.body = b
			return nil
		}
		if err := r.failed(err); err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

// failed returns nil, after a wait, if another attempt is due, else the error.
func (r *ranged) failed(err error) error {
	var t *transient
	if !errors.As(err, &t) {
		return err
	}
	if r.off-r.failedAt >= progress {
		r.fails = 0
	}
	r.failedAt = r.off
	if r.fails >= r.s.c.opt.Retries {
		return t.error
	}
	r.fails++
	return r.s.c.wait(r.ctx, r.fails-1)
}

// Read reads on.
func (r *ranged) Read(p []byte) (int, error) {
	for {
		if r.off == r.end {
			return 0, io.EOF
		}
		if err := r.open(); err != nil {
			return 0, err
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
		r.off += int64(n)
		if r.off == r.end {
			r.drop()
			return n, nil
		}
		if err == io.EOF {
			err = &transient{errcode.New(errcode.SourceLengthMismatch, "the source ended %d bytes before the end of the range", r.end-r.off)}
		}
		if err != nil {
			r.drop()
			if err = r.failed(err); err != nil {
				return n, err
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

func (r *ranged) drop() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close lets go of the request.
func (r *ranged) Close() error {
	r.drop()
	r.cancel()
	return nil
}

// plain reads a source without ranges, once, from front to end.
type plain struct {
	s      *source
	body   *body
	cancel context.CancelFunc
	off    int64
}

func (s *source) openPlain(ctx context.Context) (*plain, error) {
	a, err := s.c.get(ctx, s.orig, nil, s.c.newMeter())
	if err != nil {
		return nil, err
	}
	switch v, _ := validator(a.Header); {
	case a.StatusCode != http.StatusOK:
		err = changed("status", strconv.Itoa(a.StatusCode), "200")
	case v != s.pin.Validator:
		err = changed("validator", v, s.pin.Validator)
	case a.ContentLength >= 0 && s.pin.Size >= 0 && a.ContentLength != s.pin.Size:
		err = changed("length", strconv.FormatInt(a.ContentLength, 10), strconv.FormatInt(s.pin.Size, 10))
	case a.ContentLength > s.c.opt.MaxBytes:
		err = tooLarge(s.c.opt.MaxBytes)
	default:
		return &plain{s: s, body: a.body}, nil
	}
	a.body.Close()
	return nil, err
}

// Read reads on, and compares the length at the end.
func (p *plain) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	p.off += int64(n)
	var t *transient
	if errors.As(err, &t) {
		err = t.error // it cannot be taken up again
	}
	size := p.s.pin.Size
	switch {
	case p.off > p.s.c.opt.MaxBytes:
		return n, tooLarge(p.s.c.opt.MaxBytes)
	case size >= 0 && (p.off > size || err == io.EOF && p.off < size):
		return n, errcode.New(errcode.SourceLengthMismatch, "the source has %d bytes or more, but %d were announced", p.off, size)
	}
	return n, err
}

// Close lets go of the request.
func (p *plain) Close() error {
	err := p.body.Close()
	p.cancel()
	return err
}
