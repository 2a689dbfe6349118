package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/cache"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// counting counts the reads of the store.
type counting struct {
	*blobs
	n atomic.Int64
}

func (c *counting) OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error) {
	c.n.Add(1)
	return c.blobs.OpenRange(ctx, store, key, off, n)
}

// cacheBench is an API with a cache, and an image whose digest is right.
type cacheBench struct {
	*bench
	cache *cache.Cache
	store *counting
	image string
	data  string
}

func newCacheBench(t *testing.T) *cacheBench {
	t.Helper()
	b := &cacheBench{store: &counting{}, data: strings.Repeat("0123456789abcdef", 1<<16)}
	var err error
	b.cache, err = cache.Open(cache.Options{Dir: t.TempDir(), MaxBytes: 8 << 20, Stall: time.Hour, Source: b.store, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.cache.Close() })
	b.bench = newBench(t, func(d *Deps) {
		b.store.blobs = d.Blobs.(*blobs)
		d.Blobs, d.Cache = b.store, b.cache
	})
	s := b.submit(someImport)
	b.finish(s, []byte(b.data))
	b.image = s.ImageID
	sum := sha256.Sum256([]byte(b.data))
	b.change(func(m *metadata.Image) { m.HashAlgo, m.HashValue = "sha256", hex.EncodeToString(sum[:]) })
	return b
}

func (b *cacheBench) change(fn func(*metadata.Image)) {
	b.t.Helper()
	if _, err := b.cat.UpdateImage(context.Background(), b.image, func(m *metadata.Image) error { fn(m); return nil }); err != nil {
		b.t.Fatal(err)
	}
}

// filled waits until the image is an entry.
func (b *cacheBench) filled() {
	b.t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if v := b.cache.View(); len(v.Entries) == 1 {
			return
		}
	}
	b.t.Fatalf("the image is not copied: %+v", b.cache.View())
}

func TestCachedDownloads(t *testing.T) {
	b := newCacheBench(t)
	path := "/v2/images/" + b.image + "/file"
	b.do("HEAD", path, "").want(t, 200, "")
	if b.store.n.Load() != 0 {
		t.Error("HEAD reads the store")
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a := b.do("GET", path, "").want(t, 200, ""); string(a.body) != b.data {
				t.Errorf("got %d bytes", len(a.body))
			}
		})
	}
	all.Wait()
	b.filled()
	if a := b.do("GET", path, "", "Range", "bytes=5-9").want(t, 206, ""); string(a.body) != "56789" {
		t.Errorf("got %q", a.body)
	}
	if n := b.store.n.Load(); n != 1 {
		t.Errorf("the store was read %d times", n)
	}
	b.do("GET", "/versions", "").want(t, 200, "")
	var list struct {
		Cached []map[string]any `json:"cached_images"`
		Queued []string         `json:"queued_images"`
	}
	b.do("GET", "/v2/cache", "").want(t, 200, "").into(t, &list)
	if len(list.Cached) != 1 || list.Queued == nil || list.Cached[0]["image_id"] != b.image || list.Cached[0]["size"] != float64(1<<20) || list.Cached[0]["last_accessed"].(float64) < 1e9 {
		t.Errorf("%+v", list)
	}
	var v cache.View
	b.do("GET", "/v1/cache", "").want(t, 200, "").into(t, &v)
	if v.Stats.Misses != 1 || v.Stats.Hits+v.Stats.Shared != 20 {
		t.Errorf("%+v", v)
	}

	// Another status or a deletion is seen, whatever is cached.
	b.change(func(m *metadata.Image) { m.Status = metadata.ImageDeactivated })
	b.do("GET", path, "").want(t, 403, errcode.Forbidden)
	b.do("PUT", "/v2/cache/"+b.image, "").want(t, 400, errcode.BadRequest)
	b.do("DELETE", "/v2/images/"+b.image, "").want(t, 204, "")
	if v := b.cache.View(); len(v.Entries) != 0 {
		t.Errorf("a deleted image is kept: %+v", v)
	}
	b.do("GET", path, "").want(t, 404, errcode.NotFound)
}

// TestDamagedStore makes sure that a client sees that it has not got the image.
func TestDamagedStore(t *testing.T) {
	b := newCacheBench(t)
	for key, data := range b.blobs.data {
		b.blobs.data[key] = append([]byte("x"), data[1:]...)
	}
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/v2/images/" + b.image + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n == int64(len(b.data)) {
		t.Errorf("%d of %d bytes look whole: %v", n, len(b.data), err)
	}
	var v cache.View
	b.do("GET", "/v1/cache", "").want(t, 200, "").into(t, &v)
	if v.Stats.Corrupt != 1 || len(v.Entries) != 0 {
		t.Errorf("%+v", v)
	}
}

