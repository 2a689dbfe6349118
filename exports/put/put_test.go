package put_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/exports"
	"ingest/exports/exporttest"
	"ingest/exports/put"
	"ingest/internal/errcode"
)

// A shelf is a web server of one file, which keeps what it has if it is asked to.
type shelf struct {
	exporttest.Troubles
	mu   sync.Mutex
	file []byte
	sent atomic.Int64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.Before(w, r) {
		return
	}
	if s.there() && r.Header.Get("If-None-Match") == "*" {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	p, err := io.ReadAll(r.Body)
	s.sent.Add(int64(len(p)))
	if err != nil || int64(len(p)) != r.ContentLength {
		return // what was cut off makes no file
	}
	s.put(append([]byte{}, p...))
	if s.Lose(r) {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusCreated)
}

func (s *shelf) put(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = p
}

func (s *shelf) get() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file, s.file != nil
}

func (s *shelf) there() bool { _, ok := s.get(); return ok }

// driver sends to whatever a URL names.
func driver() *put.Driver {
	return put.New(func(ctx context.Context, d exports.Destination) (put.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.URL, nil)
		return put.Request{Request: req, Sender: http.DefaultTransport, Shown: "shown"}, err
	})
}

func TestDriver(t *testing.T) {
	exporttest.Run(t, func(tb testing.TB) exporttest.Fixture {
		s := &shelf{}
		server := httptest.NewServer(s)
		tb.Cleanup(server.Close)
		return exporttest.Fixture{
			Driver: driver(), URL: server.URL + "/disk.img?secret", Part: 1 << 20, Blind: true,
			Read: s.get, Place: s.put, Left: func() []string { return nil }, Inject: s.Inject, Sent: s.sent.Load,
		}
	})
}

// A server that says it has the file, and has not taken all of it, is not believed.
func TestAnAnswerBeforeTheEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 4096)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	target, err := driver().Open(t.Context(), exports.Destination{URL: server.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	remembered := 0
	err = target.(exports.Receiver).Send(t.Context(), exports.Sending{
		Content: io.NewSectionReader(zeros{}, 0, 1<<30), Tap: io.Discard, Observe: func(int64) {}, Remember: func([]byte) error { remembered++; return nil },
	})
	if errcode.Of(err) != errcode.DestinationUnreachable || remembered > 0 {
		t.Errorf("got %v, remembered %d times", err, remembered)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

func TestStatuses(t *testing.T) {
	for status, want := range map[int]errcode.Code{
		200: "", 201: "", 204: "", 301: errcode.DestinationAuth, 302: errcode.DestinationAuth, 307: errcode.DestinationAuth, 400: errcode.DestinationAuth,
		401: errcode.DestinationAuth, 403: errcode.DestinationAuth, 404: errcode.DestinationMissing, 405: errcode.DestinationAuth, 408: errcode.DestinationUnreachable,
		409: errcode.DestinationExist, 410: errcode.DestinationMissing, 412: errcode.DestinationExist, 413: errcode.DestinationAuth, 429: errcode.DestinationUnreachable,
		500: errcode.DestinationUnreachable, 501: errcode.DestinationAuth, 502: errcode.DestinationUnreachable, 507: errcode.DestinationUnreachable,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
		}))
		target, err := driver().Open(t.Context(), exports.Destination{URL: server.URL}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = target.(exports.Receiver).Send(t.Context(), exports.Sending{Content: io.NewSectionReader(zeros{}, 0, 10), Tap: io.Discard,
			Observe: func(int64) {}, Remember: func([]byte) error { return nil }})
		if errcode.Of(err) != want {
			t.Errorf("status %d: %v, want %q", status, err, want)
		}
		server.Close()
	}
}
