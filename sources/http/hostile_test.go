package http

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

// only127001 allows one loopback address of the many, so that the others stand
// for the operator's network.
func only127001() Options {
	o := testOptions()
	o.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	return o
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// whole answers with the content and closes the connection, so that the name is
// looked up for each request.
func whole(content string) func(net.Conn, *http.Request) bool {
	return func(c net.Conn, r *http.Request) bool {
		first, last := 0, len(content)-1
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		fmt.Fprintf(c, "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"v1\"\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s",
			last-first+1, first, last, len(content), content[first:last+1])
		return false
	}
}

// TestRebind has names that change their address between two connections.
func TestRebind(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, later []netip.Addr
		open, stream errcode.Code
	}{
		{"to the same", addrs("127.0.0.1"), addrs("127.0.0.1"), "", ""},
		{"allowed, then blocked", addrs("127.0.0.1"), addrs("127.0.0.2"), "", errcode.SourceAddrBlocked},
		{"allowed, then mapped", addrs("127.0.0.1"), addrs("::ffff:127.0.0.2"), "", errcode.SourceAddrBlocked},
		{"allowed, then metadata", addrs("127.0.0.1"), addrs("169.254.169.254"), "", errcode.SourceAddrBlocked},
		{"allowed, then NAT64", addrs("127.0.0.1"), addrs("64:ff9b::7f00:2"), "", errcode.SourceAddrBlocked},
		{"blocked at once", addrs("127.0.0.2"), addrs("127.0.0.1"), errcode.SourceAddrBlocked, ""},
		{"allowed, then gone", addrs("127.0.0.1"), nil, "", errcode.SourceUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := raw(t, whole("some content"))
			port := url[strings.LastIndex(url, ":"):]
			hits, _ := trap(t, "127.0.0.2"+port)
			d := New(only127001())
			names(func(_ string, lookup int) []netip.Addr {
				if lookup == 1 {
					return tt.first
				}
				return tt.later
			}).use(d)
			s, err := d.Open(t.Context(), sources.Ref{URL: "http://rebind.test" + port + "/"}, nil)
			wantCode(t, "Open", err, tt.open)
			if err == nil {
				got, err := readStream(t, s, 0)
				wantCode(t, "stream", err, tt.stream)
				if err == nil && string(got) != "some content" {
					t.Errorf("stream = %q", got)
				}
			}
			if hits.Load() != 0 {
				t.Errorf("%d connections to the blocked address", hits.Load())
			}
		})
	}
}

// TestSeveralAddresses has names with allowed and blocked addresses: the dialer
// tries one after the other, and both families beside each other (RFC 8305).
func TestSeveralAddresses(t *testing.T) {
	for _, list := range [][]string{
		{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}, {"127.0.0.1", "::1"}, {"::1", "127.0.0.1"},
		{"127.0.0.2", "::1", "169.254.169.254", "fd00:ec2::254", "127.0.0.1"}, {"64:ff9b::7f00:2", "127.0.0.1"},
	} {
		url := raw(t, whole("some content"))
		port := url[strings.LastIndex(url, ":"):]
		v4, _ := trap(t, "127.0.0.2"+port)
		v6, _ := trap(t, "[::1]"+port)
		d := New(only127001())
		names(func(string, int) []netip.Addr { return addrs(list...) }).use(d)
		s, err := d.Open(t.Context(), sources.Ref{URL: "http://both.test" + port + "/"}, nil)
		if err != nil {
			t.Errorf("%v: Open: %v (%v)", list, err, errors.Unwrap(err))
			continue
		}
		if got, err := readStream(t, s, 0); err != nil || string(got) != "some content" {
			t.Errorf("%v: stream = %q, %v", list, got, err)
		}
		for i, hits := range []*atomic.Int32{v4, v6} {
			if hits.Load() != 0 {
				t.Errorf("%v: %d connections to blocked address %d", list, hits.Load(), i)
			}
		}
	}
}

// TestNoProxy names a proxy in the environment, as it may be on a host of the
// operator's.
func TestNoProxy(t *testing.T) {
	proxy, at := trap(t, "127.0.0.1:0")
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+at)
	}
	d := New(testOptions())
	if d.c.transport.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	url := raw(t, whole("some content"))
	names(func(string, int) []netip.Addr { return addrs("127.0.0.1") }).use(d)
	if _, err := d.Open(t.Context(), sources.Ref{URL: "http://direct.test" + url[strings.LastIndex(url, ":"):]}, nil); err != nil || proxy.Load() != 0 {
		t.Errorf("Open past a proxy: %v, %d connections to it", err, proxy.Load())
	}
}

// TestNothingCarried shows that no server is told what another one said.
func TestNothingCarried(t *testing.T) {
	target := newWeb(t, sourcetest.Content(1000, 20))
	target.set(func() { target.header.Set("Set-Cookie", "b=2; Path=/") })
	front := newWeb(t, nil)
	front.set(func() {
		front.handle = func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Set-Cookie", "a=1; Path=/")
			rw.Header().Set("WWW-Authenticate", "Basic")
			http.Redirect(rw, r, target.url+"/real", http.StatusFound)
		}
	})
	s := open(t, testOptions(), front.url+"/?token=secret")
	if _, err := readStream(t, s, 0); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*web{front, target} {
		for _, field := range []string{"Cookie", "Authorization", "Referer", "Proxy-Authorization"} {
			if got := strings.Join(w.asked(field), ""); got != "" {
				t.Errorf("a server is sent %s: %s", field, got)
			}
		}
	}
}

