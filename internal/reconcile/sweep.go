package reconcile

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
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

	begun time.Time // as begin has found it
}

// Swept counts what was removed.
type Swept struct {
	Uploads int   `json:"uploads"`
	Objects int   `json:"objects"`
	Staged  int   `json:"staged"`
	Bytes   int64 `json:"bytes"`
}

// Once sweeps everything. The lists of the living are read before the lists of
// what lies there, so that what begins meanwhile is never taken for dead.
func (s *Sweeper) Once(ctx context.Context) (Swept, error) {
	if s.Age == 0 {
		s.Age = DefaultAge
	}
	before := time.Now().Add(-s.Age)
	live, err := s.living(ctx)
	if err != nil {
		return Swept{}, err
	}
	var out Swept
	var errs []error
	all := func(string) bool { return true }
	if live.since, err = s.begin(ctx); err != nil {
		return Swept{}, err
	}
	for _, st := range s.Stores {
		errs = append(errs, s.uploads(ctx, st, before, live, all, &out), s.objects(ctx, st, before, live, all, &out))
	}
	errs = append(errs, s.staged(before, live, &out))
	return out, errors.Join(errs...)
}

// begin returns when the catalogue's first task was accepted. Objects that are
// older than that are another catalogue's: somebody has lost it, or has still
// to put it back.
func (s *Sweeper) begin(ctx context.Context) (time.Time, error) {
	if !s.begun.IsZero() {
		return s.begun, nil
	}
	tasks, err := s.Catalogue.Tasks(ctx, metadata.TaskFilter{})
	if err != nil || len(tasks) == 0 {
		return time.Now(), err
	}
	s.begun = tasks[len(tasks)-1].CreatedAt
	return s.begun, nil
}

// A living set is everything that somebody names. What an unfinished task
// writes lies under its image's id, whatever the upload is called.
type living struct {
	images map[string]bool            // of unfinished tasks
	tasks  map[string]bool            // unfinished ones
	keys   map[metadata.Location]bool // named by images
	since  time.Time                  // what is older was stored for another catalogue
}

// names reports whether somebody names the key.
func (l living) names(store, key string) bool {
	return l.images[path.Dir(key)] || l.keys[metadata.Location{Store: store, Key: key}]
}

func (s *Sweeper) living(ctx context.Context) (living, error) {
	l := living{images: map[string]bool{}, tasks: map[string]bool{}, keys: map[metadata.Location]bool{}}
	tasks, err := s.Catalogue.Unfinished(ctx)
	if err != nil {
		return l, err
	}
	for _, t := range tasks {
		l.tasks[t.ID] = true
		for _, id := range contract.TaskImageIDs(t.ID, t.ImageID) {
			l.images[id] = true
		}
	}
	locs, err := s.Catalogue.LiveKeys(ctx)
	for _, loc := range locs {
		l.keys[loc] = true
	}
	return l, err
}

// Remove removes everything of a task that has ended: staged files, uploads,
// and objects that none of its images names.
func (s *Sweeper) Remove(ctx context.Context, t metadata.Task) error {
	live := living{keys: map[metadata.Location]bool{}}
	locs, err := s.Catalogue.LiveKeys(ctx)
	if err != nil {
		return err
	}
	for _, loc := range locs {
		live.keys[loc] = true
	}
	mine := contract.TaskImageIDs(t.ID, t.ImageID)
	only := func(key string) bool { return slices.Contains(mine, path.Dir(key)) }
	var out Swept
	errs := []error{os.RemoveAll(filepath.Join(s.StagingDir, filepath.Base(t.ID)))}
	now := time.Now().Add(time.Minute)
	for _, st := range s.Stores {
		errs = append(errs, s.uploads(ctx, st, now, live, only, &out), s.objects(ctx, st, now, live, only, &out))
	}
	return errors.Join(errs...)
}

// uploads aborts the store's uploads that nobody names and that only admits.
func (s *Sweeper) uploads(ctx context.Context, st stores.Store, before time.Time, l living, only func(key string) bool, out *Swept) error {
	for u, err := range st.Uploads(ctx, before) {
		if err != nil {
			return err
		}
		if l.names(st.Name(), u.Key) || !only(u.Key) {
			continue
		}
		up, err := st.Resume(ctx, u.ID)
		if errcode.Of(err) == errcode.UploadUnknown {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(up.Abort(ctx), up.Close()); err != nil {
			return err
		}
		s.Log.Info().Str("store", st.Name()).Str("upload", u.ID).Int64("bytes", u.Bytes).Msg("swept an abandoned upload")
		out.Uploads++
		out.Bytes += u.Bytes
	}
	return nil
}

// objects deletes the store's objects that nobody names and that only admits.
func (s *Sweeper) objects(ctx context.Context, st stores.Store, before time.Time, l living, only func(key string) bool, out *Swept) error {
	lister, ok := st.(stores.Objects)
	if !ok {
		return nil
	}
	for o, err := range lister.Objects(ctx) {
		if err != nil {
			return err
		}
		if o.Committed.IsZero() || o.Committed.After(before) || o.Committed.Before(l.since) || l.names(st.Name(), o.Key) || !only(o.Key) {
			continue
		}
		if err := st.Delete(ctx, o.Key); err != nil {
			return err
		}
		s.Log.Info().Str("store", st.Name()).Str("key", o.Key).Int64("bytes", o.Size).Msg("swept an object that no image names")
		out.Objects++
		out.Bytes += max(0, o.Allocated)
	}
	return nil
}

func (s *Sweeper) staged(before time.Time, l living, out *Swept) error {
	entries, err := os.ReadDir(s.StagingDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || l.tasks[e.Name()] || st.ModTime().After(before) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.StagingDir, e.Name())); err != nil {
			return err
		}
		s.Log.Info().Str("task", e.Name()).Msg("swept staged files of a task that has ended")
		out.Staged++
	}
	return nil
}
