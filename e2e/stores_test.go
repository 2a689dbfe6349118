package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/s3test"
)

// A storesServer is a server with a further folder and a bucket, which can be held
// up.
type storesServer struct {
	*server
	bucket  *bucketServer
	proxy   *s3test.Proxy
	fast    string       // the folder of store fast
	most    atomic.Int64 // bytes after which the first checkpoint ends the answers to parts; 0 means all are answered
	noted   atomic.Bool  // that checkpoint has been asked for
	blocked atomic.Int64 // requests that were not answered
}

func startWithStores(t *testing.T, args ...string) *storesServer {
	t.Helper()
	s := &storesServer{bucket: &bucketServer{s3: s3test.Start(t, s3test.Versity())}, fast: filepath.Join(t.TempDir(), "fast")}
	s.bucket.bucket = s.bucket.s3.Bucket(t)
	s.proxy = s3test.NewProxy(t, s.bucket.s3)
	s.proxy.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		most := s.most.Load()
		if most == 0 || r.Method != http.MethodPut {
			return true
		}
		if !r.URL.Query().Has("partNumber") {
			if s.proxy.Sent.Load() >= most {
				s.noted.Store(true)
			}
			return true
		}
		if s.noted.Load() {
			s.blocked.Add(1)
			for s.most.Load() > 0 {
				time.Sleep(50 * time.Millisecond)
			}
			return false
		}
		time.Sleep(3 * time.Second) // so that a checkpoint comes before the last part
		return true
	})
	t.Cleanup(func() { s.most.Store(0) })
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", s.proxy.Endpoint, s3test.AccessKey, s3test.SecretKey))
	args = append([]string{"--credentials", file, "--store", "fast=" + s.fast,
		"--store", "cloud=s3://" + s.bucket.bucket + "/images?credential=lab&memory=33554432"}, args...)
	s.server = start(t, args)
	s.bucket.server = s.server
	return s
}

// downloadFrom reads an image's stored bytes, from the store if that answers.
func (s *storesServer) downloadFrom(img wire.Image, store string) (int64, string) {
	s.t.Helper()
	status, _, body := s.call(http.MethodGet, "/v2/images/"+img.ID+"/file?prefer="+store, nil, nil)
	if status != http.StatusOK {
		s.t.Fatalf("download from %s: %d %s", store, status, body)
	}
	sum := sha256.Sum256(body)
	return int64(len(body)), hex.EncodeToString(sum[:])
}

// command runs the binary, which must succeed.
func (s *storesServer) command(args ...string) {
	s.t.Helper()
	if got := ingest(s.t, append(args, "--server", s.url)...); got.code != 0 {
		s.t.Fatalf("%q: %+v", args, got)
	}
}

// inStores checks which stores have an image, and that what comes out of each is the
// image, byte by byte.
func (s *storesServer) inStores(id string, stores ...string) wire.Image {
	s.t.Helper()
	img, err := s.api.Image(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	// The first one stands first; copies that are made side by side come as they end.
	have := strings.Split(img.Stores, ",")
	if have[0] != stores[0] || !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(stores))) || img.Status != "active" {
		s.t.Errorf("image is %s in %q, want active in %q", img.Status, img.Stores, stores)
	}
	for _, store := range stores {
		size, sum := s.downloadFrom(img, store)
		if size != *img.Size || sum != img.HashValue {
			s.t.Errorf("store %s has %d bytes of %s, want %d of %s", store, size, sum, *img.Size, img.HashValue)
		}
	}
	s.bucket.holds(strings.Count(img.Stores, "cloud"))
	if n := len(files(s.t, filepath.Join(s.fast, "objects"))); n != 2*strings.Count(img.Stores, "fast") {
		s.t.Errorf("store fast has %d files", n)
	}
	eventually(s.t, 20*time.Second, "no upload is left", func() (bool, string) {
		left := append(files(s.t, filepath.Join(s.fast, "uploads")), files(s.t, s.path("store", "uploads"))...)
		return len(left) == 0, show(left)
	})
	return img
}