// TestNoSplice has a second store with the right bytes: what was sent of the wrong
// ones is not completed from there.
func TestNoSplice(t *testing.T) {
	b := newCacheBench(t)
	b.change(func(m *metadata.Image) {
		loc := metadata.Location{Store: "other", Key: m.ID + "/copy"}
		m.Copies = append(m.Copies, metadata.Copy{Location: loc, Status: metadata.CopyActive})
	})
	for key, data := range b.blobs.data {
		b.blobs.data[key] = append([]byte("x"), data[1:]...)
	}
	b.blobs.data["other/"+b.image+"/copy"] = []byte(b.data)
	path := "/v2/images/" + b.image + "/file"
	if a := b.do("GET", path, ""); len(a.body) >= len(b.data) {
		t.Errorf("%d bytes look whole", len(a.body))
	}
	if a := b.do("GET", path+"?prefer=other", "").want(t, 200, ""); string(a.body) != b.data {
		t.Errorf("got %d bytes from the other store", len(a.body))
	}
}

func TestCacheRoutes(t *testing.T) {
	b := newCacheBench(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	path := "/v2/cache/" + b.image
	b.do("PUT", path, "").want(t, 202, "")
	b.do("DELETE", path, "").want(t, 204, "")
	if v := b.cache.View(); len(v.Queue) != 0 {
		t.Errorf("%+v", v)
	}
	b.do("DELETE", path, "").want(t, 204, "")
	b.do("PUT", path, "").want(t, 202, "")
	b.do("DELETE", "/v2/cache", "", "x-image-cache-clear-target", "cache").want(t, 204, "")
	if v := b.cache.View(); len(v.Queue) != 1 {
		t.Errorf("%+v", v)
	}
	b.do("DELETE", "/v2/cache", "", "x-image-cache-clear-target", "both").want(t, 400, errcode.BadRequest)
	ended := make(chan struct{})
	go func() { b.cache.Run(ctx); close(ended) }()
	b.filled()
	stop()
	<-ended
	b.do("DELETE", "/v2/cache", "", "x-image-cache-clear-target", "queue").want(t, 204, "")
	if v := b.cache.View(); len(v.Entries) != 1 {
		t.Errorf("%+v", v)
	}
	for _, q := range []string{"", "?verify=false", "?verify=true"} {
		var cleaned cache.Cleaned
		b.do("POST", "/v2/cache/clean"+q, "").want(t, 200, "").into(t, &cleaned)
		if cleaned != (cache.Cleaned{}) {
			t.Errorf("%q: %+v", q, cleaned)
		}
	}
	var pruned map[string]int64
	b.do("POST", "/v2/cache/prune", "").want(t, 200, "").into(t, &pruned)
	if pruned["total_files_pruned"] != 0 {
		t.Errorf("%v", pruned)
	}
	b.do("POST", "/v2/cache/prune?max_bytes=1000", "").want(t, 200, "").into(t, &pruned)
	if pruned["total_files_pruned"] != 1 || pruned["total_bytes_pruned"] != 1<<20 {
		t.Errorf("%v", pruned)
	}
	b.do("POST", "/v2/cache/prune?max_bytes=-1", "").want(t, 400, errcode.BadRequest)
	b.do("POST", "/v2/cache/clean?verify=maybe", "").want(t, 400, errcode.BadRequest)
	b.do("POST", "/v2/cache/nothing", "").want(t, 404, errcode.NotFound)
	b.do("PUT", "/v2/cache/nothing", "").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/cache/nothing", "").want(t, 404, errcode.NotFound)
	b.do("PUT", path, "", "X-Project-Id", "stranger").want(t, 404, errcode.NotFound)
	var body struct{ Versions []version }
	b.do("GET", "/versions", "").want(t, 200, "").into(t, &body)
	if body.Versions[0].ID != "v2.16" || body.Versions[0].Status != "CURRENT" || body.Versions[1].Status != "SUPPORTED" {
		t.Errorf("%+v", body)
	}
}

// TestNoCache asks a server that has none.
func TestNoCache(t *testing.T) {
	b := newBench(t)
	for _, c := range [][2]string{{"GET", "/v1/cache"}, {"GET", "/v2/cache"}, {"DELETE", "/v2/cache"}, {"PUT", "/v2/cache/x"}, {"DELETE", "/v2/cache/x"}, {"POST", "/v2/cache/prune"}} {
		b.do(c[0], c[1], "").want(t, 404, errcode.NotFound)
	}
}
