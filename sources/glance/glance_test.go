package glance

import (
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingest/internal/credentials"
	"ingest/internal/faultproxy"
	"ingest/internal/glancetest"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

// loopback are the options of a driver that may reach this host.
func loopback() httpsource.Options {
	return httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Backoff: time.Millisecond}
}

// vault reads a file of credentials.
func vault(tb testing.TB, text string) *credentials.Vault {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	v, err := credentials.Open(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// one server for all tests that need no logins: its start takes seconds.
func TestGlance(t *testing.T) {
	g := glancetest.Start(t)
	t.Run("driver", func(t *testing.T) { testDriver(t, g) })
	t.Run("without ranges", func(t *testing.T) { testWithoutRanges(t, g) })
	t.Run("record", func(t *testing.T) { testRecord(t, g) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, g) })
	t.Run("changes", func(t *testing.T) { testChanges(t, g) })
	t.Run("bytes", func(t *testing.T) { testBytes(t, g) })
}

var images atomic.Int64

// fresh is a name that no other image has.
func fresh() string { return fmt.Sprintf("an image #%d / ü+", images.Add(1)) }

func urlOf(host, image string) string {
	return "glance://" + host + "/" + url.PathEscape(image) + "?scheme=http"
}

// The suite runs against the real service, behind a network that can fail.
func testDriver(t *testing.T, g *glancetest.Glance) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		proxy, err := faultproxy.Start(g.Host(), faultproxy.Shape{})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { proxy.Close() })
		w := newWeb(tb, "http://"+proxy.Addr())
		name := fresh()
		id := g.Put(tb, name, content, nil)
		return sourcetest.Fixture{
			Driver: New(httpsource.New(loopback()), nil),
			Ref:    sources.Ref{URL: urlOf(w.host, name)},
			Replace: func(content []byte) {
				g.Delete(tb, id)
				id = g.Put(tb, name, content, nil)
			},
			Cut:    w.cut,
			Remove: func() { g.Delete(tb, id) },
			Hang: func() {
				proxy.SetFaults(func(int) faultproxy.Fault { return faultproxy.Fault{Kind: faultproxy.Stall} })
				proxy.ResetAll()
			},
		}
	})
}

// A web is a proxy of requests before a server, which can do wrong by it.
type web struct {
	host   string
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	sent   atomic.Int64 // bytes of images
	end    atomic.Int64 // of images: behind it connections break
}

// cut breaks connections behind n bytes of an image.
func (w *web) cut(n int) { w.end.Store(int64(n)) }

// begin is where a request's range begins.
func begin(r *http.Request) int64 {
	var off int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &off); err != nil {
		return 0
	}
	return off
}

func newWeb(tb testing.TB, endpoint string) *web {
	tb.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	out := &web{}
	out.cut(math.MaxInt)
	rp := httputil.NewSingleHostReverseProxy(to)
	rp.FlushInterval = -1
	rp.ErrorLog = log.New(io.Discard, "", 0) // tests break connections on purpose
	srv := newServer(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fn := out.before.Load(); fn != nil && !(*fn)(w, r) {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/file") {
			w = &counting{w, out, out.end.Load() - begin(r)}
		}
		rp.ServeHTTP(w, r)
	}))
	out.host = strings.TrimPrefix(srv, "http://")
	return out
}

// counting counts what is sent, and breaks the connection when nothing is left.
type counting struct {
	http.ResponseWriter
	w    *web
	left int64
}

func (c *counting) Write(p []byte) (int, error) {
	most := min(int64(len(p)), max(c.left, 0))
	c.w.sent.Add(most) // before anybody can have read it
	n, err := c.ResponseWriter.Write(p[:most])
	if c.left -= int64(len(p)); c.left < 0 {
		c.Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (c *counting) Flush() { c.ResponseWriter.(http.Flusher).Flush() }
