package reconcile

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/stores"
	"ingest/stores/fs"
)

// activation is what the last activity of an import of the task asks for.
func activation(task metadata.Task, key string) metadata.Activation {
	return metadata.Activation{TaskID: task.ID, Images: []metadata.ImageActivation{{ImageID: task.ImageID, DiskFormat: "raw", Size: 1, VirtualSize: 1, Store: "main", Key: key}}}
}

func openMain(t *testing.T) stores.Store {
	t.Helper()
	store, err := fs.Open(filepath.Join(t.TempDir(), "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// during calls fn before it removes.
type during struct {
	*Sweeper
	fn func()
}

func (d during) Remove(ctx context.Context, t metadata.Task) error {
	d.fn()
	return d.Sweeper.Remove(ctx, t)
}

// slowStore calls fn when its objects are listed, the lists of the living being
// read by then.
type slowStore struct {
	*fs.Store
	fn func()
}

func (s slowStore) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	s.fn()
	return s.Store.Uploads(ctx, before)
}

// TestActivationBesideTheReconciler has an activity of a terminated workflow ask for
// its activation while the reconciler ends the task: the image never names an object
// that is gone.
func TestActivationBesideTheReconciler(t *testing.T) {
	cat, store := catalogue(t), openMain(t).(*fs.Store)
	task := accept(t, cat)
	if err := cat.Start(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	key := stores.NewKey(task.ImageID, uuid.NewString())
	commit(t, begin(t, store, key))
	activate := func() {
		if err := cat.Activate(t.Context(), activation(task, key)); err != nil && errcode.Of(err) != errcode.Conflict {
			t.Error(err)
		}
	}
	sw := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"main": slowStore{store, activate}}, StagingDir: t.TempDir(), Log: zerolog.Nop()}
	r := &Reconciler{Catalogue: cat, Workflows: &service{state: Terminated}, Cleaner: sw, Log: zerolog.Nop(), Now: later}
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	img, err := cat.Image(t.Context(), task.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Stat(t.Context(), key); img.Status == metadata.ImageActive || errcode.Of(err) != errcode.NotFound {
		t.Errorf("the image is %s, its object: %v", img.Status, err)
	}
}

// TestRemoveSparesTheNextTask imports into the image of a failed task before what
// that one left is removed.
func TestRemoveSparesTheNextTask(t *testing.T) {
	cat, store := catalogue(t), openMain(t)
	task := accept(t, cat)
	key := stores.NewKey(task.ImageID, uuid.NewString())
	sw := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"main": store}, StagingDir: t.TempDir(), Log: zerolog.Nop()}
	next := func() {
		_, err := cat.Accept(t.Context(), metadata.NewImport{ExistingImage: true, Task: metadata.Task{ID: uuid.NewString(), ImageID: task.ImageID, Owner: "p"}})
		if err != nil {
			t.Error(err)
		}
		begin(t, store, key).Close()
	}
	r := &Reconciler{Catalogue: cat, Workflows: &service{state: Terminated}, Cleaner: during{sw, next}, Log: zerolog.Nop(), Now: later}
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.(stores.Finder).Find(t.Context(), key); err != nil {
		t.Errorf("the next task's upload is gone: %v", err)
	}
}

type deadCleaner struct{}

func (deadCleaner) Remove(context.Context, metadata.Task) error {
	return errors.New("the store does not answer")
}

func TestDeadStoreKeepsNoTaskFromItsEnd(t *testing.T) {
	cat := catalogue(t)
	task := accept(t, cat)
	r := &Reconciler{Catalogue: cat, Workflows: &service{state: Terminated}, Cleaner: deadCleaner{}, Log: zerolog.Nop(), Now: later}
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := cat.Task(t.Context(), task.ID); err != nil || got.Status != metadata.TaskFailure {
		t.Errorf("the task is %s, %v", got.Status, err)
	}
}

// TestSparesTheImagesOfAStoreUnderAnotherName declares a store under another name
// than the one that its images have it by.
func TestSparesTheImagesOfAStoreUnderAnotherName(t *testing.T) {
	cat := catalogue(t)
	dir := filepath.Join(t.TempDir(), "store")
	store, err := fs.Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	task := accept(t, cat)
	key := stores.NewKey(task.ImageID, uuid.NewString())
	commit(t, begin(t, store, key))
	nobodys := stores.NewKey(uuid.NewString(), uuid.NewString())
	commit(t, begin(t, store, nobodys))
	if err := errors.Join(cat.Start(t.Context(), task.ID), cat.Activate(t.Context(), activation(task, key))); err != nil {
		t.Fatal(err)
	}
	renamed, err := fs.Open(dir, "renamed")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	s := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"renamed": renamed}, StagingDir: t.TempDir(), Age: time.Nanosecond, Log: zerolog.Nop()}
	if got, err := s.Once(t.Context()); err != nil || got.Objects != 1 {
		t.Errorf("swept %+v, %v; want the one that is nobody's", got, err)
	}
	if _, err := renamed.Stat(t.Context(), key); err != nil {
		t.Errorf("the image's object is gone: %v", err)
	}
}
