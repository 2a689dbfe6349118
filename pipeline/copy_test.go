package pipeline_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
	"ingest/stores/mem"
)

// sparse returns bytes with data, long zeros, data within zeros, and an end that is
// no whole unit.
func sparse(t *testing.T) []byte {
	t.Helper()
	p := make([]byte, 21<<20+777)
	for _, r := range [][2]int{{0, 3<<20 + 5}, {9 << 20, 9<<20 + 4096}, {15 << 20, len(p)}} {
		if _, err := rand.Read(p[r[0]:r[1]]); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// keepObject commits an object, with holes for its zeros.
func keepObject(t testing.TB, s stores.Store, p []byte) contract.Stored {
	t.Helper()
	ctx := t.Context()
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	up, err := s.Begin(ctx, key, int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	for off := 0; off < len(p); off += 4096 {
		block := p[off:min(off+4096, len(p))]
		if bytes.Count(block, []byte{0}) == len(block) {
			continue
		}
		if _, err := up.WriteAt(block, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha512.Sum512(p)
	if err := errors.Join(up.Seal(ctx, int64(len(p))), up.Commit(ctx, stores.Digest{Algo: "sha512", Hex: hex.EncodeToString(sum[:]), Size: int64(len(p))})); err != nil {
		t.Fatal(err)
	}
	return contract.Stored{Store: s.Name(), Key: key}
}

func copyOf(p []byte, to string, from ...contract.Stored) contract.CopyParams {
	sum := sha512.Sum512(p)
	image := uuid.NewString()
	return contract.CopyParams{TaskID: uuid.NewString(), ImageID: image, From: from, Store: to, Key: stores.NewKey(image, uuid.NewString()),
		Size: int64(len(p)), HashAlgo: "sha512", HashValue: hex.EncodeToString(sum[:])}
}

// several returns a pipeline with two file stores and one in memory.
func several(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	p, _ := newPipeline(t, t.TempDir())
	second, err := fs.Open(t.TempDir(), "second")
	if err != nil {
		t.Fatal(err)
	}
	p.Stores["second"], p.Stores["mem"] = second, mem.New("mem")
	return p
}

func content(t *testing.T, s stores.Store, key string) []byte {
	t.Helper()
	r, err := s.OpenRange(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func noUploads(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	for name, s := range p.Stores {
		for u, err := range s.Uploads(context.Background(), time.Now().Add(time.Hour)) {
			t.Errorf("left in store %s: %+v, %v", name, u, err)
		}
	}
}

func TestCopyBetweenStores(t *testing.T) {
	data := sparse(t)
	for _, route := range [][2]string{{"main", "second"}, {"main", "mem"}, {"mem", "main"}, {"mem", "mem"}} {
		for _, size := range []int{0, 1, 1 << 20, len(data)} {
			p := several(t)
			want := data[:size]
			src := keepObject(t, p.Stores[route[0]], want)
			c := copyOf(want, route[1], src)
			var seen int64
			for range 2 { // the second time it is there
				got, err := p.Copy(t.Context(), c, func(done, total int64, _ []byte) { seen = done })
				if err != nil {
					t.Fatalf("%v, %d bytes: %v", route, size, err)
				}
				if got.Store != route[1] || got.Key != c.Key || seen != int64(size) {
					t.Errorf("%+v after %d bytes of %d", got, seen, size)
				}
			}
			if !bytes.Equal(content(t, p.Stores[route[1]], c.Key), want) {
				t.Errorf("%v: the copy of %d bytes differs", route, size)
			}
			info, err := p.Stores[route[1]].Stat(t.Context(), c.Key)
			if err != nil || info.Digest.Hex != c.HashValue || size == len(data) && info.Allocated > 14<<20 {
				t.Errorf("%v: %+v, %v", route, info, err)
			}
			noUploads(t, p)
		}
	}
}

// An image without a digest is copied, and its copy has one.
func TestCopyWithoutDigest(t *testing.T) {
	p := several(t)
	data := sparse(t)
	c := copyOf(data, "second", keepObject(t, p.Stores["mem"], data))
	c.HashAlgo, c.HashValue = "", ""
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if info, err := p.Stores["second"].Stat(t.Context(), c.Key); err != nil || info.Digest.Hex != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestCopyOfDamagedBytes(t *testing.T) {
	data := sparse(t)
	bad := slices.Clone(data)
	bad[20<<20] ^= 1
	p := several(t)
	damaged, short, sound := keepObject(t, p.Stores["mem"], bad), keepObject(t, p.Stores["mem"], data[:1<<20]), keepObject(t, p.Stores["main"], data)
	for _, from := range [][]contract.Stored{{damaged}, {short}, {damaged, short}} {
		c := copyOf(data, "second", from...)
		if _, err := p.Copy(t.Context(), c, nil); errcode.Of(err) != errcode.VerifyMismatch {
			t.Errorf("copy of damaged bytes: %v", err)
		}
		if _, err := p.Stores["second"].Stat(t.Context(), c.Key); errcode.Of(err) != errcode.NotFound {
			t.Errorf("damaged bytes were committed: %v", err)
		}
	}
	gone := contract.Stored{Store: "mem", Key: stores.NewKey(uuid.NewString(), uuid.NewString())}
	for _, from := range [][]contract.Stored{{damaged, sound}, {gone, sound}, {short, sound}, {{Store: "nowhere", Key: gone.Key}, sound}} {
		c := copyOf(data, "second", from...)
		if _, err := p.Copy(t.Context(), c, nil); err != nil {
			t.Errorf("a sound place is not used: %v", err)
		} else if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
			t.Error("the copy differs")
		}
	}
	c := copyOf(data, "second", gone)
	if _, err := p.Copy(t.Context(), c, nil); errcode.Of(err) != errcode.NotFound {
		t.Errorf("copy of nothing: %v", err)
	}
	taken := copyOf(data, "mem", sound)
	taken.Key = short.Key
	if _, err := p.Copy(t.Context(), taken, nil); errcode.Of(err) != errcode.Conflict {
		t.Errorf("copy onto other bytes: %v", err)
	}
	noUploads(t, p)
}

// A flaky store gives bytes until it has given so many, and then errors.
type flaky struct {
	stores.Store
	left atomic.Int64
	read atomic.Int64
}

func (f *flaky) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if f.left.Add(-n) < 0 {
		return nil, errcode.New(errcode.StoreUnavailable, "cut off")
	}
	f.read.Add(n)
	return f.Store.OpenRange(ctx, key, off, n)
}

// The place that is read fails in the middle: the next one takes over.
func TestCopyGoesOnFromAnotherPlace(t *testing.T) {
	p := several(t)
	data := sparse(t)
	weak := &flaky{Store: p.Stores["mem"]}
	weak.left.Store(9 << 20)
	p.Stores["mem"] = weak
	c := copyOf(data, "second", keepObject(t, weak, data), keepObject(t, p.Stores["main"], data))
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
		t.Error("the copy differs")
	}
}

// A copy that is cut off again and again goes on where it was.
func TestCopyResumes(t *testing.T) {
	p := several(t)
	p.CheckpointEvery = time.Nanosecond
	data := make([]byte, 40<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	weak := &flaky{Store: p.Stores["mem"]}
	p.Stores["mem"] = weak
	c := copyOf(data, "second", keepObject(t, weak, data))
	tries := 0
	for ; tries < 50; tries++ {
		weak.left.Store(24 << 20)
		_, err := p.Copy(t.Context(), c, nil)
		if err == nil {
			break
		}
		if errcode.Of(err) != errcode.StoreUnavailable {
			t.Fatal(err)
		}
	}
	if tries == 0 || tries == 50 {
		t.Fatalf("%d tries", tries)
	}
	if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
		t.Error("the copy differs")
	}
	// What is read ahead and lost counts as read again: 48 MiB for each try at most.
	if again := weak.read.Load() - int64(len(data)); again > int64(tries)*(48<<20) {
		t.Errorf("%d bytes were read again in %d tries", again, tries)
	}
	noUploads(t, p)
}

// Another place to read from, other bytes under the same size: nothing of the old
// upload is gone on with.
func TestCopyStartsAgainFromAnotherPlace(t *testing.T) {
	p := several(t)
	data := sparse(t)
	bad := slices.Clone(data)
	bad[5] ^= 1
	weak := &flaky{Store: p.Stores["mem"]}
	weak.left.Store(9 << 20)
	p.Stores["mem"], p.CheckpointEvery = weak, time.Nanosecond
	c := copyOf(data, "second", keepObject(t, weak, bad))
	if _, err := p.Copy(t.Context(), c, nil); errcode.Of(err) != errcode.StoreUnavailable {
		t.Fatal(err)
	}
	c.From = []contract.Stored{keepObject(t, p.Stores["main"], data)}
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
		t.Error("the copy differs")
	}
}

func TestCopyTargets(t *testing.T) {
	p := several(t)
	p.DefaultStore = "second"
	all, err := p.CopyTargets(contract.StoresSpec{AllStores: true})
	if err != nil || !slices.Equal(all, []string{"second", "main", "mem"}) {
		t.Errorf("all stores are %q, %v", all, err)
	}
	if _, err := p.CopyTargets(contract.StoresSpec{Stores: []string{"main", "x"}}); errcode.Of(err) != errcode.StoreUnknown {
		t.Errorf("unknown store: %v", err)
	}
}
