package http

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ingest/sources"
	"ingest/sources/sourcetest"
)

func TestDriver(t *testing.T) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		w := newWeb(tb, content)
		return sourcetest.Fixture{
			Driver:  New(testOptions()),
			Ref:     sources.Ref{URL: w.url + "/image.qcow2?sig=secret"},
			Replace: func(content []byte) { w.set(func() { w.content = content }) },
			Cut:     func(n int) { w.set(func() { w.cut = n }) },
			Remove:  func() { w.set(func() { w.statuses = []int{404} }) },
			Hang:    func() { w.set(func() { w.hang = true }) },
		}
	})
}

// TestDriverByDate runs the suite against a server that has dates and no ETags.
func TestDriverByDate(t *testing.T) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		w := newWeb(tb, content)
		date := time.Unix(1_700_000_000, 0)
		stamp := func() { w.etag, w.date = "", date.UTC().Format(http.TimeFormat) }
		w.set(stamp)
		return sourcetest.Fixture{
			Driver: New(testOptions()),
			Ref:    sources.Ref{URL: w.url + "/image.raw"},
			Replace: func(content []byte) {
				date = date.Add(time.Minute)
				w.set(func() { w.content = content; stamp() })
			},
			Cut:    func(n int) { w.set(func() { w.cut = n }) },
			Remove: func() { w.set(func() { w.statuses = []int{410} }) },
			Hang:   func() { w.set(func() { w.hang = true }) },
		}
	})
}

// testOptions allow the loopback and keep waits short.
func testOptions() Options {
	return Options{
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Backoff:   time.Microsecond,
	}
}

const tagOfContent = "content"

// web is a server whose habits a test can change while it runs.
type web struct {
	url string

	mu       sync.Mutex
	content  []byte
	etag     string // tagOfContent for a digest of the content, "" for none
	date     string // Last-Modified
	header   http.Header
	statuses []int // answered first, one each; the last one for ever
	once     bool  // the last status is answered once too
	noRanges bool
	noLength bool // chunked
	cut      int  // < 0 means whole
	cuts     int  // so many answers are cut; < 0 means all
	hang     bool
	handle   http.HandlerFunc // instead of all of the above
	requests []*http.Request
}

func newWeb(tb testing.TB, content []byte) *web {
	w := &web{content: content, etag: tagOfContent, cut: -1, cuts: -1, header: http.Header{}}
	srv := httptest.NewServer(w)
	w.url = srv.URL
	tb.Cleanup(srv.Close)
	return w
}

func (w *web) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// asked returns the header field of each request so far.
func (w *web) asked(field string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.requests {
		out = append(out, r.Header.Get(field))
	}
	return out
}

// ServeHTTP answers as the fields say.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests = append(w.requests, r)
	handle, content, etag, date, hang, noRanges, noLength := w.handle, w.content, w.etag, w.date, w.hang, w.noRanges, w.noLength
	status, cut := 0, -1
	if len(w.statuses) > 0 {
		status = w.statuses[0]
		if len(w.statuses) > 1 || w.once {
			w.statuses = w.statuses[1:]
		}
	} else if w.cut >= 0 && w.cuts != 0 {
		cut = w.cut
		w.cuts--
	}
	for k, v := range w.header {
		rw.Header()[k] = v
	}
	w.mu.Unlock()
	if handle != nil {
		handle(rw, r)
		return
	}
	if status != 0 {
		rw.WriteHeader(status)
		return
	}
	if etag == tagOfContent {
		etag = fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	}
	if etag != "" {
		rw.Header().Set("ETag", etag)
	}
	modified, _ := http.ParseTime(date)
	if noRanges {
		if date != "" {
			rw.Header().Set("Last-Modified", date)
		}
		if !noLength {
			rw.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		out := &limited{ResponseWriter: rw, r: r, left: cut, hang: hang}
		io.Copy(out, bytes.NewReader(content))
		return
	}
	left := cut
	var first int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first); n == 1 && cut >= 0 {
		left = max(cut-first, 0)
	}
	http.ServeContent(&limited{ResponseWriter: rw, r: r, left: left, hang: hang}, r, "", modified, bytes.NewReader(content))
}

// limited breaks the connection behind so many bytes, or hangs before the first.
type limited struct {
	http.ResponseWriter
	r    *http.Request
	left int // < 0 means no limit
	hang bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.hang {
		l.ResponseWriter.(http.Flusher).Flush()
		<-l.r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if l.left >= 0 && len(p) > l.left {
		l.ResponseWriter.Write(p[:l.left])
		l.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	if l.left >= 0 {
		l.left -= len(p)
	}
	n, err := l.ResponseWriter.Write(p)
	return n, err
}