func TestSeveralStoresThroughKillsAndBack(t *testing.T) {
	t.Parallel()
	const size = 96 * mib
	raw := disk(t, 31, size)
	s := startWithStores(t, "--file-roots", filepath.Dir(raw))
	s.most.Store(16 * mib)
	req := of(raw, contract.TargetSpec{Format: "raw"})
	req.Stores = []string{"local", "fast", "cloud"}
	sub := s.submit(req)
	s.await(sub.TaskID, contract.StageCopy, 1)
	eventually(t, 2*time.Minute, "the bucket holds the copy up behind a checkpoint", func() (bool, string) {
		return s.blocked.Load() > 0, fmt.Sprintf("%d bytes sent", s.proxy.Sent.Load())
	})
	img, err := s.api.Image(t.Context(), sub.ImageID)
	if err != nil || img.Status != "importing" || !strings.Contains(img.Properties["os_glance_importing_to_stores"], "cloud") {
		t.Errorf("meanwhile: %v, %s", err, show(img))
	}
	before := s.proxy.Sent.Load()
	s.kill9()
	s.most.Store(0)
	s.restart()
	s.goesOn(sub.TaskID)
	s.succeeded(sub.TaskID, contentOf(t, raw))
	after := s.proxy.Sent.Load() - before
	t.Logf("sent to the bucket: %.1f MiB before the kill, %.1f MiB behind it, of %d", float64(before)/mib, float64(after)/mib, size/mib)
	if after >= size {
		t.Errorf("%d bytes were sent behind the kill, the copy began again", after)
	}
	s.inStores(sub.ImageID, "local", "fast", "cloud")

	// Out of two stores, the last one stays.
	for _, store := range []string{"local", "fast"} {
		s.command("image", "delete", sub.ImageID, "--store", store)
	}
	if got := ingest(t, "image", "delete", sub.ImageID, "--store", "cloud", "--server", s.url, "--json"); got.code == 0 || !strings.Contains(got.stderr, "FORBIDDEN") {
		t.Errorf("the last copy: %+v", got)
	}
	s.inStores(sub.ImageID, "cloud")

	// And back, by the command line, while the image stays active.
	s.command("image", "copy", sub.ImageID, "--store", "local", "--store", "cloud")
	s.inStores(sub.ImageID, "cloud", "local")
	s.command("image", "copy", sub.ImageID, "--all-stores")
	s.inStores(sub.ImageID, "cloud", "local", "fast")

	// The bucket goes away: downloads come from the folders.
	s.proxy.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return false
	})
	img, err = s.api.Image(t.Context(), sub.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	if size, sum := s.downloadFrom(img, "cloud"); size != *img.Size || sum != img.HashValue {
		t.Errorf("without the bucket: %d bytes of %s", size, sum)
	}
	s.proxy.Before(nil)
	if err := s.api.DeleteImage(t.Context(), sub.ImageID); err != nil {
		t.Fatal(err)
	}
	s.bucket.holds(0)
	if left := append(files(t, filepath.Join(s.fast, "objects")), files(t, s.path("store", "objects"))...); len(left) > 0 {
		t.Errorf("left of a deleted image: %q", left)
	}
}

// A copy that was killed behind its commit, before anybody was told, is found again.
func TestKill9BehindACopy(t *testing.T) {
	t.Parallel()
	raw := disk(t, 32, 8*mib)
	fast := filepath.Join(t.TempDir(), "fast")
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--store", "fast=" + fast}, "INGEST_TEST_STALL=copy=60s")
	id := s.submit(of(raw, contract.TargetSpec{Format: "qcow2"})).TaskID
	img := s.succeeded(id, contentOf(t, raw))
	task, err := s.api.CopyImage(t.Context(), img.ID, contract.StoresSpec{Stores: []string{"fast"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the copy", func() (bool, string) {
		return len(files(t, filepath.Join(fast, "objects"))) == 2, show(s.task(task))
	})
	s.crash(task)
	if done := s.finished(task); done.Status != "success" {
		t.Fatalf("the copy ended with %s", show(done))
	}
	if img, err = s.api.Image(t.Context(), img.ID); err != nil || img.Stores != "local,fast" {
		t.Errorf("%v, %s", err, show(img))
	}
	if n := len(files(t, filepath.Join(fast, "objects"))); n != 2 {
		t.Errorf("%d files in the store", n)
	}
}
