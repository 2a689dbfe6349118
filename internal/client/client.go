package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// DefaultServer is where `ingest serve` listens unless told otherwise.
const DefaultServer = "http://127.0.0.1:9292"

// maxAnswer bounds what is read of an answer that is not an image, bytes: the
// longest page of images, each with all its properties.
const maxAnswer = 256 << 20

// A Client calls one server on behalf of one project. It is safe for concurrent
// use.
type Client struct {
	base    string
	project string
	token   string
	http    *http.Client
}

// New returns a client of the server at base, "" for DefaultServer. A base
// without scheme is taken as http. project may be "".
func New(base, project string) (*Client, error) {
	if base == "" {
		base = DefaultServer
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errcode.New(errcode.BadRequest, "server address %q is not of the form http://HOST:PORT", base).
			With(errcode.Evidence{Field: "server", Value: base})
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	// A download may take hours, but its head comes at once.
	tr.ResponseHeaderTimeout = time.Minute
	return &Client{base: strings.TrimRight(base, "/"), project: project, http: &http.Client{Transport: tr, CheckRedirect: sameHost}}, nil
}

// UseToken sets the token that requests carry, "" for none. It is called before the
// client is used. errcode.BadRequest says that it cannot be one.
func (c *Client) UseToken(token string) error {
	if !identity.Plain(token) {
		return errcode.New(errcode.BadRequest, "the token holds what no token does, such as a blank or a line break").
			With(errcode.Evidence{Structure: "request", Field: "X-Auth-Token"})
	}
	c.token = token
	return nil
}

// sameHost follows redirects within one server: the token is for no other one.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// Server returns the address of the server.
func (c *Client) Server() string { return c.base }

// call sends body as JSON, if it is not nil, and reads the answer into out, if
// that is not nil. It returns the answer's status.
func (c *Client) call(ctx context.Context, method, path string, header http.Header, body, out any) (int, error) {
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, errcode.Wrap(err, errcode.Internal, "write request")
		}
		r = bytes.NewReader(raw)
	}
	resp, err := c.send(ctx, method, path, header, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp.StatusCode, c.unreachable(ctx, err)
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return resp.StatusCode, c.stranger(resp)
	}
	return resp.StatusCode, nil
}

// send sends a request and returns an answer that is no error.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.BadRequest, "build request for %s", path)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.project != "" {
		req.Header.Set("X-Project-Id", c.project)
	}
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header.Get("Location") != "" {
		resp.Body.Close()
		return nil, errcode.New(errcode.Internal, "%s sends the request to another server, which is not followed", c.base)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e wire.ErrorBody
	if json.Unmarshal(raw, &e) != nil || e.Error.Code == "" {
		return nil, c.stranger(resp)
	}
	out := errcode.New(e.Error.Code, "%s", e.Error.Message)
	if e.Error.Evidence != nil {
		out = out.With(*e.Error.Evidence)
	}
	return nil, out
}

// unreachable says why no answer came. A cancelled context stays what it is.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errcode.Wrap(err, errcode.ServerUnreachable, "no ingest server listens at %s: connection refused", c.base)
	case errors.As(err, &dns):
		return errcode.Wrap(err, errcode.ServerUnreachable, "the host of %s is not known", c.base)
	default:
		return errcode.Wrap(err, errcode.ServerUnreachable, "no answer from %s", c.base)
	}
}

// stranger says that what answers is no ingest server.
func (c *Client) stranger(resp *http.Response) error {
	return errcode.New(errcode.Internal, "%s answered %s %s with %s, which no ingest server does",
		c.base, resp.Request.Method, resp.Request.URL.Path, resp.Status)
}
