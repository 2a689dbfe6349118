package reconcile

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/stores"
	"ingest/stores/fs"
)

// service is a workflow service as the test says it is.
type service struct {
	state   State
	err     error
	refuse  error  // of Start
	asked   func() // called by State
	started []contract.ImportRequest
	steered []contract.Control
}

func (s *service) Steer(_ context.Context, _ string, c contract.Control) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.steered = append(s.steered, c)
	return nil
}

func (s *service) State(context.Context, string) (State, error) {
	if s.asked != nil {
		s.asked()
	}
	return s.state, s.err
}

func (s *service) Start(_ context.Context, req contract.ImportRequest, _ string) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.started = append(s.started, req)
	return nil
}

type cleaner struct{ tasks []string }

func (c *cleaner) Remove(_ context.Context, t metadata.Task) error {
	c.tasks = append(c.tasks, t.ID)
	return nil
}

func catalogue(t *testing.T) *metadata.Catalogue { return catalogueWith(t) }

func catalogueWith(t *testing.T, opts ...metadata.Option) *metadata.Catalogue {
	t.Helper()
	repo, err := sqlite.Open(filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	return metadata.New(repo, opts...)
}

// accept records a task that is unfinished.
func accept(t *testing.T, c *metadata.Catalogue) metadata.Task {
	t.Helper()
	req := contract.ImportRequest{TaskID: uuid.NewString(), ImageID: uuid.NewString(), Owner: "p", Source: contract.SourceSpec{URL: "file:///x"}}
	b, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Accept(t.Context(), metadata.NewImport{
		Task:  metadata.Task{ID: req.TaskID, ImageID: req.ImageID, Owner: "p", WorkflowID: "import/p/" + req.TaskID, Request: b},
		Image: metadata.Image{ID: req.ImageID, Owner: "p"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.Task
}

func later() time.Time { return time.Now().Add(time.Minute) }

func TestWhatBecomesOfAnUnfinishedTask(t *testing.T) {
	for _, c := range []struct {
		state   State
		started int
		code    errcode.Code
	}{
		{Running, 0, ""},
		{Missing, 1, ""},
		{Completed, 1, ""},
		{Terminated, 0, errcode.TaskTerminated},
		{TimedOut, 0, errcode.TaskTimedOut},
		{Cancelled, 0, errcode.TaskCancelled},
	} {
		t.Run(string(c.state), func(t *testing.T) {
			cat, svc, cl := catalogue(t), &service{state: c.state}, &cleaner{}
			task := accept(t, cat)
			r := &Reconciler{Catalogue: cat, Workflows: svc, Cleaner: cl, Log: zerolog.Nop(), Now: later}
			if err := r.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := cat.Task(t.Context(), task.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(svc.started) != c.started {
				t.Errorf("started %d times, want %d", len(svc.started), c.started)
			}
			if c.started > 0 && svc.started[0].TaskID != task.ID {
				t.Errorf("started with %+v", svc.started[0])
			}
			if c.code == "" {
				if got.Status.Finished() || len(cl.tasks) > 0 {
					t.Errorf("task ended: %+v", got)
				}
				return
			}
			if got.Status != metadata.TaskFailure || got.Error == nil || got.Error.Code != c.code {
				t.Errorf("task is %s %+v, want failure %s", got.Status, got.Error, c.code)
			}
			if len(cl.tasks) != 1 || cl.tasks[0] != task.ID {
				t.Errorf("cleaned %v", cl.tasks)
			}
		})
	}
}

// A change that the API could not tell the workflow of is told here, once.
func TestAWorkflowIsToldWhatItDoesNotKnow(t *testing.T) {
	cat, svc := catalogue(t), &service{state: Running, refuse: errcode.New(errcode.WorkflowService, "away")}
	task := accept(t, cat)
	yes, nine := true, 9
	if _, err := cat.Steer(t.Context(), task.ID, metadata.Steering{Paused: &yes, Priority: &nine}); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Catalogue: cat, Workflows: svc, Log: zerolog.Nop(), Now: later}
	if err := r.Once(t.Context()); errcode.Of(err) != errcode.WorkflowService {
		t.Errorf("once says %v while the service is away", err)
	}
	svc.refuse = nil
	for range 3 {
		if err := r.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(svc.steered) != 1 || svc.steered[0] != (contract.Control{Revision: 1, Paused: true, Priority: 9}) {
		t.Errorf("told %+v", svc.steered)
	}
}

func TestGivesUpAfterTooManyRestarts(t *testing.T) {
	cat, svc := catalogue(t), &service{state: Missing}
	task := accept(t, cat)
	r := &Reconciler{Catalogue: cat, Workflows: svc, Cleaner: &cleaner{}, Log: zerolog.Nop(), Now: later}
	for range MaxRestarts + 2 {
		if err := r.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := cat.Task(t.Context(), task.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(svc.started) != MaxRestarts || got.Error == nil || got.Error.Code != errcode.TaskLost {
		t.Errorf("started %d times, task %s %+v", len(svc.started), got.Status, got.Error)
	}
}

// A start that the service refuses is not one of those that a task has.
func TestRefusedStartsAreNotCounted(t *testing.T) {
	cat, svc := catalogue(t), &service{state: Missing, refuse: errcode.New(errcode.WorkflowService, "busy")}
	task := accept(t, cat)
	r := &Reconciler{Catalogue: cat, Workflows: svc, Cleaner: &cleaner{}, Log: zerolog.Nop(), Now: later}
	for range MaxRestarts + 2 {
		if err := r.Once(t.Context()); errcode.Of(err) != errcode.WorkflowService {
			t.Fatal(err)
		}
	}
	svc.refuse = nil
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := cat.Task(t.Context(), task.ID)
	if err != nil || got.Status.Finished() || got.Restarts != 1 || len(svc.started) != 1 {
		t.Errorf("task %s after %d restarts, %d starts, %v", got.Status, got.Restarts, len(svc.started), err)
	}
}

// A task may end between the list and the look at its workflow; by then its
// image may be another import's.
func TestTaskThatEndsMeanwhileIsLeftAlone(t *testing.T) {
	for _, state := range []State{Cancelled, Terminated, Completed, Missing} {
		cat, svc, cl := catalogue(t), &service{state: state}, &cleaner{}
		task := accept(t, cat)
		svc.asked = func() {
			if err := cat.Fail(t.Context(), task.ID, metadata.TaskError{Code: errcode.TaskCancelled}); err != nil {
				t.Error(err)
			}
		}
		r := &Reconciler{Catalogue: cat, Workflows: svc, Cleaner: cl, Log: zerolog.Nop(), Now: later}
		if err := r.Once(t.Context()); err != nil || len(cl.tasks) != 0 || len(svc.started) != 0 {
			t.Errorf("%s: %v, cleaned %v, started %v", state, err, cl.tasks, svc.started)
		}
	}
}

func TestYoungTasksAndSilentServicesAreLeftAlone(t *testing.T) {
	cat, svc := catalogue(t), &service{state: Missing}
	accept(t, cat)
	r := &Reconciler{Catalogue: cat, Workflows: svc, Log: zerolog.Nop()}
	if err := r.Once(t.Context()); err != nil || len(svc.started) != 0 {
		t.Errorf("a young task was started: %v %v", svc.started, err)
	}
	svc.err = errcode.New(errcode.WorkflowService, "silent")
	r.Now = later
	if err := r.Once(t.Context()); errcode.Of(err) != errcode.WorkflowService || len(svc.started) != 0 {
		t.Errorf("got %v, started %v", err, svc.started)
	}
}

// begin begins an upload and writes a byte.
func begin(t *testing.T, st stores.Store, key string) stores.Upload {
	t.Helper()
	up, err := st.Begin(t.Context(), key, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	return up
}

func commit(t *testing.T, up stores.Upload) {
	t.Helper()
	if err := up.Seal(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(t.Context(), stores.Digest{Algo: "sha256", Size: 1}); err != nil {
		t.Fatal(err)
	}
	up.Close()
}

// A catalogue that was lost says nothing about the store that stayed.
func TestNewCatalogueDoesNotEmptyAnOldStore(t *testing.T) {
	store, err := fs.Open(filepath.Join(t.TempDir(), "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	commit(t, begin(t, store, stores.NewKey(uuid.NewString(), uuid.NewString())))
	time.Sleep(10 * time.Millisecond)
	cat := catalogue(t)
	s := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"main": store}, StagingDir: t.TempDir(), Age: time.Nanosecond, Log: zerolog.Nop()}
	for range 2 {
		if got, err := s.Once(t.Context()); err != nil || got != (Swept{}) {
			t.Errorf("swept %+v, %v", got, err)
		}
		accept(t, cat)
	}
}

func TestSweepsOnlyWhatNobodyNames(t *testing.T) {
	cat := catalogue(t)
	dir := t.TempDir()
	store, err := fs.Open(filepath.Join(dir, "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	task := accept(t, cat)
	key := func(image string) string { return stores.NewKey(image, uuid.NewString()) }
	mine := key(task.ImageID)
	begin(t, store, mine).Close()
	further := key(contract.DiskImageID(task.ID, task.ImageID, 3))
	begin(t, store, further).Close()
	commit(t, begin(t, store, key(contract.DiskImageID(task.ID, task.ImageID, 2))))
	begin(t, store, key(uuid.NewString())).Close()
	commit(t, begin(t, store, key(task.ImageID)))
	commit(t, begin(t, store, key(uuid.NewString())))
	staging := filepath.Join(dir, "staging")
	for _, id := range []string{task.ID, uuid.NewString()} {
		if err := os.MkdirAll(filepath.Join(staging, id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"main": store}, StagingDir: staging, Log: zerolog.Nop()}
	if got, err := s.Once(t.Context()); err != nil || got != (Swept{}) {
		t.Errorf("young things swept: %+v %v", got, err)
	}
	s.Age = time.Nanosecond
	time.Sleep(10 * time.Millisecond)
	got, err := s.Once(t.Context())
	if err != nil || got.Uploads != 1 || got.Objects != 1 || got.Staged != 1 {
		t.Errorf("swept %+v, %v; want one of each", got, err)
	}
	if _, err := store.Find(t.Context(), mine); err != nil {
		t.Errorf("the unfinished task's upload is gone: %v", err)
	}
	if _, err := store.Find(t.Context(), further); err != nil {
		t.Errorf("the upload of the unfinished task's third disk is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(staging, task.ID)); err != nil {
		t.Errorf("the unfinished task's staging is gone: %v", err)
	}
	if err := s.Remove(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	for u := range store.Uploads(t.Context(), later()) {
		t.Errorf("upload left: %v", u)
	}
	for o := range store.Objects(t.Context()) {
		t.Errorf("object left: %v", o)
	}
	if _, err := os.Stat(filepath.Join(staging, task.ID)); !os.IsNotExist(err) {
		t.Errorf("staging left: %v", err)
	}
}
