package reconcile

import (
	"context"
	"errors"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/metadata"
	"ingest/stores"
)

// DefaultAge is how long something must lie untouched before it is swept. An
// attempt that is alive touches its upload every few seconds.
const DefaultAge = time.Hour

// A Sweeper removes what no unfinished task and no image names: abandoned
// uploads, objects that were stored and never activated, staged files. It
// removes only what it can prove to be nobody's; doubt keeps it.
type Sweeper struct {
	Catalogue  *metadata.Catalogue
	Stores     map[string]stores.Store
	StagingDir string
	Age        time.Duration // 0 means DefaultAge
	Log        zerolog.Logger

	mu    sync.Mutex
	begun time.Time // as begin has found it
}

// Swept counts what was removed.
type Swept struct {
	Uploads int   `json:"uploads"`
	Objects int   `json:"objects"`
	Staged  int   `json:"staged"`
	Bytes   int64 `json:"bytes"`
}

// A sweep is one pass.
type sweep struct {
	*Sweeper
	before time.Time // what was touched later is spared
	live   living
	only   func(key string) bool
	dry    bool // only say what would be removed
	visit  func(contract.ReapItem)
}

// Once sweeps everything that is old enough.
func (s *Sweeper) Once(ctx context.Context) (Swept, error) {
	var out Swept
	err := s.Sweep(ctx, s.Age, false, func(it contract.ReapItem) {
		switch it.Kind {
		case contract.ReapedUpload:
			out.Uploads++
		case contract.ReapedObject:
			out.Objects++
		case contract.ReapedStaged:
			out.Staged++
		}
		out.Bytes += it.Bytes
	})
	return out, err
}

// Sweep removes what has lain untouched for age, 0 for DefaultAge, and tells of
// each thing; with dry it only tells. What cannot be looked at or removed does not
// keep it from the rest, and is the error. The lists of the living are read before
// the lists of what lies there, so that what begins meanwhile is never taken for
// dead.
func (s *Sweeper) Sweep(ctx context.Context, age time.Duration, dry bool, visit func(contract.ReapItem)) error {
	if age == 0 {
		age = DefaultAge
	}
	w := sweep{Sweeper: s, before: time.Now().Add(-age), only: func(string) bool { return true }, dry: dry, visit: visit}
	var err error
	if w.live, err = s.living(ctx, ""); err != nil {
		return err
	}
	if w.live.since, err = s.begin(ctx); err != nil {
		return err
	}
	var errs []error
	for _, st := range s.Stores {
		errs = append(errs, w.uploads(ctx, st), w.objects(ctx, st))
	}
	return errors.Join(append(errs, w.staged())...)
}

// SweepStaging is Once for the staging of this host alone.
func (s *Sweeper) SweepStaging(ctx context.Context) error {
	age := s.Age
	if age == 0 {
		age = DefaultAge
	}
	w := sweep{Sweeper: s, before: time.Now().Add(-age), visit: func(contract.ReapItem) {}}
	var err error
	if w.live, err = s.living(ctx, ""); err != nil {
		return err
	}
	return w.staged()
}

// begin returns when the catalogue's first task was accepted, or its first image
// made: the records of tasks expire. Objects that are older than that are another
// catalogue's: somebody has lost it, or has still to put it back.
func (s *Sweeper) begin(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun.IsZero() {
		return s.begun, nil
	}
	at, ok, err := s.Catalogue.Begun(ctx)
	if err != nil || !ok {
		return time.Now(), err
	}
	s.begun = at
	return at, nil
}

// A living set is everything that somebody names. What an unfinished task
// writes lies under its image's id, whatever the upload is called.
type living struct {
	images map[string]bool            // of unfinished tasks
	tasks  map[string]bool            // unfinished ones
	keys   map[metadata.Location]bool // named by images
	// strange are the keys that images name in stores which there are not: one of
	// those that there are may be that store under another name.
	strange map[string]bool
	since   time.Time // what is older was stored for another catalogue
}

// names reports whether somebody names the key.
func (l living) names(store, key string) bool {
	return l.images[path.Dir(key)] || l.strange[key] || l.keys[metadata.Location{Store: store, Key: key}]
}

// living lists what everybody names but the task, "" for everybody.
func (s *Sweeper) living(ctx context.Context, but string) (living, error) {
	l := living{images: map[string]bool{}, tasks: map[string]bool{}, keys: map[metadata.Location]bool{}, strange: map[string]bool{}}
	tasks, err := s.Catalogue.Unfinished(ctx)
	if err != nil {
		return l, err
	}
	for _, t := range tasks {
		if t.ID == but {
			continue
		}
		l.tasks[t.ID] = true
		for _, id := range contract.TaskImageIDs(t.ID, t.ImageID) {
			l.images[id] = true
		}
	}
	uploads, err := s.Catalogue.Uploads(ctx)
	if err != nil {
		return l, err
	}
	for _, u := range uploads {
		l.tasks[u.ID] = true
		if !u.Staged {
			l.images[u.ImageID] = true
		}
	}
	locs, err := s.Catalogue.LiveKeys(ctx)
	for _, loc := range locs {
		l.keys[loc] = true
		if _, ok := s.Stores[loc.Store]; !ok {
			l.strange[loc.Key] = true
		}
	}
	return l, err
}

