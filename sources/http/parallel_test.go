package http

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ingest/internal/bandwidth"
	"ingest/internal/errcode"
	"ingest/internal/faultproxy"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

// readParallel reads a source in ranges, eight at one time, and returns it whole.
func readParallel(ctx context.Context, s sources.Source, step int64) ([]byte, error) {
	r, err := s.ReaderAt(sources.WithDirect(ctx))
	if err != nil {
		return nil, err
	}
	out := make([]byte, s.Pin().Size)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil {
				off := next.Add(step) - step
				if off >= int64(len(out)) {
					return
				}
				p := out[off:min(off+step, int64(len(out)))]
				_, errs[i] = r.ReadAt(p, off)
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func proxied(t *testing.T, target string) (*faultproxy.Proxy, string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p, err := faultproxy.Start(u.Host, faultproxy.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, u.Scheme + "://" + p.Addr() + u.Path
}

// TestRangesOverFaults reads in parallel over a network that cuts, resets and
// truncates: every byte is right.
func TestRangesOverFaults(t *testing.T) {
	content := sourcetest.Content(6<<20+5, 21)
	for name, kind := range map[string]faultproxy.Kind{"close": faultproxy.Close, "reset": faultproxy.Reset} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, content)
			proxy, at := proxied(t, w.url+"/image")
			s := open(t, testOptions(), at)
			proxy.SetFaults(func(conn int) faultproxy.Fault {
				if conn%3 == 2 {
					return faultproxy.Fault{}
				}
				return faultproxy.Fault{Kind: kind, After: int64(conn * 97_001 % 700_000)}
			})
			proxy.ResetAll()
			got, err := readParallel(t.Context(), s, 512<<10)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v (%v); %+v", len(got), err, causes(err), proxy.Counts())
			}
		})
	}
}

// TestServerThatServesFewAtOnce has a server that answers 503 to whoever comes while
// three others are served: the number of requests adapts, and no read fails.
func TestServerThatServesFewAtOnce(t *testing.T) {
	content := sourcetest.Content(16<<20, 22)
	var busy, refused, most atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := busy.Add(1)
		over := sync.OnceFunc(func() { busy.Add(-1) })
		defer over()
		if n > 3 {
			refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for have := most.Load(); n > have && !most.CompareAndSwap(have, n); have = most.Load() {
		}
		w.Header().Set("ETag", `"v"`)
		time.Sleep(2 * time.Millisecond)
		http.ServeContent(&ending{ResponseWriter: w, over: over}, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer srv.Close()
	s := open(t, testOptions(), srv.URL)
	got, err := readParallel(t.Context(), s, 128<<10)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v; %d refused", len(got), causes(err), refused.Load())
	}
	if refused.Load() > 40 {
		t.Errorf("the server had to refuse %d of %d requests", refused.Load(), len(content)/(128<<10))
	}
}

// TestRetryAfter shows that a server that asks to be left alone is.
func TestRetryAfter(t *testing.T) {
	content := sourcetest.Content(1<<20, 23)
	for name, header := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, content)
			s := open(t, testOptions(), w.url)
			var mu sync.Mutex
			var until time.Time
			early := 0
			w.set(func() {
				w.handle = func(rw http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					now := time.Now()
					if until.IsZero() {
						until = now.Add(900 * time.Millisecond)
						rw.Header().Set("Retry-After", header())
						rw.WriteHeader(http.StatusTooManyRequests)
						return
					}
					if now.Before(until) {
						early++
					}
					rw.Header().Set("ETag", fmt.Sprintf(`"%s"`, strings.Trim(s.Pin().Validator, `"`)))
					http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(content))
				}
			})
			got := make([]byte, len(content))
			r, err := s.ReaderAt(sources.WithDirect(t.Context()))
			if err == nil {
				_, err = r.ReadAt(got, 0)
			}
			if err != nil || !bytes.Equal(got, content) || early > 0 {
				t.Errorf("%d bytes, %v; %d requests came too early", len(got), causes(err), early)
			}
		})
	}
}

// ending says that an answer is over before its last bytes are sent: whoever has read
// them may ask again, while the handler has still to return.
type ending struct {
	http.ResponseWriter
	over func()
	sent int64
}

func (e *ending) Write(p []byte) (int, error) {
	if e.sent += int64(len(p)); strconv.FormatInt(e.sent, 10) == e.Header().Get("Content-Length") {
		e.over()
	}
	return e.ResponseWriter.Write(p)
}

