package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/reconcile"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// A shop imports, deletes and sweeps with the real catalogue, store and steps.
type shop struct {
	t     *testing.T
	cat   *metadata.Catalogue
	store stores.Store
	steps pipeline.Steps
	swept *reconcile.Sweeper

	mu     sync.Mutex
	images []string
}

// sweptAge is more than the grain of a file system's clock.
const sweptAge = 50 * time.Millisecond

// A slowLook lets time pass between the look at a twin and what is made of it.
type slowLook struct{ *pipeline.Pipeline }

func (s slowLook) Holds(ctx context.Context, at contract.Stored, want stores.Digest) (bool, error) {
	ok, err := s.Pipeline.Holds(ctx, at, want)
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	return ok, err
}

func newShop(t *testing.T, s metadata.Sharing) *shop {
	t.Helper()
	store, err := fs.Open(t.TempDir(), "local")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]stores.Store{"local": store}
	cat := metadata.New(activitytest.NewRepository(t), metadata.WithSharing(s))
	return &shop{t: t, cat: cat, store: store,
		steps: slowLook{&pipeline.Pipeline{Stores: all, DefaultStore: "local", StagingDir: t.TempDir()}},
		swept: &reconcile.Sweeper{Catalogue: cat, Stores: all, StagingDir: t.TempDir(), Log: zerolog.Nop()}}
}

// stored accepts an import and commits its object.
func (s *shop) stored(name, owner string, bytes []byte) contract.ActivateParams {
	ctx := s.t.Context()
	task := contract.DerivedTaskID(name)
	req := contract.ImportRequest{TaskID: task, ImageID: contract.DerivedImageID(task, 0), Owner: owner}
	activitytest.Accept(s.t, s.cat, req, "w")
	s.must(s.cat.Start(ctx, task))
	sum := sha256.Sum256(bytes)
	d := stores.Digest{Algo: "sha256", Hex: hex.EncodeToString(sum[:]), Size: int64(len(bytes))}
	key := contract.ObjectKey(req.ImageID, contract.DerivedUploadID(task, 1, "pin"))
	up, err := s.store.Begin(ctx, key, d.Size)
	s.must(err)
	defer up.Close()
	_, err = up.WriteAt(bytes, 0)
	s.must(err)
	s.must(up.Seal(ctx, d.Size))
	s.must(up.Commit(ctx, d))
	return contract.ActivateParams{Request: req, Target: contract.TargetSpec{Format: "raw"},
		Converted:   contract.Converted{Size: d.Size, VirtualSize: d.Size, ContentDigest: "d"},
		Checksummed: contract.Checksummed{HashAlgo: d.Algo, HashValue: d.Hex},
		Stored:      contract.Stored{Store: "local", Key: key, Location: pipeline.Location("local", key)}}
}

func (s *shop) must(err error) {
	if err != nil {
		s.t.Error(err)
		panic(err)
	}
}

func (s *shop) activate(p contract.ActivateParams) contract.ImportResult {
	b := newBench(s.t)
	b.deps.Catalogue, b.deps.Steps = s.cat, s.steps
	v, err := b.run(contract.ActivateActivity, p)
	s.must(err)
	var out contract.ImportResult
	s.must(v.Get(&out))
	return out
}

func (s *shop) cleanUp(p contract.ActivateParams) {
	b := newBench(s.t)
	b.deps.Catalogue, b.deps.Steps = s.cat, s.steps
	_, err := b.run(contract.CleanupActivity, contract.CleanupParams{TaskID: p.Request.TaskID, ImageID: p.Request.ImageID, Store: "local", Key: p.Stored.Key, Success: true})
	s.must(err)
}

func (s *shop) delete(id string) {
	gone, err := s.cat.DeleteImage(s.t.Context(), id)
	if errcode.Of(err) == errcode.NotFound {
		return
	}
	s.must(err)
	for _, loc := range gone {
		s.must(s.store.Delete(s.t.Context(), loc.Key))
	}
}

// objects lists the keys of what the store holds.
func (s *shop) objects() []string {
	var out []string
	for o, err := range s.store.(stores.Objects).Objects(s.t.Context()) {
		s.must(err)
		out = append(out, o.Key)
	}
	slices.Sort(out)
	return out
}

