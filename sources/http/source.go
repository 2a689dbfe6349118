package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/sources"
)

// source is one pinned version, at one URL or at several.
type source struct {
	c     *client
	crew  *crew
	pin   sources.Pin
	trace sources.Trace

	life context.Context // ends by Close, and all reads with it
	end  context.CancelFunc
}

var (
	_ sources.Source = (*source)(nil)
	_ sources.Traced = (*source)(nil)
	_ sources.Noted  = (*source)(nil)
)

// newSource returns the source that the crew holds, the first of which answered
// with a.
func newSource(c *client, of *crew, a *answer, pin sources.Pin) *source {
	s := &source{c: c, crew: of, pin: pin}
	if a != nil {
		s.trace = traceOf(a)
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Pin returns the version that was found at Open.
func (s *source) Pin() sources.Pin { return s.pin }

// Trace returns where the source was at Open.
func (s *source) Trace() sources.Trace { return s.trace }

// Notes says which of the source's places are not used, and why.
func (s *source) Notes() []string {
	s.crew.mu.Lock()
	defer s.crew.mu.Unlock()
	return slices.Clone(s.crew.notes)
}

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
	for _, r := range s.crew.used() {
		if r.service != nil {
			if err := r.service.Check(ctx); err != nil {
				return err
			}
			continue
		}
		if r.pin.Strong {
			continue
		}
		got, _, err := s.c.probe(r.auth.with(ctx), r.orig)
		if err != nil {
			return err
		}
		if err := matches(&r.pin, got); err != nil {
			return err
		}
	}
	return ctx.Err()
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
		r := &ranged{s: s, ctx: ctx, cancel: cancel, meter: s.c.newMeter(), off: off, end: s.pin.Size, paused: true}
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
	o := s.c.opt.Readahead
	if sources.Tables(ctx) {
		o = o.ForTables()
	}
	return readahead.New(ctx, fetch, s.pin.Size, o), nil
}

// bind returns a context that ends with ctx or with the source.
func (s *source) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func noRanges() error {
	return errcode.New(errcode.Conflict, "the source's server does not serve ranges of a known version")
}

// openRange asks a replica for [off, end) of the pinned version and returns its body.
func (s *source) openRange(ctx context.Context, r *replica, off, end int64, m *meter) (*body, error) {
	at := s.crew.place(r)
	header := map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", off, end-1)}
	if r.service == nil {
		header["If-Range"] = r.pin.Validator
	}
	a, err := s.c.get(r.auth.with(ctx), at, header, m)
	if code := errcode.Of(err); at != r.orig && (code == errcode.SourceNotFound || code == errcode.SourceAuth) {
		// Where a redirect led may be valid for a while only: ask again where
		// it leads.
		s.crew.moved(r, r.orig)
		return nil, passing(err)
	}
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	if err := r.checkRange(a.Response, off, end); err != nil {
		a.body.Close()
		return nil, err
	}
	s.crew.moved(r, a.url)
	return a.body, nil
}

// checkRange makes sure that an answer is the range that was asked for, of the
// pinned version.
func (r *replica) checkRange(resp *http.Response, off, end int64) error {
	if resp.StatusCode != http.StatusPartialContent {
		return sources.Changed("status", strconv.Itoa(resp.StatusCode), "206")
	}
	cr, ok := parseContentRange(resp.Header)
	if want := (contentRange{off, end - 1, r.pin.Size}); !ok || cr != want {
		return sources.Changed("Content-Range", resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", off, end-1, r.pin.Size))
	}
	if n := resp.ContentLength; n >= 0 && n != end-off {
		return sources.Changed("Content-Length", strconv.FormatInt(n, 10), strconv.FormatInt(end-off, 10))
	}
	if r.service != nil {
		return r.service.Same(resp.Header)
	}
	if r.pin.Strong {
		if etag := resp.Header.Get("ETag"); etag != r.pin.Validator {
			return sources.Changed("ETag", etag, r.pin.Validator)
		}
	} else if date := resp.Header.Get("Last-Modified"); date != "" && date != r.pin.Validator {
		// An answer to If-Range need not repeat the date, RFC 9110 section 15.3.7.
		return sources.Changed("Last-Modified", date, r.pin.Validator)
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
	fails    int   // passing failures since the last progress
	failedAt int64 // offset of the last one

	body  *body // nil while there is no request
	from  *replica
	avoid *replica // failed last
	begun time.Time
	first int64 // offset at which the request begins
	// paused says that the reader reads when it likes.
	paused bool
}

// open sends the request for what is left, unless nothing is.
func (r *ranged) open() error {
	for r.body == nil && r.off < r.end {
		var err error
		if r.from, err = r.s.crew.take(r.ctx, r.avoid, r.paused); err != nil {
			return err
		}
		r.begun, r.first = time.Now(), r.off
		b, err := r.s.openRange(r.ctx, r.from, r.off, r.end, r.meter)
		if err == nil {
			r.body = b
			return nil
		}
		r.s.crew.done(r.from, 0, 0)
		if err := r.failed(err); err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

// failed returns nil, after a wait, if another attempt is due, else the error.
func (r *ranged) failed(err error) error {
	if r.ctx.Err() != nil {
		return err
	}
	crew, retries := r.s.crew, r.s.c.opt.Retries
	r.avoid = r.from
	var t *transient
	if !errors.As(err, &t) {
		if !crew.drops(r.from, err) {
			return err
		}
		r.fails = 0
		return nil // another place has it
	}
	if r.off-r.failedAt >= progress {
		r.fails = 0
	}
	r.failedAt = r.off
	eased := crew.failed(r.from, r.begun, t, max(retries, 0))
	switch {
	case eased:
	case r.fails < retries:
		r.fails++
	case crew.drops(r.from, t.error):
		r.fails = 0
	default:
		return t.error
	}
	if crew.others(r.from) {
		return nil // who is asked next has not failed
	}
	return r.s.c.wait(r.ctx, max(r.fails-1, 0))
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
			err = passing(errcode.New(errcode.SourceLengthMismatch, "the source ended %d bytes before the end of the range", r.end-r.off))
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
		r.s.crew.done(r.from, r.off-r.first, time.Since(r.begun))
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
	r := s.crew.all[0]
	a, err := s.c.get(r.auth.with(ctx), r.orig, nil, s.c.newMeter())
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	same := r.sameVersion(a.Header)
	switch {
	case a.StatusCode != http.StatusOK:
		err = sources.Changed("status", strconv.Itoa(a.StatusCode), "200")
	case same != nil:
		err = same
	case a.ContentLength >= 0 && s.pin.Size >= 0 && a.ContentLength != s.pin.Size:
		err = sources.Changed("length", strconv.FormatInt(a.ContentLength, 10), strconv.FormatInt(s.pin.Size, 10))
	case a.ContentLength > s.c.opt.MaxBytes:
		err = tooLarge(s.c.opt.MaxBytes)
	default:
		return &plain{s: s, body: a.body}, nil
	}
	a.body.Close()
	return nil, err
}

// sameVersion compares the header of a whole answer with the pinned version.
func (r *replica) sameVersion(h http.Header) error {
	if r.service != nil {
		return r.service.Same(h)
	}
	if v, _ := validator(h); v != r.pin.Validator {
		return sources.Changed("validator", v, r.pin.Validator)
	}
	return nil
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
