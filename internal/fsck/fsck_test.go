package fsck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/reconcile"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/stores"
	"ingest/stores/fs"
)

// service knows every workflow in one state.
type service struct {
	state   reconcile.State
	started []string
}

func (s *service) State(context.Context, string) (reconcile.State, error) { return s.state, nil }
func (s *service) Steer(context.Context, string, contract.Control) error  { return nil }
func (s *service) Start(_ context.Context, _ contract.ImportRequest, id string) error {
	s.started = append(s.started, id)
	s.state = reconcile.Running
	return nil
}

// A bench is a server's parts.
type bench struct {
	*Checker
	t    *testing.T
	repo metadata.Repository
	dir  string
	svc  *service
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	repo, err := sqlite.Open(filepath.Join(dir, "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	store, err := fs.Open(filepath.Join(dir, "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	cat, all, svc := metadata.New(repo), map[string]stores.Store{"main": store}, &service{state: reconcile.Running}
	sw := &reconcile.Sweeper{Catalogue: cat, Stores: all, StagingDir: filepath.Join(dir, "staging"), Log: zerolog.Nop()}
	later := func() time.Time { return time.Now().Add(2 * time.Second) }
	return &bench{t: t, repo: repo, dir: dir, svc: svc, Checker: &Checker{Catalogue: cat, Stores: all, Sweeper: sw, Workflows: svc, Now: later, Log: zerolog.Nop(),
		Reconciler: &reconcile.Reconciler{Catalogue: cat, Workflows: svc, Cleaner: sw, Log: zerolog.Nop(), Now: later}}}
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// accepted records a task with an image, and starts it.
func (b *bench) accepted() metadata.Task {
	b.t.Helper()
	id := uuid.NewString()
	a, err := b.Catalogue.Accept(b.t.Context(), metadata.NewImport{
		Task: metadata.Task{ID: id, Owner: "p", WorkflowID: "import/p/" + id, Request: []byte(`{"source":{"url":"http://h/i"}}`)}, Image: metadata.Image{ID: uuid.NewString(), DiskFormat: "raw"}})
	b.ok(err)
	b.ok(b.Catalogue.Start(b.t.Context(), id))
	return a.Task
}

// active imports an image of the bytes, and returns it.
func (b *bench) active(data []byte) metadata.Image {
	b.t.Helper()
	task := b.accepted()
	key := b.object(task.ImageID, data)
	sum := sha256.Sum256(data)
	b.ok(b.Catalogue.Activate(b.t.Context(), metadata.Activation{TaskID: task.ID, Result: []byte(`{}`), Images: []metadata.ImageActivation{{
		ImageID: task.ImageID, DiskFormat: "raw", Size: int64(len(data)), VirtualSize: int64(len(data)), HashAlgo: "sha256", HashValue: hex.EncodeToString(sum[:]), Store: "main", Key: key}}}))
	img, err := b.Catalogue.Image(b.t.Context(), task.ImageID)
	b.ok(err)
	return img
}

// upload begins an upload for an image, of the bytes.
func (b *bench) upload(image string, data []byte) (stores.Upload, string) {
	b.t.Helper()
	key := stores.NewKey(image, uuid.NewString())
	up, err := b.Stores["main"].Begin(b.t.Context(), key, -1)
	b.ok(err)
	_, err = up.WriteAt(data, 0)
	b.ok(err)
	return up, key
}

func (b *bench) object(image string, data []byte) string {
	b.t.Helper()
	up, key := b.upload(image, data)
	defer up.Close()
	b.ok(up.Seal(b.t.Context(), int64(len(data))))
	b.ok(up.Commit(b.t.Context(), stores.Digest{Algo: "sha256", Size: int64(len(data))}))
	return key
}

func (b *bench) path(key string) string { return filepath.Join(b.dir, "store", "objects", key) }

// check returns what was found, and the figures.
func (b *bench) check(p contract.CheckParams) ([]contract.Difference, contract.CheckFigures) {
	b.t.Helper()
	var found []contract.Difference
	var end *contract.CheckFigures
	b.ok(b.Check(b.t.Context(), p, func(l contract.CheckLine) error {
		if end != nil {
			b.t.Error("a line behind the end")
		}
		if l.Difference != nil {
			found = append(found, *l.Difference)
		}
		end = l.End
		return nil
	}))
	if end == nil || end.Differences != len(found) {
		b.t.Fatalf("the figures are %+v of %d differences", end, len(found))
	}
	return found, *end
}

func kinds(ds []contract.Difference) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Kind)
	}
	slices.Sort(out)
	return out
}