// TestHostBudget shows that all sources of a driver keep within a host's connections.
func TestHostBudget(t *testing.T) {
	content := sourcetest.Content(2<<20, 24)
	var busy, most atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := busy.Add(1)
		over := sync.OnceFunc(func() { busy.Add(-1) })
		defer over()
		for have := most.Load(); n > have && !most.CompareAndSwap(have, n); have = most.Load() {
		}
		w.Header().Set("ETag", `"v"`)
		time.Sleep(time.Millisecond)
		http.ServeContent(&ending{ResponseWriter: w, over: over}, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	o := testOptions()
	o.Hosts = map[string]HostLimit{u.Host: {Connections: 3}}
	d := New(o)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := d.Open(t.Context(), sources.Ref{URL: srv.URL}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if got, err := readParallel(t.Context(), s, 64<<10); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 3 {
		t.Errorf("%d requests at one time, want 3", n)
	}
	if n := d.c.hosts.all[u.Host].busy; n != 0 {
		t.Errorf("%d connections are still booked", n)
	}
}

// TestBandwidth looks at the lower bound of the time.
func TestBandwidth(t *testing.T) {
	content := sourcetest.Content(1<<20, 25)
	w := newWeb(t, content)
	o := testOptions()
	o.PerHost.BytesPerSecond = 4 << 20
	s := open(t, o, w.url)
	begin := time.Now()
	got, err := readParallel(t.Context(), s, 64<<10)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("1 MiB at 4 MiB/s took %v", took)
	}
}

// TestBandwidthIsWaitedFor: who reads is seen to wait for the budget of the host, and the
// source is not the one that is slow. The clock of its bubble moves on when all wait: on a
// busy machine an answer might take longer than the limits of a real one allow.
func TestBandwidthIsWaitedFor(t *testing.T) { synctest.Test(t, testBandwidthIsWaitedFor) }

func testBandwidthIsWaitedFor(t *testing.T) {
	o := testOptions()
	o.PerHost.BytesPerSecond, o.MinRate, o.RateWindow, o.StallTimeout = 20<<10, 64<<10, 100*time.Millisecond, 300*time.Millisecond
	s, err := pipes(t, o, slow{size: 40 << 10, ranges: true, piece: 4 << 10}.answer).Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var m bandwidth.Meter
	r, err := s.Stream(bandwidth.With(t.Context(), &m), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	begun, waits := time.Now(), 0
	done := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, r)
		done <- err
	}()
	for tick := time.Tick(200 * time.Millisecond); ; {
		select {
		case err := <-done:
			if took := time.Since(begun); err != nil || took < time.Second || waits < 4 {
				t.Errorf("40 KiB at 20 a second took %v, and was seen to wait %d times: %v", took, waits, err)
			}
			return
		case <-tick:
			if m.Waits() {
				waits++
			}
		}
	}
}

// TestHTTP2 reads from a server with a certificate authority of its own that speaks
// HTTP/2 and nothing else.
func TestHTTP2(t *testing.T) {
	content := sourcetest.Content(3<<20, 26)
	var old atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			old.Add(1)
		}
		w.Header().Set("ETag", `"v"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	srv.Config.ErrorLog = quiet()
	var two http.Protocols
	two.SetHTTP2(true)
	srv.Config.Protocols = &two
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	o := testOptions()
	o.Retries = -1
	if _, err := New(o).Open(t.Context(), sources.Ref{URL: srv.URL}, nil); errcode.Of(err) != errcode.SourceUnreachable {
		t.Errorf("with an unknown authority: %v", err)
	}
	o = testOptions() // a connection that is lost at its begin is made again
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(srv.Certificate())
	s := open(t, o, srv.URL)
	got, err := readParallel(t.Context(), s, 256<<10)
	if err != nil || !bytes.Equal(got, content) || old.Load() > 0 {
		t.Errorf("%d bytes, %v; %d requests were not HTTP/2", len(got), causes(err), old.Load())
	}
}

// TestProxy goes through a proxy, which may lie where sources may not, and does not
// lead to where they may not.
func TestProxy(t *testing.T) {
	content := sourcetest.Content(1<<20, 27)
	w := newWeb(t, content)
	var seen atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		out, err := http.NewRequestWithContext(r.Context(), r.Method, w.url+r.URL.Path, nil)
		if err == nil {
			out.Header = r.Header.Clone()
			var resp *http.Response
			if resp, err = http.DefaultTransport.RoundTrip(out); err == nil {
				defer resp.Body.Close()
				for k, v := range resp.Header {
					rw.Header()[k] = v
				}
				rw.WriteHeader(resp.StatusCode)
				io.Copy(rw, resp.Body)
				return
			}
		}
		rw.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	o := Options{Retries: -1} // the loopback is not allowed
	o.Proxy, _ = url.Parse(proxy.URL)
	s := open(t, o, "http://images.invalid/disk")
	got, err := readParallel(t.Context(), s, 256<<10)
	if err != nil || !bytes.Equal(got, content) || seen.Load() < 5 {
		t.Errorf("%d bytes, %v, %d requests through the proxy", len(got), causes(err), seen.Load())
	}
	before := seen.Load()
	for _, inner := range []string{"http://127.0.0.1/x", "http://169.254.169.254/latest", "http://localhost/x", "http://[::1]/x"} {
		_, err := New(o).Open(t.Context(), sources.Ref{URL: inner}, nil)
		wantCode(t, inner, err, errcode.SourceAddrBlocked)
	}
	if seen.Load() != before {
		t.Error("the proxy was asked for an inner address")
	}
}
