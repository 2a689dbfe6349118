package api

import (
	"bytes"
	"context"
	"io"
	iofs "io/fs"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/imgtest"
	"ingest/internal/space"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// narrow is a store in a folder on a disk of so many bytes.
type narrow struct {
	*fs.Store
	root string
	room int64
}

// Free is what is left of the disk. Uploads are counted first, and each file once: one that
// is committed meanwhile is not missed.
func (n *narrow) Free(context.Context) (int64, error) {
	used := map[uint64]int64{}
	for _, part := range []string{"uploads", "objects"} {
		_ = filepath.WalkDir(filepath.Join(n.root, part), func(_ string, d iofs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // a file may go while the folder is read
			}
			if st, err := d.Info(); err == nil && st.Size() >= 64<<10 { // not the notes beside
				used[st.Sys().(*syscall.Stat_t).Ino] = fsutil.Allocated(st)
			}
			return nil
		})
	}
	left := n.room
	for _, size := range used {
		left -= size
	}
	return max(left, 0), nil
}

const (
	oneUpload   = 512 << 10
	uploadsFit  = 10
	uploadsSent = 50
)

// tight is a bench whose catalogue has limits, and whose store has room for uploadsFit.
func tight(t *testing.T, limits metadata.Limits) *uploadBench {
	t.Helper()
	repo, err := sqlite.Open(filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	cat := metadata.New(repo, metadata.WithQuotas(func(string) metadata.Limits { return limits }))
	root := t.TempDir()
	st, err := fs.Open(root, "local")
	if err != nil {
		t.Fatal(err)
	}
	b := newUploadBench(t, func(d *Deps) {
		p := d.Uploads.(*pipeline.Pipeline)
		p.Stores["local"] = &narrow{Store: st, root: root, room: uploadsFit*oneUpload + oneUpload/2}
		d.Catalogue = cat
		d.Space = &space.Keeper{Catalogue: cat, Stores: map[string]stores.Store{"local": p.Stores["local"]}, StagingDir: p.StagingDir, Host: p.HostQueue}
		d.UploadLimits.PerProject = -1
		d.UploadLimits.Keep = time.Second // no oftener than fifty can be written down
	})
	b.cat, b.store = cat, st
	return b
}

// all sends many uploads at once and returns how many were answered how.
func (b *uploadBench) all(body func(data []byte) io.Reader) map[int]int {
	b.t.Helper()
	data := make([]byte, oneUpload)
	imgtest.ReadFull(b.t, imgtest.New(oneUpload, 9, imgtest.Run{Off: 0, Len: oneUpload, Kind: imgtest.Noise}), data, 0)
	var mu sync.Mutex
	got := map[int]int{}
	var senders sync.WaitGroup
	for range uploadsSent {
		path := b.newImage(rawImage)
		senders.Go(func() {
			r, err := http.NewRequest("PUT", b.url+path+"/file", body(data))
			if err != nil {
				b.t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/octet-stream")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				b.t.Error(err)
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode >= 500 {
				b.t.Errorf("%s", text)
			}
			mu.Lock()
			defer mu.Unlock()
			got[res.StatusCode]++
		})
	}
	senders.Wait()
	if left, err := b.cat.Reservations(b.t.Context()); err != nil || len(left) > 0 {
		b.t.Errorf("still promised: %v, %v", left, err)
	}
	return got
}

func (b *uploadBench) objects() (n int) {
	for _, err := range b.store.Objects(b.t.Context()) {
		if err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	return n
}

// Fifty uploads at once, of which ten fit: these ten, whatever is short.
func TestUploadsAtOnceThatDoNotAllFit(t *testing.T) {
	known := func(data []byte) io.Reader { return bytes.NewReader(data) }
	bytesOf := metadata.NoLimits()
	bytesOf.ImageBytes = uploadsFit * oneUpload
	for _, c := range []struct {
		name   string
		limits metadata.Limits
	}{{"the store", metadata.NoLimits()}, {"the quota", bytesOf}} {
		t.Run(c.name, func(t *testing.T) {
			b := tight(t, c.limits)
			got := b.all(known)
			if got[204] != uploadsFit || got[413] != uploadsSent-uploadsFit || b.objects() != uploadsFit {
				t.Errorf("answers %v, %d objects; want %d of %d", got, b.objects(), uploadsFit, uploadsSent)
			}
			path := b.newImage(rawImage)
			code := errcode.NoSpace
			if c.limits.ImageBytes >= 0 {
				code = errcode.QuotaExceeded
			}
			b.put(path+"/file", bytes.NewReader(make([]byte, oneUpload))).want(t, 413, code)
			b.do("GET", path, "").want(t, 200, "")
		})
	}
}

// Where nobody says how much comes, each asks as it goes: never more than there is.
func TestUploadsOfUnknownLengthThatDoNotAllFit(t *testing.T) {
	b := tight(t, metadata.NoLimits())
	got := b.all(func(data []byte) io.Reader { return io.MultiReader(bytes.NewReader(data)) })
	if n := b.objects(); got[204] != n || n == 0 || n > uploadsFit || got[204]+got[413] != uploadsSent {
		t.Errorf("answers %v, %d objects", got, n)
	}
}

// What is staged is held against the room in staging.
func TestStagingThatDoesNotFit(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) {
		d.Space = &space.Keeper{Catalogue: d.Catalogue, StagingDir: d.Uploads.(*pipeline.Pipeline).StagingDir, Host: d.Uploads.StagedHere(),
			Free: func(string) (int64, error) { return 2 << 20, nil }}
	})
	path := b.newImage(rawImage)
	b.put(path+"/stage", bytes.NewReader(noise(t, 3<<20))).want(t, 413, errcode.NoSpace)
	b.nothingLeft(path)
	b.put(path+"/stage", bytes.NewReader(noise(t, 1<<20))).want(t, 204, "")
}