var (
	young = contract.CheckParams{Read: true}
	all   = contract.CheckParams{Read: true, AgeSeconds: 1}
	mend  = contract.CheckParams{Read: true, AgeSeconds: 1, Repair: true}
)

// ill makes one difference of every kind, and returns the kinds and a good image.
func (b *bench) ill() ([]string, metadata.Image) {
	b.t.Helper()
	ctx, data := b.t.Context(), bytes.Repeat([]byte("good"), 3000)
	good := b.active(data)
	b.ok(b.Stores["main"].Delete(ctx, b.active(data).Key))
	b.ok(os.Truncate(b.path(b.active(data).Key), 11999))
	bad := slices.Clone(data)
	bad[6000] ^= 1
	key := b.path(b.active(data).Key)
	b.ok(os.Chmod(key, 0o600))
	b.ok(os.WriteFile(key, bad, 0o600))
	b.object(uuid.NewString(), data)
	up, _ := b.upload(uuid.NewString(), data)
	b.ok(up.Close())
	b.ok(os.MkdirAll(filepath.Join(b.dir, "staging", uuid.NewString()), 0o700))
	b.accepted() // its workflow is gone
	task := b.accepted()
	b.ok(b.repo.InTx(ctx, func(tx metadata.Tx) error {
		img := metadata.Image{ID: uuid.NewString(), Owner: "p", Status: metadata.ImageImporting, Visibility: "shared", CreatedAt: task.CreatedAt, UpdatedAt: task.CreatedAt}
		gone := metadata.Reservation{TaskID: uuid.NewString(), Kind: metadata.ReserveStore, Part: "x", CreatedAt: task.CreatedAt, UpdatedAt: task.CreatedAt}
		lost := good
		lost.ID, lost.Store = uuid.NewString(), "elsewhere"
		t, err := tx.Task(ctx, task.ID)
		t.Status = metadata.TaskSuccess // a task that ended, as in a catalogue put back from a backup
		return errors.Join(err, tx.PutImage(ctx, img), tx.PutImage(ctx, lost), tx.PutReservation(ctx, gone), tx.PutTask(ctx, t))
	}))
	b.svc.state = reconcile.Missing
	time.Sleep(1100 * time.Millisecond) // what is a second old is not young
	want := []string{contract.DiffObjectMissing, contract.DiffObjectSize, contract.DiffObjectDigest, contract.DiffObjectOrphan, contract.DiffUpload,
		contract.DiffStaged, contract.DiffTask, contract.DiffImage, contract.DiffImage, contract.DiffReservation, contract.DiffStoreUnknown}
	slices.Sort(want)
	return want, good
}

func TestFindsAndMendsEveryKind(t *testing.T) {
	b := newBench(t)
	want, good := b.ill()
	// What is young is spared; bytes that are wrong are wrong at any age.
	found, _ := b.check(young)
	if got := kinds(found); len(got) != 5 || slices.Contains(got, contract.DiffObjectOrphan) || slices.Contains(got, contract.DiffTask) {
		t.Errorf("young: %v", got)
	}
	for range 2 { // to look changes nothing
		found, figs := b.check(all)
		if diff := cmp.Diff(want, kinds(found)); diff != "" {
			t.Fatalf("found (-want +got):\n%s", diff)
		}
		if figs.Repaired != 0 || figs.Bytes != figs.BytesTotal || figs.BytesTotal == 0 || figs.Images != figs.ImagesTotal {
			t.Errorf("figures %+v", figs)
		}
	}
	found, figs := b.check(mend)
	if diff := cmp.Diff(want, kinds(found)); diff != "" {
		t.Fatalf("mended (-want +got):\n%s", diff)
	}
	if figs.Repaired != len(want)-1 { // a store that is not declared is the operator's
		t.Errorf("%d of %d are mended", figs.Repaired, len(want))
		for _, d := range found {
			t.Logf("%+v", d)
		}
	}
	if len(b.svc.started) != 1 {
		t.Errorf("started %v", b.svc.started)
	}
	found, figs = b.check(mend)
	if diff := cmp.Diff([]string{contract.DiffObjectMissing, contract.DiffStoreUnknown, contract.DiffObjectDigest, contract.DiffObjectSize}, kinds(found), sorted()); diff != "" || figs.Repaired != 0 {
		t.Errorf("what is left (-want +got):\n%s%+v", diff, figs)
	}
	for _, d := range found {
		img, err := b.Catalogue.Image(t.Context(), d.ImageID)
		b.ok(err)
		if d.Kind != contract.DiffStoreUnknown && img.Status != metadata.ImageDeactivated || d.Remedy == "" {
			t.Errorf("%s: the image is %s, remedy %q", d.Kind, img.Status, d.Remedy)
		}
	}
	again, err := b.Catalogue.Image(t.Context(), good.ID)
	b.ok(err)
	if diff := cmp.Diff(good, again); diff != "" {
		t.Errorf("a good image has changed:\n%s", diff)
	}
	if _, err := b.Stores["main"].Stat(t.Context(), good.Key); err != nil {
		t.Errorf("the object of a good image: %v", err)
	}
}

