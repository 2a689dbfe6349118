package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/pause"
	"ingest/sources"
)

// client sends requests: one address policy, one pool of connections.
type client struct {
	opt       Options
	guard     *guard
	dialer    *net.Dialer // asks the guard for each address
	transport *http.Transport
	second    *http.Transport // speaks HTTP/2
	versions  versions
	hosts     *hosts
}

func newClient(o Options) *client {
	c := &client{opt: o, guard: newGuard(o), hosts: newHosts(o)}
	c.dialer = &net.Dialer{Timeout: o.ConnectTimeout, ControlContext: c.guard.control}
	if o.Proxy != nil {
		// All connections are to the proxy then, which the operator has chosen.
		c.dialer.ControlContext = nil
	}
	var one, two http.Protocols
	one.SetHTTP1(true) // one connection for each range is what makes ranges quick
	two.SetHTTP2(true)
	c.transport, c.second = c.newTransport(&one), c.newTransport(&two)
	return c
}

func (c *client) newTransport(protocols *http.Protocols) *http.Transport {
	o := c.opt
	t := &http.Transport{
		DialContext:            c.dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    o.ConnectTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		MaxResponseHeaderBytes: o.MaxHeaderBytes,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    max(o.PerHost.Connections, 16),
		IdleConnTimeout:        time.Minute,
		Protocols:              protocols,
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	return t
}

// newMeter returns a meter for one series of requests.
func (c *client) newMeter() *meter { return &meter{min: c.opt.MinRate, window: c.opt.RateWindow} }

// answer is a response behind all redirects. Its body ends by Close.
type answer struct {
	*http.Response
	url  *url.URL // where the answer came from
	via  []string // public URLs of where the redirects led
	addr string   // host:port of the server that notOK
	body *body
}

// get sends a GET request and follows redirects. An answer that is not 200, 206,
// 412 or 416 is an error. errors.As finds a passing failure as *transient.
func (c *client) get(ctx context.Context, u *url.URL, header map[string]string, m *meter) (*answer, error) {
	var via []string
	renewed := false
	for hop := 0; ; hop++ {
		a, err := c.send(ctx, u, header, m)
		if err != nil {
			return nil, err
		}
		switch a.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			if isEncoded(a.Header) {
				a.body.Close()
				return nil, errcode.New(errcode.SourceEncoding, "the server sends the source with a Content-Encoding")
			}
			a.via = via
			return a, nil
		case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
			return a, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			a.body.Close()
			if serviceOf(ctx) != nil {
				return nil, errcode.New(errcode.SourceRedirect, "the service sends the request elsewhere, which is not followed")
			}
			if hop >= max(c.opt.MaxRedirects, 0) {
				return nil, errcode.New(errcode.SourceRedirect, "the source redirects more than %d times", max(c.opt.MaxRedirects, 0))
			}
			if u, err = redirect(u, a.Header.Values("Location")); err != nil {
				return nil, err
			}
			if len(via) < sources.MaxRedirects {
				via = append(via, sources.PublicURL(u))
			}
		default:
			a.body.Close()
			again, err := refused(ctx, a, &renewed)
			if err != nil {
				return nil, err
			}
			if !again {
				return nil, statusError(a.Response)
			}
			hop--
		}
	}
}

// isEncoded reports whether the bytes are not the source's own, RFC 9110
// section 8.4.
func isEncoded(h http.Header) bool {
	enc := h.Values("Content-Encoding")
	return len(enc) > 1 || (len(enc) == 1 && enc[0] != "" && !strings.EqualFold(enc[0], "identity"))
}

// redirect returns where a redirect leads, after the same checks as the first
// URL. Nothing is carried along: see sign.
func redirect(from *url.URL, location []string) (*url.URL, error) {
	if len(location) != 1 || location[0] == "" || len(location[0]) > maxURL || !legible(location[0]) {
		return nil, errcode.New(errcode.SourceRedirect, "the source redirects to what is not a URL")
	}
	to, err := from.Parse(location[0])
	if err != nil {
		return nil, errcode.New(errcode.SourceRedirect, "the source redirects to what is not a URL")
	}
	to.Fragment, to.RawFragment = "", ""
	to, err = checkURL(to.String())
	if err != nil {
		return nil, errcode.Wrap(err, errcode.SourceRedirect, "the source redirects to a URL that is refused")
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, errcode.New(errcode.SourceRedirect, "the source redirects from https to http")
	}
	return to, nil
}

// send sends one request. The time to the answer's header counts as waiting for
// the server.
func (c *client) send(parent context.Context, u *url.URL, header map[string]string, m *meter) (*answer, error) {
	return c.round(parent, m, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, methodOf(ctx), u.String(), nil)
		if err != nil {
			return nil, invalid("it cannot be requested")
		}
		req.Header.Set("User-Agent", c.opt.UserAgent)
		req.Header.Set("Accept-Encoding", "identity")
		for k, v := range header {
			req.Header.Set(k, v)
		}
		if s := serviceOf(ctx); s != nil {
			return req, s.Sign(req)
		}
		return req, sign(req)
	})
}

