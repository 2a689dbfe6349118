package http

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"ingest/sources"
)

// Under WithDirect each read is one request for its own bytes.
func TestDirectReadsAreRequests(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var mu sync.Mutex
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Header.Get("Range"))
		mu.Unlock()
		w.Header().Set("ETag", `"v"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer srv.Close()
	s := open(t, testOptions(), srv.URL)
	r, err := s.ReaderAt(sources.WithDirect(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(content))
	for _, c := range []struct {
		off int64
		n   int
		got int
		err error
	}{{0, 16, 16, nil}, {100, 7, 7, nil}, {100, 7, 7, nil}, {size - 4, 10, 4, io.EOF}, {size, 1, 0, io.EOF}, {0, 0, 0, nil}} {
		p := make([]byte, c.n)
		n, err := r.ReadAt(p, c.off)
		if n != c.got || err != c.err || !bytes.Equal(p[:n], content[c.off:c.off+int64(n)]) {
			t.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was read")
	}
	want := []string{"bytes=0-0", "bytes=0-15", "bytes=100-106", "bytes=100-106", "bytes=1048572-1048575"}
	if len(asked) != len(want) {
		t.Fatalf("asked for %q, want %q", asked, want)
	}
	for i := range want {
		if asked[i] != want[i] {
			t.Errorf("request %d is for %s, want %s", i, asked[i], want[i])
		}
	}
}
