package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/bandwidth"
	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/sources"
)

// source is one pinned object.
type source struct {
	d     *Driver
	c     *s3.Client
	loc   location
	pin   sources.Pin
	etag  string
	trace sources.Trace

	life context.Context // ends by Close, and all reads with it
	end  context.CancelFunc
}

var (
	_ sources.Source = (*source)(nil)
	_ sources.Traced = (*source)(nil)
)

func newSource(d *Driver, c *s3.Client, loc location) *source {
	s := &source{d: d, c: c, loc: loc}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// open pins the object, or compares it with its pin.
func (s *source) open(ctx context.Context, ref sources.Ref, pin *sources.Pin, host string) error {
	if pin != nil && s.loc.version == "" {
		_, s.loc.version = split(pin.Validator)
	}
	out, err := s.head(ctx)
	if err != nil {
		return err
	}
	if s.pin, err = pinOf(out); err != nil {
		return err
	}
	s.pin.URL = ref.URL
	if pin != nil {
		switch {
		case pin.Validator != s.pin.Validator:
			return sources.Changed("ETag", s.pin.Validator, pin.Validator)
		case pin.Size != s.pin.Size:
			return sources.Changed("length", strconv.FormatInt(s.pin.Size, 10), strconv.FormatInt(pin.Size, 10))
		}
	}
	if most := s.d.o.MaxBytes; most > 0 && s.pin.Size > most {
		return tooLarge(most)
	}
	s.etag, s.loc.version = split(s.pin.Validator)
	s.trace = sources.Trace{URL: Name + "://" + s.loc.bucket + "/" + s.loc.key, Address: host, ETag: s.etag, Version: s.loc.version}
	if t := aws.ToTime(out.LastModified); !t.IsZero() {
		s.trace.LastModified = t.UTC().Format(http.TimeFormat)
	}
	return nil
}

func (s *source) head(ctx context.Context) (*s3.HeadObjectOutput, error) {
	out, err := s.c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.loc.bucket, Key: &s.loc.key, VersionId: optional(s.loc.version)})
	return out, sourceError(err)
}

// Pin returns the version that was found at Open.
func (s *source) Pin() sources.Pin { return s.pin }

// Trace returns where the source was at Open.
func (s *source) Trace() sources.Trace { return s.trace }

// Close ends all reads.
func (s *source) Close() error {
	s.end()
	return nil
}

// Stream reads from off to the end, and goes on by itself behind a broken
// connection.
func (s *source) Stream(ctx context.Context, off int64) (io.ReadCloser, error) {
	if off < 0 || off > s.pin.Size {
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the source of %d bytes", off, s.pin.Size)
	}
	ctx, cancel := s.bind(ctx)
	r := &ranged{s: s, ctx: ctx, cancel: cancel, off: off, end: s.pin.Size}
	if err := ctx.Err(); err != nil {
		cancel()
		return nil, err
	}
	if off < s.pin.Size {
		if err := r.open(); err != nil {
			cancel()
			return nil, err
		}
	}
	return r, nil
}

// ReaderAt reads any range through a cache of chunks, or without one where the
// context asks for direct reads.
func (s *source) ReaderAt(ctx context.Context) (io.ReaderAt, error) {
	// Nothing calls the cancel: the context ends with its parents, as the
	// reader has no Close.
	ctx, _ = s.bind(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context, p []byte, off int64) error {
		r := &ranged{s: s, ctx: ctx, cancel: func() {}, off: off, end: off + int64(len(p))}
		defer r.Close()
		_, err := io.ReadFull(r, p)
		return err
	}
	o := s.d.o.Readahead
	if sources.Direct(ctx) {
		return readahead.Direct(ctx, fetch, s.pin.Size), nil
	}
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

// ranged reads [off, end) of the pinned version, over as many requests as it takes.
type ranged struct {
	s        *source
	ctx      context.Context
	cancel   context.CancelFunc
	off, end int64

	body   io.ReadCloser // nil while there is no request
	stop   context.CancelCauseFunc
	req    context.Context
	timer  *time.Timer
	breaks int
}

// maxBreaks is how often a read goes on behind a break without progress between.
const maxBreaks = 4

// progress is how many bytes must have arrived for breaks to be forgiven.
const progress = 1 << 20

var errStall = errors.New("no byte arrived for too long")

func (r *ranged) open() error {
	req, stop := context.WithCancelCause(r.ctx)
	out, err := r.s.c.GetObject(req, &s3.GetObjectInput{
		Bucket: &r.s.loc.bucket, Key: &r.s.loc.key, VersionId: optional(r.s.loc.version),
		IfMatch: &r.s.etag, Range: aws.String(rangeOf(r.off, r.end)),
	})
	if err != nil {
		stop(nil)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return sourceError(err)
	}
	if err := r.check(out); err != nil {
		out.Body.Close()
		stop(nil)
		return err
	}
	r.body, r.stop, r.req = out.Body, stop, req
	r.timer = time.AfterFunc(r.s.d.o.Stall, func() { stop(errStall) })
	r.timer.Stop()
	return nil
}

// check makes sure that an answer is the range that was asked for, of the pinned
// version.
func (r *ranged) check(out *s3.GetObjectOutput) error {
	want := rangeOf(r.off, r.end)[len("bytes="):] + "/" + strconv.FormatInt(r.s.pin.Size, 10)
	if got := aws.ToString(out.ContentRange); got != "bytes "+want {
		return sources.Changed("Content-Range", got, "bytes "+want)
	}
	if got := aws.ToString(out.ETag); got != r.s.etag {
		return sources.Changed("ETag", got, r.s.etag)
	}
	if n := aws.ToInt64(out.ContentLength); n != r.end-r.off {
		return sources.Changed("Content-Length", strconv.FormatInt(n, 10), strconv.FormatInt(r.end-r.off, 10))
	}
	return nil
}

// Read reads on.
func (r *ranged) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		may, err := bandwidth.Admit(r.ctx, int(min(int64(len(p)), r.end-r.off)))
		if err != nil {
			return 0, err
		}
		r.timer.Reset(r.s.d.o.Stall)
		n, err := r.body.Read(p[:may])
		r.timer.Stop()
		bandwidth.Return(r.ctx, may-n)
		r.off += int64(n)
		if err == nil || r.off >= r.end {
			return n, nil
		}
		stalled := context.Cause(r.req) == errStall
		r.drop()
		if cause := r.ctx.Err(); cause != nil {
			return n, cause
		}
		if r.breaks++; n >= progress {
			r.breaks = 0
		}
		if r.breaks > maxBreaks {
			return n, r.broken(err, stalled)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// broken says how the last of several breaks came about.
func (r *ranged) broken(err error, stalled bool) error {
	switch {
	case stalled:
		return errcode.Wrap(err, errcode.SourceTooSlow, "the source sent nothing for %v", r.s.d.o.Stall)
	case errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		return errcode.Wrap(err, errcode.SourceLengthMismatch, "the source ended before the length that it announced")
	}
	return sourceError(err)
}

func (r *ranged) drop() {
	if r.body != nil {
		r.body.Close()
		r.stop(nil)
		r.body = nil
	}
}

// Close ends the read.
func (r *ranged) Close() error {
	r.drop()
	r.cancel()
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
