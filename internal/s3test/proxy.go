package s3test

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// A Proxy stands between a client and a server. It counts what the client sends
// and what it gets, and can do wrong by the server.
type Proxy struct {
	Endpoint string
	RootCAs  *x509.CertPool // of one with TLS

	Sent     atomic.Int64 // bytes of request bodies that were passed on
	Received atomic.Int64 // bytes of answers' bodies

	body   atomic.Pointer[func(r *http.Request, body io.Reader) io.Reader]
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	lose   atomic.Pointer[func(r *http.Request) bool]
}

// NewProxy starts a proxy, which ends with the test.
func NewProxy(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	return newProxy(tb, s, false)
}

// NewTLSProxy starts a proxy that is spoken to by https.
func NewTLSProxy(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	return newProxy(tb, s, true)
}

func newProxy(tb testing.TB, s *Server, secure bool) *Proxy {
	tb.Helper()
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{}
	rp := &httputil.ReverseProxy{
		FlushInterval: -1,                         // what was read before a break arrives
		ErrorLog:      log.New(io.Discard, "", 0), // tests break connections on purpose
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(resp *http.Response) error {
			if fn := p.lose.Load(); fn != nil && (*fn)(resp.Request) {
				resp.Body.Close()
				panic(http.ErrAbortHandler)
			}
			if fn := p.body.Load(); fn != nil {
				resp.Body = &replaced{(*fn)(resp.Request, resp.Body), resp.Body}
			}
			resp.Body = &counted{resp.Body, &p.Received}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fn := p.before.Load(); fn != nil && !(*fn)(w, r) {
			return
		}
		r.Body = &counted{r.Body, &p.Sent}
		rp.ServeHTTP(w, r)
	}))
	if secure {
		srv.StartTLS()
		p.RootCAs = x509.NewCertPool()
		p.RootCAs.AddCert(srv.Certificate())
	} else {
		srv.Start()
	}
	tb.Cleanup(srv.Close)
	p.Endpoint = srv.URL
	return p
}

// Before has fn look at each request first. One that returns false has answered
// the request itself. nil takes it away.
func (p *Proxy) Before(fn func(w http.ResponseWriter, r *http.Request) bool) {
	if fn == nil {
		p.before.Store(nil)
		return
	}
	p.before.Store(&fn)
}

// Body has fn put another body in the place of each answer's. An error of its
// Read breaks the connection.
func (p *Proxy) Body(fn func(r *http.Request, body io.Reader) io.Reader) { p.body.Store(&fn) }

// Lose has the answers be lost, with their connections, of those requests of which fn
// says so once they are done.
func (p *Proxy) Lose(fn func(r *http.Request) bool) { p.lose.Store(&fn) }

type replaced struct {
	io.Reader
	io.Closer
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
