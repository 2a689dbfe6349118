package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/cache"
	"ingest/internal/contract"
	"ingest/internal/s3test"
)

// slowly gives a body out at a pace, for a store that is far away.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 64<<10)])
}

// TestCacheOfRemoteStore downloads an image from a slow bucket: at once by many,
// after a kill, and when the bucket is away. What the bucket sends is counted.
func TestCacheOfRemoteStore(t *testing.T) {
	t.Parallel()
	s3 := s3test.Start(t, s3test.Versity())
	far := s3test.NewProxy(t, s3)
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", far.Endpoint, s3test.AccessKey, s3test.SecretKey))
	dir := filepath.Join(t.TempDir(), "cache")
	s := start(t, append([]string{"--credentials", file, "--store", "cloud=s3://" + s3.Bucket(t) + "/images?credential=lab",
		"--cache-dir", dir, "--cache-max-bytes", "67108864"}, loopback...))
	raw := disk(t, 31, 24*mib)
	from := serveFile(t, raw, true, 1<<40)
	img := func(store string) string {
		task := s.finished(s.submit(of(from.URL, contract.TargetSpec{Format: "raw", Store: store})).TaskID)
		if task.Status != "success" {
			t.Fatalf("%s", show(task))
		}
		return task.ImageID
	}
	remote, near := img("cloud"), img("local")
	image, err := s.api.Image(t.Context(), remote)
	if err != nil {
		t.Fatal(err)
	}
	size := *image.Size
	far.Body(func(r *http.Request, body io.Reader) io.Reader {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/data/") {
			return slowly{body}
		}
		return body
	})
	read := func() {
		t.Helper()
		if n, sum := s.download(image); n != size || sum != image.HashValue {
			t.Errorf("a download has %d of %d bytes with sha256 %s, want %s", n, size, sum, image.HashValue)
		}
	}
	view := func() (v cache.View) {
		t.Helper()
		o := ingest(t, "cache", "list", "--json", "--server", s.url)
		if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
			t.Fatalf("%v: %s%s", err, o.stdout, o.stderr)
		}
		return v
	}

	before := far.Received.Load()
	var all sync.WaitGroup
	for range 20 {
		all.Go(read)
	}
	all.Wait()
	if got := far.Received.Load() - before; got > size+mib {
		t.Errorf("the bucket sent %d bytes for 20 downloads of %d", got, size)
	}
	eventually(t, 20*time.Second, "the copy", func() (bool, string) { v := view(); return len(v.Entries) == 1, show(v) })
	if v := view(); v.Entries[0].ImageID != remote || v.Stats.Misses != 1 || v.Stats.Hits+v.Stats.Shared != 19 || v.Bytes != size {
		t.Errorf("%s", show(v))
	}

	s.kill9()
	s.restart()
	far.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	read()
	if v := view(); v.Stats.Hits != 1 || v.Stats.Misses != 0 {
		t.Errorf("after a kill, with the bucket away: %s", show(v))
	}
	far.Before(nil)

	if o := ingest(t, "cache", "queue", near, "--server", s.url); o.code != 1 || !strings.Contains(o.stderr, "local") {
		t.Errorf("an image of the local store is queued: %+v", o)
	}
	if o := ingest(t, "cache", "delete", remote, "--server", s.url); o.code != 0 || len(view().Entries) != 0 {
		t.Errorf("%+v", o)
	}
	if o := ingest(t, "cache", "queue", remote, "--server", s.url); o.code != 0 {
		t.Errorf("%+v", o)
	}
	eventually(t, 20*time.Second, "the queued image", func() (bool, string) {
		v := view()
		return len(v.Entries) == 1 && len(v.Queue) == 0, show(v)
	})
	if err := s.api.DeleteImage(t.Context(), remote); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil || len(left) != 0 || len(view().Entries) != 0 {
		t.Errorf("the copy of a deleted image stays: %v, %v", left, err)
	}
}
