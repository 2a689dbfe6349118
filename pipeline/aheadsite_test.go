package pipeline_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ingest/stores"
	"ingest/stores/fs"
)

// A gatedSite serves content, but for what lies behind a gate until that is opened.
type gatedSite struct {
	content  atomic.Pointer[[]byte]
	ranges   bool
	from, to int64 // behind the gate
	open     chan struct{}
	once     sync.Once
	tag      atomic.Value // the validator, "" for none
	changed  atomic.Pointer[chan struct{}]
	sent     atomic.Int64
}

// newGate serves a file whose bytes from from on wait, but for the last ones, which
// are given away where there are ranges.
func newGate(t *testing.T, path string, ranges bool, from int64) (*gatedSite, string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &gatedSite{ranges: ranges, from: from, to: int64(len(b)) - 4<<20, open: make(chan struct{})}
	g.content.Store(&b)
	g.tag.Store(`"one"`)
	g.changed.Store(new(make(chan struct{})))
	srv := httptest.NewServer(g)
	t.Cleanup(func() { g.release(); srv.Close() })
	return g, srv.URL + "/disk.img"
}

func (g *gatedSite) release() { g.once.Do(func() { close(g.open) }) }

// change has the site serve another version, and cuts off whoever waits for the old one.
func (g *gatedSite) change(tag string, content []byte) {
	g.content.Store(&content)
	g.tag.Store(tag)
	close(*g.changed.Swap(new(make(chan struct{}))))
}

func (g *gatedSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	changed := *g.changed.Load() // before what it is of
	if tag := g.tag.Load().(string); tag != "" {
		w.Header().Set("ETag", tag)
	}
	if !g.ranges {
		r.Header.Del("Range")
		w.Header().Set("Accept-Ranges", "none")
	}
	http.ServeContent(w, r, "", time.Time{}, &gatedReader{Reader: bytes.NewReader(*g.content.Load()), g: g, ctx: r.Context(), changed: changed})
}

type gatedReader struct {
	*bytes.Reader
	g       *gatedSite
	ctx     context.Context
	changed chan struct{}
}

// WriteTo is hidden: it would go around Read.
func (r *gatedReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (r *gatedReader) Read(p []byte) (int, error) {
	at := r.Size() - int64(r.Len())
	if at < r.g.from {
		p = p[:min(int64(len(p)), r.g.from-at)]
	} else if at < r.g.to {
		select {
		case <-r.changed:
			return 0, io.ErrUnexpectedEOF
		case <-r.g.open:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n, err := r.Reader.Read(p)
	r.g.sent.Add(int64(n))
	return n, err
}

// partsStore is a store whose uploads have neither marks nor holes, as one in a bucket.
type partsStore struct{ *fs.Store }

func (s partsStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	u, err := s.Store.Begin(ctx, key, size)
	return inParts(u), err
}

func (s partsStore) Resume(ctx context.Context, id string) (stores.Upload, error) {
	u, err := s.Store.Resume(ctx, id)
	return inParts(u), err
}

func inParts(u stores.Upload) stores.Upload {
	if u == nil {
		return nil
	}
	return partsUpload{u}
}

type partsUpload struct{ stores.Upload }

// WriteZeros writes them.
func (u partsUpload) WriteZeros(off, n int64) error {
	_, err := u.WriteAt(make([]byte, n), off)
	return err
}