// round sends the request that build makes for the context of the answer.
func (c *client) round(parent context.Context, m *meter, build func(context.Context) (*http.Request, error)) (*answer, error) {
	if err := parent.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(parent)
	var addr string
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { addr = i.Conn.RemoteAddr().String() }})
	req, err := build(traced)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	h, resp, err := c.exchange(parent, req, m)
	if err != nil {
		cancel(nil)
		if parent.Err() != nil {
			return nil, parent.Err()
		}
		return nil, connectError(err)
	}
	b := newBody(parent, cancel, ctx, resp.Body, c.opt.StallTimeout, m)
	b.host, b.release = h, sync.OnceFunc(func() { c.hosts.release(h) })
	return &answer{Response: resp, url: req.URL, addr: addr, body: b}, nil
}

// exchange sends a request within its host's budget, which is given back with an
// error, and else by the caller.
func (c *client) exchange(ctx context.Context, req *http.Request, m *meter) (*host, *http.Response, error) {
	if err := c.checkBehindProxy(ctx, req.URL); err != nil {
		return nil, nil, err
	}
	h, err := c.hosts.take(ctx, req.URL)
	if err != nil {
		return nil, nil, err
	}
	m.begin()
	resp, err := c.roundTrip(req)
	m.end(0, err == nil)
	if err != nil {
		c.hosts.release(h)
		return nil, nil, err
	}
	if after := retryAfter(resp, time.Now()); after > 0 {
		c.hosts.pause(req.URL, after)
	}
	return h, resp, nil
}

// A transient is a failure that may be gone at the next attempt.
type transient struct {
	error
	throttled bool          // the server has too much to do
	after     time.Duration // that the server asks to wait, 0 if it says nothing
}

// passing returns err as a failure that may be gone at the next attempt.
func passing(err error) *transient { return &transient{error: err} }

func (t *transient) Unwrap() error { return t.error }

// connectError gives a failed round trip its code. Only a refusal by the guard
// is told apart; whether a port is closed, filtered or speaks something else is
// for the operator.
func connectError(err error) error {
	if e, ok := errcode.As(err); ok {
		return errcode.Wrap(err, e.Code, "%s", e.Message)
	}
	out := unreachable(err)
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	if (errors.As(err, &dns) && dns.IsNotFound) || errors.As(err, &cert) {
		return out
	}
	return passing(out)
}

func unreachable(cause error) error {
	return errcode.Wrap(cause, errcode.SourceUnreachable, "the source could not be reached, or stopped answering")
}

// A notOK is the status of an answer that is no success.
type notOK struct {
	code int
	text string
}

func (a *notOK) Error() string { return fmt.Sprintf("status %q", a.text) }

func statusError(resp *http.Response) error {
	cause := &notOK{resp.StatusCode, resp.Status}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return errcode.Wrap(cause, errcode.SourceNotFound, "the server has no such source")
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return errcode.Wrap(cause, errcode.SourceAuth, "the server refuses access to the source")
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly:
		return &transient{
			error:     unreachable(cause),
			throttled: code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable,
			after:     retryAfter(resp, time.Now()),
		}
	}
	return unreachable(cause)
}

// attempt calls f until it succeeds, fails for good, or has used up its
// repetitions. The *transient is taken off the error.
func (c *client) attempt(ctx context.Context, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		var t *transient
		if err == nil || !errors.As(err, &t) {
			return err
		}
		if n >= c.opt.Retries {
			return t.error
		}
		if err := c.wait(ctx, n); err != nil {
			return err
		}
	}
}

// wait waits before repetition n, counted from 0.
func (c *client) wait(ctx context.Context, n int) error {
	d := maxBackoff
	if n < 16 {
		d = min(c.opt.Backoff<<n, maxBackoff)
	}
	// Between half of it and all, so that ranges that failed together do not come
	// back together.
	return pause.For(ctx, d/2+rand.N(d/2+1))
}

// retryAfter reads how long the server of a refusal asks to wait, in seconds or up
// to a date (RFC 9110 section 10.2.3).
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if n, ok := parseDigits(text); ok {
		return time.Duration(min(n, int64(maxPause/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(date.Sub(now), 0), maxPause)
	}
	return 0
}

// Dialer returns a function that connects where sources may be read from by the
// options, and refuses all else when it connects.
func Dialer(o Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	o = o.withDefaults()
	d := &net.Dialer{Timeout: o.ConnectTimeout, ControlContext: newGuard(o).control}
	return d.DialContext
}
