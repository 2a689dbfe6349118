package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"ingest/internal/errcode"
	"ingest/sources"
)

// A Service keeps files behind an interface of its own, such as OpenStack's image
// service. It, and no header of HTTP, says which version a file is, and signs the
// requests. It is safe for concurrent use.
type Service interface {
	// Sign adds to a request what the service demands of it.
	Sign(req *http.Request) error
	// Refused is told of an answer that is no success. It reports whether the
	// request shall be sent once more, because what signs it has been renewed. The
	// context is the caller's: that of the request has ended.
	Refused(ctx context.Context, req *http.Request, status int) (again bool, err error)
	// Same holds the header of an answer against the pinned version.
	Same(h http.Header) error
	// Check asks the service whether the file still is the pinned version.
	Check(ctx context.Context) error
}

// A File is one version of a file that a service keeps.
type File struct {
	At  *url.URL    // where its bytes are asked for
	Pin sources.Pin // all but Random, which is found out
	Of  Service
	// Trusted says that the operator has named the service's host: it may have any
	// address that is not denied.
	Trusted bool
}

// CheckURL parses the URL of a service under the rules for URLs of sources.
func (d *Driver) CheckURL(raw string) (*url.URL, error) {
	u, err := checkURL(raw)
	if err == nil && d.c.opt.HTTPSOnly && u.Scheme != "https" {
		err = errcode.New(errcode.SourceScheme, "the operator takes sources from https only")
	}
	return u, err
}

// OpenFile opens a service's file. It asks for its first byte: a service that
// answers with more has no ranges.
func (d *Driver) OpenFile(ctx context.Context, f File) (sources.Source, error) {
	c := d.client(f.Trusted)
	if f.Pin.Size > c.opt.MaxBytes {
		return nil, tooLarge(c.opt.MaxBytes)
	}
	only := &replica{orig: f.At, at: f.At, pin: f.Pin, shown: f.At.Host, auth: visit{f.Of}, service: f.Of}
	var from *answer
	if f.Pin.Size == 0 {
		only.pin.Random = true // of no byte
	} else {
		err := c.attempt(ctx, func() (err error) {
			only.pin.Random, from, err = c.probeFile(ctx, only)
			return err
		})
		if err != nil {
			return nil, only.explain(ctx, err)
		}
	}
	s := newSource(c, newCrew([]*replica{only}, c.opt.Parallel), from, only.pin)
	s.trace.URL = sources.PublicURL(f.At)
	return s, nil
}

// probeFile reports whether a file can be read in ranges.
func (c *client) probeFile(ctx context.Context, r *replica) (ranges bool, from *answer, err error) {
	a, err := c.get(r.auth.with(ctx), r.orig, map[string]string{"Range": "bytes=0-0"}, nil)
	if status := new(notOK); errors.As(err, &status) && (status.code == http.StatusBadRequest || status.code == http.StatusNotImplemented) {
		return false, nil, nil // such as a store of Glance that gives images as a whole only
	}
	if err != nil {
		return false, nil, err
	}
	defer a.body.Close()
	if err := r.service.Same(a.Header); err != nil {
		return false, nil, err
	}
	size := a.ContentLength
	switch a.StatusCode {
	case http.StatusPartialContent:
		cr, ok := parseContentRange(a.Header)
		if !ok || cr.first != 0 || cr.last != 0 || cr.total <= 0 {
			return false, nil, errcode.New(errcode.SourceUnreachable, "the service answers a request for a range with another range")
		}
		ranges, size = true, cr.total
		// Read to its end the one byte leaves the connection to the next request.
		if _, err := io.Copy(io.Discard, io.LimitReader(a.body, 2)); err != nil {
			return false, nil, err
		}
	case http.StatusOK:
	default:
		return false, nil, statusError(a.Response)
	}
	if r.pin.Size >= 0 && size >= 0 && size != r.pin.Size {
		return false, nil, errcode.New(errcode.SourceLengthMismatch, "the service gives %d bytes of a file of %d", size, r.pin.Size).
			With(errcode.Evidence{Structure: "source", Field: "length", Value: strconv.FormatInt(size, 10), Limit: strconv.FormatInt(r.pin.Size, 10)})
	}
	return ranges, a, nil
}

// explain returns what the service says of a refusal that will not pass, if it says
// anything, such as that the file is another one by now.
func (r *replica) explain(ctx context.Context, err error) error {
	var t *transient
	if r.service == nil || ctx.Err() != nil || errors.As(err, &t) {
		return err
	}
	if said := r.service.Check(ctx); said != nil && errcode.Of(said) != errcode.SourceUnreachable {
		return said
	}
	return err
}

// A visit is a service in a context.
type visit struct{ s Service }

type visitKey struct{}

func (v visit) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, visitKey{}, v.s)
}

func serviceOf(ctx context.Context) Service {
	s, _ := ctx.Value(visitKey{}).(Service)
	return s
}

// refused asks the context's service, once for each request, whether it shall be sent
// again.
func refused(ctx context.Context, a *answer, asked *bool) (again bool, err error) {
	s := serviceOf(ctx)
	if s == nil || *asked {
		return false, nil
	}
	*asked = true
	return s.Refused(ctx, a.Request, a.StatusCode)
}

// client returns who connects.
func (d *Driver) client(trusted bool) *client {
	if trusted {
		return d.trusted
	}
	return d.c
}

// trusting returns a client that connects to all addresses that the operator has not
// denied, within the budgets of c.
func (c *client) trusting() *client {
	o := c.opt
	o.AllowNets = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	o.Ports = nil
	out := newClient(o)
	out.hosts = c.hosts
	return out
}

// Caller returns what sends a service's own requests, under the rules and within the
// budgets of its files. It follows no redirect, and asks again behind a passing
// failure.
func (d *Driver) Caller(trusted bool) http.RoundTripper { return caller{d.client(trusted)} }

type caller struct{ c *client }

// RoundTrip sends a request until it is notOK for good.
func (r caller) RoundTrip(req *http.Request) (*http.Response, error) {
	var out *http.Response
	err := r.c.attempt(req.Context(), func() error {
		a, err := r.c.round(req.Context(), nil, func(ctx context.Context) (*http.Request, error) { return repeat(ctx, req) })
		if err != nil {
			return err
		}
		var t *transient
		if err := statusError(a.Response); a.StatusCode >= 400 && errors.As(err, &t) {
			a.body.Close()
			return err
		}
		out = a.Response
		out.Body = a.body
		return nil
	})
	return out, err
}

// repeat returns a copy of a request that can be sent.
func repeat(ctx context.Context, req *http.Request) (*http.Request, error) {
	again := req.Clone(ctx)
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	again.Body = body
	return again, err
}