func sorted() cmp.Option {
	return cmp.Transformer("sort", func(s []string) string { s = slices.Clone(s); slices.Sort(s); return fmt.Sprint(s) })
}

func TestACleanServerHasNoDifferences(t *testing.T) {
	b := newBench(t)
	b.active([]byte("some bytes"))
	b.accepted()
	time.Sleep(1100 * time.Millisecond)
	if found, figs := b.check(mend); len(found) != 0 || figs.Images != 2 || figs.Bytes != 10 {
		t.Errorf("%+v, %+v", found, figs)
	}
	if err := b.Check(t.Context(), contract.CheckParams{AgeSeconds: 0.1}, nil); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("an age of 0.1 s: %v", err)
	}
}

// A check that breaks off anywhere leaves what another one mends.
func TestRepairThatIsCutOffAnywhereIsFinishedByTheNext(t *testing.T) {
	for cut := range 8 {
		b := newBench(t)
		want, _ := b.ill()
		stop := errors.New("stop")
		n := 0
		err := b.Check(t.Context(), mend, func(l contract.CheckLine) error {
			if n++; n > cut {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		b.check(mend)
		if found, figs := b.check(mend); len(found) != 4 || figs.Repaired != 0 {
			t.Errorf("cut at %d of %d: left %v", cut, len(want), kinds(found))
		}
	}
}

// A copy that is not right is given up while another one is, and the image stays.
func TestABadCopyIsGivenUp(t *testing.T) {
	for _, first := range []bool{true, false} {
		b := newBench(t)
		other, err := fs.Open(filepath.Join(b.dir, "other"), "other")
		b.ok(err)
		b.Stores["other"] = other
		data := bytes.Repeat([]byte("good"), 100)
		img := b.active(data)
		up, err := other.Begin(t.Context(), img.Key, -1)
		b.ok(err)
		_, err = up.WriteAt(data, 0)
		b.ok(errors.Join(err, up.Seal(t.Context(), 400), up.Commit(t.Context(), stores.Digest{Algo: "sha256", Size: 400}), up.Close()))
		_, err = b.Catalogue.UpdateImage(t.Context(), img.ID, func(m *metadata.Image) error {
			m.Copies = []metadata.Copy{{Location: metadata.Location{Store: "other", Key: img.Key}, Status: metadata.CopyActive, CreatedAt: img.CreatedAt}}
			return nil
		})
		b.ok(err)
		if found, figs := b.check(young); len(found) != 0 || figs.Bytes != 800 {
			t.Fatalf("both are good: %+v, %+v", found, figs)
		}
		lost, kept := "main", "other"
		if !first {
			lost, kept = kept, lost
		}
		b.ok(b.Stores[lost].Delete(t.Context(), img.Key))
		found, _ := b.check(contract.CheckParams{Repair: true})
		if len(found) != 1 || !found[0].Repaired || found[0].Kind != contract.DiffObjectMissing || found[0].Store != lost {
			t.Errorf("found %+v", found)
		}
		again, err := b.Catalogue.Image(t.Context(), img.ID)
		b.ok(err)
		if again.Status != metadata.ImageActive || again.Store != kept || len(again.Copies) != 0 {
			t.Errorf("the image is %+v", again)
		}
		if found, _ := b.check(young); len(found) != 0 {
			t.Errorf("left %+v", found)
		}
	}
}
