package http

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"ingest/sources"
)

// NewPut returns a PUT without its body, with the credential that ref names, and who
// sends it: once, within the rules for addresses and the budgets of sources. shown is its
// URL without what may be secret.
func (d *Driver) NewPut(ctx context.Context, ref sources.Ref) (req *http.Request, sender http.RoundTripper, shown *url.URL, err error) {
	u, err := d.CheckURL(ref.URL)
	if err != nil {
		return nil, nil, nil, err
	}
	l, at, err := d.newLogin(ref, u)
	if err != nil {
		return nil, nil, nil, err
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodPut, at.String(), nil)
	if err != nil {
		return nil, nil, nil, invalid("it cannot be requested")
	}
	req.Header.Set("User-Agent", d.c.opt.UserAgent)
	return req, &putter{d.c, l}, u, nil
}

// A putter sends a request that cannot be repeated.
type putter struct {
	c *client
	l *login
}

// RoundTrip sends the request.
func (p *putter) RoundTrip(req *http.Request) (*http.Response, error) {
	a, err := p.c.round(p.l.with(req.Context()), nil, func(ctx context.Context) (*http.Request, error) {
		again := req.Clone(ctx)
		return again, sign(again)
	})
	if err != nil {
		var t *transient
		if errors.As(err, &t) {
			return nil, t.error
		}
		return nil, err
	}
	a.Response.Body = a.body
	return a.Response, nil
}