// names lists the keys that images name, each once.
func (s *shop) names() []string {
	locs, err := s.cat.LiveKeys(s.t.Context())
	s.must(err)
	keys := map[string]bool{}
	for _, loc := range locs {
		keys[loc.Key] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

func (s *shop) same(what string, got, want any) {
	s.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestEqualBytesAreStoredOnce(t *testing.T) {
	s := newShop(t, metadata.ShareWithAll)
	first, second := s.stored("1", "p", []byte("bytes")), s.stored("2", "p", []byte("bytes"))
	other, foreign := s.stored("3", "p", []byte("other")), s.stored("4", "q", []byte("bytes"))
	var at []string
	for _, p := range []contract.ActivateParams{first, second, other, foreign} {
		at = append(at, s.activate(p).Images[0].Location)
		s.cleanUp(p)
	}
	// A stranger is not told whose image it was.
	s.same("locations", at, []string{first.Stored.Location, first.Stored.Location, other.Stored.Location, "store://local"})
	want := []string{first.Stored.Key, other.Stored.Key}
	slices.Sort(want)
	s.same("objects", s.objects(), want)
	s.delete(first.Request.ImageID)
	s.delete(foreign.Request.ImageID)
	// The first import's cleanup comes once more, behind the deletion of its image.
	s.cleanUp(first)
	s.same("objects behind deletions", s.objects(), want)
	s.delete(second.Request.ImageID)
	s.same("objects in the end", s.objects(), []string{other.Stored.Key})
}

// The image whose id an object's key holds may be gone, and was perhaps a stranger's:
// then the key is shown to nobody else.
func TestKeyOfALostImageIsNotShown(t *testing.T) {
	s := newShop(t, metadata.ShareWithAll)
	first, second, third := s.stored("1", "p", []byte("bytes")), s.stored("2", "q", []byte("bytes")), s.stored("3", "q", []byte("bytes"))
	s.activate(first)
	s.activate(second)
	s.delete(first.Request.ImageID)
	s.same("location", s.activate(third).Images[0].Location, "store://local")
}

// A copy whose recording was answered to nobody is not removed by the run behind it,
// which finds that there is another object of the same bytes.
func TestRecordedCopyIsKept(t *testing.T) {
	s := newShop(t, metadata.ShareInProject)
	cat, ctx := s.cat, t.Context()
	first, second := s.stored("1", "p", []byte("bytes")), s.stored("2", "p", []byte("bytes"))
	twin := contract.Stored{Store: "b", Key: contract.ObjectKey(first.Request.ImageID, contract.DerivedUploadID("copy", 1, ""))}
	first.Copies = []contract.Stored{twin}
	s.activate(first)
	s.activate(second)
	req := contract.CopyRequest{TaskID: contract.DerivedTaskID("copy"), ImageID: second.Request.ImageID, Owner: "p", StoresSpec: contract.StoresSpec{Stores: []string{"b"}}}
	_, err := cat.Accept(ctx, metadata.NewImport{Copy: true, Task: metadata.Task{ID: req.TaskID, ImageID: req.ImageID, Owner: "p"}})
	s.must(err)
	s.must(cat.StartCopy(ctx, req.TaskID))
	own := contract.Stored{Store: "b", Key: req.StoreKey("b")}
	p := contract.AddCopiesParams{TaskID: req.TaskID, Copies: []contract.Stored{own}, Image: contract.ImageResult{
		ImageID: req.ImageID, Size: second.Converted.Size, HashAlgo: second.Checksummed.HashAlgo, HashValue: second.Checksummed.HashValue}}
	for _, there := range []bool{false, true} { // the first run cannot look at the twin
		b := newBench(t)
		b.deps.Catalogue = cat
		b.steps.OnHolds = func(ctx context.Context, _ contract.Stored, _ stores.Digest) (bool, error) {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > lookTime {
				t.Error("the look at a twin is not bounded")
			}
			return there, nil
		}
		b.steps.OnCleanup = func(_ context.Context, c contract.CleanupParams) error {
			if named, err := cat.Named(ctx, metadata.Location{Store: c.Store, Key: c.Key}); err != nil || named && !c.Success {
				t.Errorf("bytes of an active image are removed: %+v, %v", c, err)
			}
			return nil
		}
		_, err := b.run(contract.AddCopiesActivity, p)
		s.must(err)
		if there && len(b.steps.Cleanups()) != 1 {
			t.Errorf("cleanups %+v", b.steps.Cleanups())
		}
	}
	img, err := cat.Image(ctx, req.ImageID)
	s.must(err)
	if !img.Names(metadata.Location{Store: "b", Key: own.Key}) {
		t.Errorf("the image is at %+v", img.Locations())
	}
}

// An object that the catalogue promises and the store has not is nobody's to share.
func TestLostObjectIsNotShared(t *testing.T) {
	s := newShop(t, metadata.ShareInProject)
	first, second, third := s.stored("1", "p", []byte("bytes")), s.stored("2", "p", []byte("bytes")), s.stored("3", "p", []byte("bytes"))
	s.activate(first)
	s.must(s.store.Delete(t.Context(), first.Stored.Key))
	for _, p := range []contract.ActivateParams{second, third} {
		s.same("location", s.activate(p).Images[0].Location, second.Stored.Location)
		s.cleanUp(p)
	}
	s.same("objects", s.objects(), []string{second.Stored.Key})
}

// Many import the same few contents, delete and die at every point, beside a sweep
// that runs all the time: no image ever lacks its bytes, and in the end each content
// is there once or not at all.
func TestSharingUnderCrashes(t *testing.T) {
	s := newShop(t, metadata.ShareWithAll)
	ctx, stop := context.WithCancel(t.Context())
	var beside, work sync.WaitGroup
	beside.Go(func() {
		for ctx.Err() == nil {
			if err := s.swept.Sweep(ctx, sweptAge, false, func(contract.ReapItem) {}); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	for g := range 8 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 12 {
				s.oneLife(fmt.Sprintf("%d-%d", g, i), fmt.Appendf(nil, "content %d", i/3*2+rng.IntN(2)), rng)
			}
		})
	}
	work.Wait()
	stop()
	beside.Wait()
	time.Sleep(2 * sweptAge)
	s.must(s.swept.Sweep(t.Context(), sweptAge, false, func(contract.ReapItem) {}))
	s.same("objects", s.objects(), s.names())
	seen := map[string]bool{}
	for _, key := range s.objects() {
		o, err := s.store.Stat(t.Context(), key)
		s.must(err)
		if seen[o.Digest.Hex] {
			t.Errorf("%s has the same bytes as another object", key)
		}
		seen[o.Digest.Hex] = true
	}
}

// oneLife imports one image, unless the process dies before, looks at any one, and
// perhaps deletes one.
func (s *shop) oneLife(name string, bytes []byte, rng *rand.Rand) {
	p := s.stored(name, "p", bytes)
	died := rng.IntN(6)
	if died == 0 { // before the activation: the task is failed by the reconciler
		s.must(s.cat.Fail(s.t.Context(), p.Request.TaskID, metadata.TaskError{Code: errcode.Internal}))
		return
	}
	s.activate(p)
	s.mu.Lock()
	s.images = append(s.images, p.Request.ImageID)
	last := s.images[max(0, len(s.images)-4):]
	any, victim := last[rng.IntN(len(last))], last[rng.IntN(len(last))]
	s.mu.Unlock()
	if died > 1 { // else behind the activation: nobody removes what is left over
		s.cleanUp(p)
	}
	s.look(any)
	switch rng.IntN(4) {
	case 0, 1:
		s.delete(victim)
	case 2: // dies behind the transaction
		_, err := s.cat.DeleteImage(s.t.Context(), victim)
		if errcode.Of(err) != errcode.NotFound {
			s.must(err)
		}
	}
}

// look makes sure that an image that is active has its bytes.
func (s *shop) look(id string) {
	img, err := s.cat.Image(s.t.Context(), id)
	if err != nil {
		return // deleted
	}
	if _, err = s.store.Stat(s.t.Context(), img.Key); err == nil {
		return
	}
	if again, gone := s.cat.Image(s.t.Context(), id); gone == nil {
		s.t.Errorf("image %s is %s and has lost its bytes: %v", id, again.Status, err)
	}
}
