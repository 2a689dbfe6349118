package http

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

func open(t *testing.T, o Options, url string) sources.Source {
	t.Helper()
	s, err := New(o).Open(t.Context(), sources.Ref{URL: url}, nil)
	if err != nil {
		t.Fatalf("Open: %v (%v)", err, errors.Unwrap(err))
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// readStream reads a source from front to end.
func readStream(t *testing.T, s sources.Source, off int64) ([]byte, error) {
	t.Helper()
	r, err := s.Stream(t.Context(), off)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantCode(t *testing.T, what string, err error, want errcode.Code) {
	t.Helper()
	if errcode.Of(err) != want {
		t.Errorf("%s: %v (%v), want %q", what, err, errors.Unwrap(err), want)
	}
}

// TestPin shows what is made of what servers say about themselves.
func TestPin(t *testing.T) {
	const date = "Tue, 14 Nov 2023 22:13:20 GMT"
	for _, tt := range []struct {
		name               string
		etag, date         string
		noRanges, noLength bool
		want               sources.Pin
	}{
		{name: "strong ETag", etag: `"v1"`, date: date, want: sources.Pin{Size: 1000, Validator: `"v1"`, Strong: true, Random: true}},
		{name: "date", date: date, want: sources.Pin{Size: 1000, Validator: date, Random: true}},
		{name: "weak ETag and date", etag: `W/"v1"`, date: date, want: sources.Pin{Size: 1000, Validator: date, Random: true}},
		{name: "weak ETag", etag: `W/"v1"`, want: sources.Pin{Size: 1000}},
		{name: "nothing", want: sources.Pin{Size: 1000}},
		{name: "no ranges", etag: `"v1"`, noRanges: true, want: sources.Pin{Size: 1000, Validator: `"v1"`, Strong: true}},
		{name: "no ranges, date", date: date, noRanges: true, want: sources.Pin{Size: 1000, Validator: date}},
		{name: "no length", noRanges: true, noLength: true, want: sources.Pin{Size: -1}},
		{name: "long ETag", etag: `"` + strings.Repeat("x", maxValidator-2) + `"`, want: sources.Pin{Size: 1000, Validator: `"` + strings.Repeat("x", maxValidator-2) + `"`, Strong: true, Random: true}},
		{name: "too long ETag", etag: `"` + strings.Repeat("x", maxValidator-1) + `"`, want: sources.Pin{Size: 1000}},
		{name: "ETag that is not ASCII", etag: "\"\xff\"", noRanges: true, want: sources.Pin{Size: 1000}},
		{name: "malformed ETag", etag: `v1`, noRanges: true, want: sources.Pin{Size: 1000}},
		{name: "malformed date", date: "yesterday", noRanges: true, want: sources.Pin{Size: 1000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := sourcetest.Content(1000, 5)
			if tt.noLength {
				content = sourcetest.Content(100_000, 5) // too much for net/http to find the length by itself
			}
			w := newWeb(t, content)
			w.set(func() { w.etag, w.date, w.noRanges, w.noLength = tt.etag, tt.date, tt.noRanges, tt.noLength })
			s := open(t, testOptions(), w.url+"/x")
			tt.want.Driver, tt.want.URL = "http", w.url+"/x"
			if s.Pin() != tt.want {
				t.Errorf("Pin = %+v, want %+v", s.Pin(), tt.want)
			}
			if got, err := readStream(t, s, 0); err != nil || !bytes.Equal(got, content) {
				t.Errorf("stream = %d bytes, %v", len(got), err)
			}
			if !tt.want.Random {
				_, err := readStream(t, s, 1)
				wantCode(t, "Stream from an offset", err, errcode.Conflict)
				_, err = s.ReaderAt(t.Context())
				wantCode(t, "ReaderAt", err, errcode.Conflict)
			}
			if err := s.(*source).Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			pin := s.Pin()
			if _, err := New(testOptions()).Open(t.Context(), sources.Ref{URL: w.url + "/x"}, &pin); err != nil {
				t.Errorf("Open with the pin: %v", err)
			}
		})
	}
}

func TestRequestHeaders(t *testing.T) {
	w := newWeb(t, sourcetest.Content(3000, 6))
	w.set(func() { w.etag = `"v1"` })
	s := open(t, testOptions(), w.url+"/x?token=secret")
	if _, err := readStream(t, s, 1000); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string][]string{
		"Range":           {"bytes=0-0", "bytes=1000-2999"},
		"If-Range":        {"", `"v1"`},
		"Accept-Encoding": {"identity", "identity"},
		"User-Agent":      {"ingest", "ingest"},
		"Cookie":          {"", ""},
		"Referer":         {"", ""},
	} {
		if got := w.asked(field); !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", field, got, want)
		}
	}
}

func TestContentEncoding(t *testing.T) {
	for value, want := range map[string]errcode.Code{"gzip": errcode.SourceEncoding, "br": errcode.SourceEncoding, "identity, gzip": errcode.SourceEncoding, "identity": "", "Identity": "", "": ""} {
		for _, noRanges := range []bool{true, false} {
			w := newWeb(t, []byte("some content"))
			w.set(func() { w.header.Set("Content-Encoding", value); w.noRanges = noRanges })
			_, err := New(testOptions()).Open(t.Context(), sources.Ref{URL: w.url}, nil)
			wantCode(t, "Content-Encoding: "+value, err, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for status, want := range map[int]errcode.Code{
		404: errcode.SourceNotFound, 410: errcode.SourceNotFound, 401: errcode.SourceAuth, 403: errcode.SourceAuth, 407: errcode.SourceAuth,
		400: errcode.SourceUnreachable, 418: errcode.SourceUnreachable, 429: errcode.SourceUnreachable, 500: errcode.SourceUnreachable, 503: errcode.SourceUnreachable,
		204: errcode.SourceUnreachable, 304: errcode.SourceUnreachable, 300: errcode.SourceUnreachable, 416: errcode.SourceUnreachable, 412: errcode.SourceUnreachable,
	} {
		w := newWeb(t, []byte("content"))
		w.set(func() { w.statuses = []int{status} })
		_, err := New(testOptions()).Open(t.Context(), sources.Ref{URL: w.url}, nil)
		wantCode(t, fmt.Sprintf("status %d", status), err, want)
		if err != nil && strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("the message tells the status: %v", err)
		}
		n, again := len(w.asked("Range")), status >= 500 || status == 429
		if (n == 1) == again {
			t.Errorf("status %d was asked for %d times", status, n)
		}
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(&web{content: []byte("content"), etag: tagOfContent, cut: -1})
	defer srv.Close()
	o := testOptions()
	o.Retries = -1
	_, err := New(o).Open(t.Context(), sources.Ref{URL: srv.URL}, nil)
	wantCode(t, "Open with an unknown authority", err, errcode.SourceUnreachable)
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(srv.Certificate())
	if got, err := readStream(t, open(t, o, srv.URL), 0); err != nil || string(got) != "content" {
		t.Errorf("stream = %q, %v", got, err)
	}

	down := httptest.NewTLSServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer down.Close()
	o.RootCAs.AddCert(down.Certificate())
	_, err = New(o).Open(t.Context(), sources.Ref{URL: down.URL}, nil)
	wantCode(t, "redirect from https to http", err, errcode.SourceRedirect)
}

func TestRedirects(t *testing.T) {
	content := sourcetest.Content(200_000, 7)
	target := newWeb(t, content)
	for _, status := range []int{301, 302, 303, 307, 308} {
		front := httptest.NewServer(http.RedirectHandler(target.url+"/real#fragment", status))
		s := open(t, testOptions(), front.URL+"/?secret")
		if got, err := readStream(t, s, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("stream through %d = %d bytes, %v", status, len(got), err)
		}
		if s.Pin().URL != front.URL+"/?secret" {
			t.Errorf("Pin().URL = %s, want the one that was asked for", s.Pin().URL)
		}
		front.Close()
	}
	for _, referer := range target.asked("Referer") {
		if referer != "" {
			t.Errorf("the target is told where the redirect came from: %s", referer)
		}
	}
	for limit, want := range map[int]errcode.Code{3: "", 2: errcode.SourceRedirect, -1: errcode.SourceRedirect} {
		chain := newWeb(t, nil)
		chain.set(func() {
			chain.handle = func(rw http.ResponseWriter, r *http.Request) {
				if len(r.URL.Path) < 4 {
					http.Redirect(rw, r, r.URL.Path+"x", http.StatusFound)
					return
				}
				io.WriteString(rw, "there")
			}
		})
		o := testOptions()
		o.MaxRedirects = limit
		_, err := New(o).Open(t.Context(), sources.Ref{URL: chain.url + "/"}, nil)
		wantCode(t, fmt.Sprintf("three redirects with a limit of %d", limit), err, want)
	}
}

// TestRedirectExpires has a front that redirects to a URL which soon stops
// working, as signed URLs do.
func TestRedirectExpires(t *testing.T) {
	w := newWeb(t, nil)
	content := sourcetest.Content(10_000, 8)
	ticket, front := 0, 0
	w.set(func() {
		w.handle = func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if r.URL.Path == "/" {
				front++
				http.Redirect(rw, r, fmt.Sprintf("/signed/%d", ticket), http.StatusFound)
				return
			}
			if r.URL.Path != fmt.Sprintf("/signed/%d", ticket) {
				rw.WriteHeader(http.StatusForbidden)
				return
			}
			rw.Header().Set("ETag", `"v1"`)
			http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(content))
		}
	})
	s := open(t, testOptions(), w.url+"/")
	for i := range 3 {
		if got, err := readStream(t, s, int64(i)); err != nil || !bytes.Equal(got, content[i:]) {
			t.Errorf("stream %d = %d bytes, %v", i, len(got), err)
		}
	}
	if front != 1 {
		t.Errorf("the front was asked %d times, want once", front)
	}
	w.set(func() { ticket++ })
	if got, err := readStream(t, s, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("stream behind the end of the ticket = %d bytes, %v", len(got), err)
	}
}

func TestTooLarge(t *testing.T) {
	content := sourcetest.Content(100_000, 16)
	for limit, want := range map[int64]errcode.Code{100_000: "", 99_999: errcode.SourceTooLarge} {
		for _, set := range []func(*web){func(w *web) {}, func(w *web) { w.noRanges = true }, func(w *web) { w.noRanges, w.noLength = true, true }} {
			w := newWeb(t, content)
			w.set(func() { set(w) })
			o := testOptions()
			o.MaxBytes = limit
			s, err := New(o).Open(t.Context(), sources.Ref{URL: w.url}, nil)
			if err == nil {
				_, err = readStream(t, s, 0)
			}
			wantCode(t, fmt.Sprintf("limit of %d", limit), err, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes */0", "bytes 0-0/*", "bytes 5-1/9", "bytes 0-9223372036854775807/9223372036854775808", "bytes -1-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cr, ok := parseContentRange(http.Header{"Content-Range": {s}})
		if ok && (cr.first > cr.last || (cr.first < 0) != (cr.last < 0) || cr.total >= 0 && cr.last >= cr.total || cr.first < 0 && cr.total < 0) {
			t.Errorf("%q is read as %+v", s, cr)
		}
	})
}
