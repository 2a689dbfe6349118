package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/testserver"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

// TestRetries shows that passing failures are got over without a byte lost or
// doubled, and that the others end the read.
func TestRetries(t *testing.T) {
	content := sourcetest.Content(600_000, 9)
	for _, tt := range []struct {
		name string
		make func(w *web)
		want errcode.Code
	}{
		{"500s then success", func(w *web) { w.statuses, w.once = []int{500, 503, 502, 429}, true }, ""},
		{"500 for ever", func(w *web) { w.statuses = []int{500} }, errcode.SourceUnreachable},
		{"one more 500 than repetitions", func(w *web) { w.statuses, w.once = []int{500, 500, 500, 500, 500}, true }, errcode.SourceUnreachable},
		{"cut off four times", func(w *web) { w.cut, w.cuts = 300_000, 4 }, ""},
		{"cut off for ever", func(w *web) { w.cut = 300_000 }, errcode.SourceLengthMismatch},
		{"gone", func(w *web) { w.statuses = []int{404} }, errcode.SourceNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t, content)
			s := open(t, testOptions(), w.url)
			w.set(func() { tt.make(w) })
			got, err := readStream(t, s, 0)
			wantCode(t, "stream", err, tt.want)
			if err == nil && !bytes.Equal(got, content) || !bytes.HasPrefix(content, got) {
				t.Errorf("stream = %d bytes that differ", len(got))
			}
			w = newWeb(t, content)
			s = open(t, testOptions(), w.url)
			w.set(func() { tt.make(w) })
			r, err := s.ReaderAt(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 100_000)
			_, err = r.ReadAt(p, 250_000)
			wantCode(t, "ReadAt", err, tt.want)
			if err == nil && !bytes.Equal(p, content[250_000:350_000]) {
				t.Error("ReadAt yields bytes that differ")
			}
		})
	}
	w := newWeb(t, content)
	w.set(func() { w.statuses, w.once = []int{500, 500}, true })
	open(t, testOptions(), w.url)
}

// TestStreamSurvivesManyBreaks breaks the connection more often than there are
// repetitions, with progress in between.
func TestStreamSurvivesManyBreaks(t *testing.T) {
	content := sourcetest.Content(12*progress, 10)
	w := newWeb(t, content)
	w.set(func() {
		w.handle = func(rw http.ResponseWriter, r *http.Request) {
			var first int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
			rw.Header().Set("ETag", `"v1"`)
			http.ServeContent(&limited{ResponseWriter: rw, r: r, left: progress + 10}, r, "", time.Time{}, bytes.NewReader(content))
		}
	})
	got, err := readStream(t, open(t, testOptions(), w.url), 0)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("stream = %d bytes of %d, %v", len(got), len(content), err)
	}
}

