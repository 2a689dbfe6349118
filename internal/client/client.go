package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

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
	prefix  string // the path of base, which pages may repeat
	project string
	tokens  Tokens
	http    *http.Client
	slow    *http.Client // for uploads, whose answer may take as long as a store does
}

// Tokens has the token that requests carry.
type Tokens interface {
	// Token returns the token, "" for none. refused is the one that a server has
	// refused, "" for none; an error says that there is no other.
	Token(ctx context.Context, refused string) (string, error)
}

// fixed is a token that there is no other of.
type fixed string

func (f fixed) Token(_ context.Context, refused string) (string, error) {
	if refused != "" {
		return "", errNoOther
	}
	return string(f), nil
}

// errNoOther says that a refusal stands.
var errNoOther = errors.New("there is no other token")

// New returns a client of the server at base, "" for DefaultServer. A base
// without scheme is taken as http. project may be "".
func New(base, project string) (*Client, error) {
	if base == "" {
		base = DefaultServer
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	// Catalogs name an image service with its version or without.
	base = strings.TrimSuffix(strings.TrimRight(base, "/"), "/v2")
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errcode.New(errcode.BadRequest, "server address %q is not of the form http://HOST:PORT", base).
			With(errcode.Evidence{Field: "server", Value: base})
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	// A download may take hours, but its head comes at once.
	tr.ResponseHeaderTimeout = time.Minute
	slow := tr.Clone()
	slow.ResponseHeaderTimeout = 0
	return &Client{base: base, prefix: strings.TrimRight(u.EscapedPath(), "/"), project: project, tokens: fixed(""),
		http: &http.Client{Transport: tr, CheckRedirect: sameHost}, slow: &http.Client{Transport: slow, CheckRedirect: sameHost}}, nil
}

// UseTLS sets what certificates are held against. It is called before the client is used.
func (c *Client) UseTLS(t *tls.Config) {
	for _, h := range []*http.Client{c.http, c.slow} {
		h.Transport.(*http.Transport).TLSClientConfig = t
	}
}

// UseTokens sets who has the token that requests carry. It is called before the client
// is used.
func (c *Client) UseTokens(t Tokens) { c.tokens = t }

// UseToken sets the token that requests carry, "" for none. It is called before the
// client is used. errcode.BadRequest says that it cannot be one.
func (c *Client) UseToken(token string) error {
	if !identity.Plain(token) {
		return errcode.New(errcode.BadRequest, "the token holds what no token does, such as a blank or a line break").
			With(errcode.Evidence{Structure: "request", Field: "X-Auth-Token"})
	}
	c.tokens = fixed(token)
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
	r, err := encoded(body)
	if err != nil {
		return 0, err
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

// encoded is a body as JSON, nil for none.
func encoded(body any) (io.Reader, error) {
	if body == nil {
		return nil, nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.Internal, "write request")
	}
	return bytes.NewReader(raw), nil
}

// send sends a request and returns an answer that is no error. A token that is refused is
// renewed once, if there is another one and the body can be sent again.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	refused := ""
	for {
		req, err := c.request(ctx, method, path, header, body)
		if err != nil {
			return nil, err
		}
		token, err := c.tokens.Token(ctx, refused)
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("X-Auth-Token", token)
		}
		resp, err := c.via(req).Do(req)
		if err != nil {
			return nil, c.unreachable(ctx, err)
		}
		if resp.StatusCode == http.StatusUnauthorized && refused == "" && token != "" && (body == nil || req.GetBody != nil) {
			next, err := c.tokens.Token(ctx, token)
			if err == nil && next != token {
				resp.Body.Close()
				if body != nil {
					body, _ = req.GetBody()
				}
				refused = token
				continue
			}
		}
		return c.judged(resp)
	}
}

func (c *Client) request(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.BadRequest, "build request for %s", path)
	}
	if s, ok := body.(sized); ok {
		req.ContentLength = s.size
		if s.size == 0 {
			req.Body = http.NoBody
		}
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if c.project != "" {
		req.Header.Set("X-Project-Id", c.project)
	}
	return req, nil
}

// via is the client of a request: uploads wait for their answer.
func (c *Client) via(req *http.Request) *http.Client {
	if req.Header.Get("Expect") != "" {
		return c.slow
	}
	return c.http
}

// unreachable says why no answer came. A cancelled context stays what it is.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errcode.Wrap(err, errcode.ServerUnreachable, "no server listens at %s: connection refused", c.base)
	case errors.As(err, &dns):
		return errcode.Wrap(err, errcode.ServerUnreachable, "the host of %s is not known", c.base)
	default:
		return errcode.Wrap(err, errcode.ServerUnreachable, "no answer from %s", c.base)
	}
}

// notOurs says that a server has no such route: ErrNotIngest.
func (c *Client) notOurs(resp *http.Response) error {
	return errcode.Wrap(ErrNotIngest, errcode.ServerNotIngest, "%s has no %s %s: it is another image service than ingest, or an older one",
		c.base, resp.Request.Method, strings.TrimPrefix(resp.Request.URL.Path, c.prefix))
}

// stranger says that what answers is no ingest server.
func (c *Client) stranger(resp *http.Response) error {
	return errcode.New(errcode.Internal, "%s answered %s %s with %s, which no image service does",
		c.base, resp.Request.Method, resp.Request.URL.Path, resp.Status)
}