// TestDefaultLimits has the limits of redirects and of the header as they are
// without options, and one past them.
func TestDefaultLimits(t *testing.T) {
	for hops, want := range map[int]errcode.Code{5: "", 6: errcode.SourceRedirect} {
		w := newWeb(t, nil)
		w.set(func() {
			w.handle = func(rw http.ResponseWriter, r *http.Request) {
				if len(r.URL.Path) <= hops {
					http.Redirect(rw, r, r.URL.Path+"x", http.StatusFound)
				}
			}
		})
		_, err := New(testOptions()).Open(t.Context(), sources.Ref{URL: w.url + "/"}, nil)
		wantCode(t, fmt.Sprintf("%d redirects", hops), err, want)
		if n := len(w.asked("Range")); n != 6 {
			t.Errorf("%d requests for %d redirects, want 6", n, hops)
		}
	}
	for _, o := range []Options{{}, {MaxHeaderBytes: 2000}} {
		limit := int(o.withDefaults().MaxHeaderBytes)
		for past, want := range map[int]errcode.Code{0: "", 1: errcode.SourceUnreachable} {
			const head, tail = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX: ", "\r\n\r\n"
			text := head + strings.Repeat("x", limit+past-len(head)-len(tail)) + tail
			o.AllowNets, o.Retries = testOptions().AllowNets, -1
			s, err := New(o).Open(t.Context(), sources.Ref{URL: raw(t, always(text+"content"))}, nil)
			wantCode(t, fmt.Sprintf("header of %d bytes", len(text)), err, want)
			if err == nil {
				if got, err := readStream(t, s, 0); string(got) != "content" {
					t.Errorf("stream = %q, %v", got, err)
				}
			}
		}
	}
	url := "http://127.0.0.1/"
	url += strings.Repeat("a", maxURL-len(url))
	if _, err := checkURL(url); err != nil {
		t.Errorf("URL of %d bytes: %v", len(url), err)
	}
	_, err := checkURL(url + "a")
	wantCode(t, "URL past the limit", err, errcode.SourceURLInvalid)
}

// TestTLSVersions has servers that speak HTTP/2 too, HTTP/2 only, and TLS that
// is too old.
func TestTLSVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*httptest.Server)
		want errcode.Code
	}{
		"HTTP/2 as well": {func(s *httptest.Server) { s.EnableHTTP2 = true }, ""},
		"HTTP/2 only": {func(s *httptest.Server) {
			s.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				if !slices.Contains(hello.SupportedProtos, "h2") {
					return nil, errors.New("the client does not speak HTTP/2")
				}
				return nil, nil
			}}
		}, errcode.SourceUnreachable},
		"TLS 1.2": {func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} }, ""},
		"TLS 1.1": {func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		}, errcode.SourceUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{content: []byte("content"), etag: tagOfContent, cut: -1, header: http.Header{}}
			srv := httptest.NewUnstartedServer(w)
			srv.Config.ErrorLog = quiet()
			tt.set(srv)
			srv.StartTLS()
			defer srv.Close()
			o := testOptions()
			o.Retries = -1
			o.RootCAs = x509.NewCertPool()
			o.RootCAs.AddCert(srv.Certificate())
			s, err := New(o).Open(t.Context(), sources.Ref{URL: srv.URL}, nil)
			wantCode(t, "Open", err, tt.want)
			if err != nil {
				return
			}
			if got, err := readStream(t, s, 0); err != nil || string(got) != "content" {
				t.Errorf("stream = %q, %v", got, err)
			}
			for _, r := range w.requests {
				if r.Proto != "HTTP/1.1" {
					t.Errorf("the server is asked in %s", r.Proto)
				}
			}
		})
	}
}

// TestCompressedFile shows that a file which is compressed is not taken for an
// answer which is, and comes through as it is.
func TestCompressedFile(t *testing.T) {
	content := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	w := newWeb(t, content)
	w.set(func() { w.header.Set("Content-Type", "application/gzip") })
	if got, err := readStream(t, open(t, testOptions(), w.url+"/a.img.gz"), 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("stream = %x, %v", got, err)
	}
}

func TestHTTPSOnly(t *testing.T) {
	w := newWeb(t, []byte("content"))
	o := testOptions()
	o.HTTPSOnly = true
	_, err := New(o).Open(t.Context(), sources.Ref{URL: w.url}, nil)
	wantCode(t, "Open of an http URL", err, errcode.SourceScheme)
	if len(w.asked("Range")) != 0 {
		t.Error("the server was asked nevertheless")
	}
	_, err = New(o).Open(t.Context(), sources.Ref{URL: "https://127.0.0.1:1/"}, nil)
	wantCode(t, "Open of an https URL", err, errcode.SourceUnreachable)
}

// TestNoLimit reads without a limit of the source's length.
func TestNoLimit(t *testing.T) {
	w := newWeb(t, []byte("content"))
	o := testOptions()
	o.MaxBytes = -1
	w.set(func() { w.noRanges = true })
	if got, err := readStream(t, open(t, o, w.url), 0); err != nil || string(got) != "content" {
		t.Errorf("stream = %q, %v", got, err)
	}
}