// TestLiars has servers that answer a range with something else. No byte of it
// may come through.
func TestLiars(t *testing.T) {
	content := sourcetest.Content(10_000, 11)
	answers := map[string]func(rw http.ResponseWriter){
		"another ETag":    func(rw http.ResponseWriter) { partial(rw, `"v2"`, "bytes 100-9999/10000", content[100:]) },
		"weak ETag":       func(rw http.ResponseWriter) { partial(rw, `W/"v1"`, "bytes 100-9999/10000", content[100:]) },
		"no ETag":         func(rw http.ResponseWriter) { partial(rw, "", "bytes 100-9999/10000", content[100:]) },
		"another total":   func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 100-9999/10001", content[100:]) },
		"unknown total":   func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 100-9999/*", content[100:]) },
		"another begin":   func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 99-9999/10000", content[99:]) },
		"another end":     func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 100-9998/10000", content[100:9999]) },
		"no range":        func(rw http.ResponseWriter) { partial(rw, `"v1"`, "", content[100:]) },
		"malformed range": func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 100-+9999/10000", content[100:]) },
		"another unit":    func(rw http.ResponseWriter) { partial(rw, `"v1"`, "sectors 100-9999/10000", content[100:]) },
		"another length":  func(rw http.ResponseWriter) { partial(rw, `"v1"`, "bytes 100-9999/10000", content[99:]) },
		"the whole":       func(rw http.ResponseWriter) { rw.Header().Set("ETag", `"v1"`); rw.Write(content) },
		"the whole as if it were the range": func(rw http.ResponseWriter) {
			rw.Header().Set("ETag", `"v1"`)
			rw.Header().Set("Content-Range", "bytes 100-9999/10000")
			rw.Write(content[:9900])
		},
		"failed condition": func(rw http.ResponseWriter) { rw.WriteHeader(412) },
		"range not served": func(rw http.ResponseWriter) { rw.WriteHeader(416) },
		"several ranges": func(rw http.ResponseWriter) {
			rw.Header()["Content-Range"] = []string{"bytes 100-9999/10000", "bytes 100-9999/10000"}
			partial(rw, `"v1"`, "", content[100:])
		},
		"multipart answers": func(rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
			partial(rw, `"v1"`, "", content[100:])
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, content)
			w.set(func() { w.etag = `"v1"` })
			s := open(t, testOptions(), w.url)
			w.set(func() { w.handle = func(rw http.ResponseWriter, r *http.Request) { answer(rw) } })
			got, err := readStream(t, s, 100)
			wantCode(t, "stream", err, errcode.SourceChanged)
			if len(got) > 0 {
				t.Errorf("%d bytes of another version came through", len(got))
			}
		})
	}
}

func partial(rw http.ResponseWriter, etag, contentRange string, p []byte) {
	if etag != "" {
		rw.Header().Set("ETag", etag)
	}
	if contentRange != "" {
		rw.Header().Set("Content-Range", contentRange)
	}
	rw.Header().Set("Content-Length", fmt.Sprint(len(p)))
	rw.WriteHeader(http.StatusPartialContent)
	rw.Write(p)
}

// TestChangeBetweenPieces has the source change while a stream is taken up
// again behind a broken connection.
func TestChangeBetweenPieces(t *testing.T) {
	old, young := sourcetest.Content(600_000, 12), sourcetest.Content(600_000, 13)
	w := newWeb(t, old)
	s := open(t, testOptions(), w.url)
	w.set(func() { w.cut, w.cuts = 300_000, 1 })
	r, err := s.Stream(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.set(func() { w.content = young })
	got, err := io.ReadAll(r)
	wantCode(t, "stream over a change", err, errcode.SourceChanged)
	if !bytes.HasPrefix(old, got) {
		t.Errorf("the stream holds bytes of the other version")
	}
}

func TestPlainStreams(t *testing.T) {
	content := sourcetest.Content(300_000, 14)
	for _, tt := range []struct {
		name   string
		before func(w *web)
		after  func(w *web)
		want   errcode.Code
	}{
		{"unchanged", nil, func(*web) {}, ""},
		{"cut short", nil, func(w *web) { w.cut = 1000 }, errcode.SourceLengthMismatch},
		{"cut short without a length", func(w *web) { w.noLength = true }, func(w *web) { w.cut = 150_000 }, errcode.SourceLengthMismatch},
		{"another version", nil, func(w *web) { w.content = sourcetest.Content(300_000, 15) }, errcode.SourceChanged},
		{"another length", func(w *web) { w.etag = "" }, func(w *web) { w.content = content[:100] }, errcode.SourceChanged},
		{"shorter without a length", func(w *web) { w.etag = "" }, func(w *web) { w.noLength = true; w.content = content[:200_000] }, errcode.SourceLengthMismatch},
		{"longer without a length", func(w *web) { w.etag = "" }, func(w *web) { w.noLength = true; w.content = sourcetest.Content(400_000, 14) }, errcode.SourceLengthMismatch},
		{"500 and then the source", nil, func(w *web) { w.statuses, w.once = []int{500}, true }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t, content)
			w.set(func() { w.noRanges = true })
			if tt.before != nil {
				w.set(func() { tt.before(w) })
			}
			s := open(t, testOptions(), w.url)
			w.set(func() { tt.after(w) })
			got, err := readStream(t, s, 0)
			wantCode(t, "stream", err, tt.want)
			if err == nil && !bytes.Equal(got, content) {
				t.Errorf("stream = %d bytes that differ", len(got))
			}
		})
	}
}

// TestPinMismatch opens with a pin that does not hold any more.
func TestPinMismatch(t *testing.T) {
	w := newWeb(t, []byte("some content"))
	good := open(t, testOptions(), w.url).Pin()
	b, err := json.Marshal(good)
	if err != nil || strings.Contains(string(b), "some content") {
		t.Fatalf("pin = %s, %v", b, err)
	}
	w.set(func() { w.noRanges = true })
	_, err = New(testOptions()).Open(t.Context(), sources.Ref{URL: w.url}, &good)
	wantCode(t, "Open of a pin with ranges where there are none", err, errcode.SourceChanged)
}

// TestUnreachable shows that the message is one and the same, whatever stands
// at the other end.
func TestUnreachable(t *testing.T) {
	closed, err := testserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	mute := listen(t, "")
	other := listen(t, "SSH-2.0-OpenSSH_9.6\r\n")
	huge := listen(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 128<<10)+"\r\n\r\n")
	plain := newWeb(t, nil)
	o := testOptions()
	o.Retries = -1
	messages := map[string]bool{}
	for _, url := range []string{"http://127.0.0.1:" + closed, mute, other, huge, "https" + strings.TrimPrefix(plain.url, "http"), "http://no-such-host.invalid"} {
		_, err := New(o).Open(t.Context(), sources.Ref{URL: url + "/?secret"}, nil)
		wantCode(t, url, err, errcode.SourceUnreachable)
		messages[fmt.Sprint(err)] = true
		if cause := errors.Unwrap(err); cause == nil || strings.Contains(cause.Error(), "secret") {
			t.Errorf("%s: cause for the operator = %v", url, cause)
		}
	}
	if len(messages) != 1 {
		t.Errorf("the messages differ: %v", messages)
	}
}

// listen answers each connection with the text and closes it.
func listen(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, text)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}