// Remove removes everything of a task that has ended: staged files, uploads,
// and objects that none of its images names. Its image may be another task's by
// now, whose uploads and objects are spared.
func (s *Sweeper) Remove(ctx context.Context, t metadata.Task) error {
	w := sweep{Sweeper: s, before: time.Now(), visit: func(contract.ReapItem) {}}
	var err error
	if w.live, err = s.living(ctx, t.ID); err != nil {
		return err
	}
	mine := contract.TaskImageIDs(t.ID, t.ImageID)
	w.only = func(key string) bool { return slices.Contains(mine, path.Dir(key)) }
	errs := []error{os.RemoveAll(filepath.Join(s.StagingDir, filepath.Base(t.ID)))}
	for _, st := range s.Stores {
		errs = append(errs, w.uploads(ctx, st), w.objects(ctx, st))
	}
	return errors.Join(errs...)
}

// uploads aborts the store's uploads that nobody names.
func (w *sweep) uploads(ctx context.Context, st stores.Store) error {
	var errs []error
	for u, err := range st.Uploads(ctx, w.before) {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if w.live.names(st.Name(), u.Key) || !w.only(u.Key) {
			continue
		}
		if !w.dry {
			gone, err := abort(ctx, st, u.ID)
			if errs = append(errs, err); err != nil || gone {
				continue
			}
			w.Log.Info().Str("store", st.Name()).Str("upload", u.ID).Int64("bytes", u.Bytes).Msg("swept an abandoned upload")
		}
		w.visit(contract.ReapItem{Kind: contract.ReapedUpload, Store: st.Name(), Name: u.Key, Bytes: u.Bytes, Since: u.Touched.UTC(),
			Why: "no unfinished task writes it"})
	}
	return errors.Join(errs...)
}

// abort throws an upload away. It reports whether there was none.
func abort(ctx context.Context, st stores.Store, id string) (gone bool, err error) {
	err = stores.Discard(ctx, st, id)
	if errcode.Of(err) == errcode.UploadUnknown {
		return true, nil
	}
	return false, err
}

// objects deletes the store's objects that nobody names.
func (w *sweep) objects(ctx context.Context, st stores.Store) error {
	var errs []error
	if all, ok := st.(stores.Objects); ok {
		errs = append(errs, w.nobodys(ctx, st, all.Objects(ctx), "no image and no unfinished task names it"))
	}
	if rest, ok := st.(stores.Remains); ok {
		errs = append(errs, w.nobodys(ctx, st, rest.Remains(ctx), "its deletion was cut off"))
	}
	return errors.Join(errs...)
}

// nobodys deletes those of the objects that nobody names.
func (w *sweep) nobodys(ctx context.Context, st stores.Store, all iter.Seq2[stores.ObjectInfo, error], why string) error {
	var errs []error
	for o, err := range all {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if o.Committed.IsZero() || o.Committed.After(w.before) || o.Committed.Before(w.live.since) || w.live.names(st.Name(), o.Key) || !w.only(o.Key) {
			continue
		}
		if !w.dry {
			if err := st.Delete(ctx, o.Key); err != nil {
				errs = append(errs, err)
				continue
			}
			w.Log.Info().Str("store", st.Name()).Str("key", o.Key).Int64("bytes", o.Size).Msg("swept an object that no image names")
		}
		taken := o.Allocated
		if taken < 0 {
			taken = o.Size
		}
		w.visit(contract.ReapItem{Kind: contract.ReapedObject, Store: st.Name(), Name: o.Key, Bytes: taken, Since: o.Committed.UTC(),
			Why: why})
	}
	return errors.Join(errs...)
}

// staged removes the files of tasks that have ended.
func (w *sweep) staged() error {
	entries, err := os.ReadDir(w.StagingDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || w.live.tasks[e.Name()] || st.ModTime().After(w.before) {
			continue
		}
		path := filepath.Join(w.StagingDir, e.Name())
		bytes := taken(path)
		if !w.dry {
			if err := os.RemoveAll(path); err != nil {
				errs = append(errs, err)
				continue
			}
			w.Log.Info().Str("task", e.Name()).Msg("swept staged files of a task that has ended")
		}
		w.visit(contract.ReapItem{Kind: contract.ReapedStaged, Name: e.Name(), Bytes: bytes, Since: st.ModTime().UTC(), Why: "its task has ended"})
	}
	return errors.Join(errs...)
}

// taken is what the files below a folder take on their disk, bytes.
func taken(dir string) int64 {
	n := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if st, err := e.Info(); err == nil {
			n += fsutil.Allocated(st)
		}
		return nil
	})
	return n
}
