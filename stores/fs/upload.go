package fs

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// manifest is the durable state of an upload.
type manifest struct {
	// Generation is raised by each Resume; only the handle that holds it may
	// change the upload.
	Generation int64 `json:"generation"`
	// Sealed is the sealed size, nil while the upload is written.
	Sealed *int64 `json:"sealed,omitempty"`
	// Note vouches for the bytes that were durable before it. Serial tells which of
	// two notes is the later one: this, or that of a mark.
	Note   []byte `json:"note,omitempty"`
	Serial int64  `json:"serial,omitempty"`
}

// upload is one handle on an upload.
type upload struct {
	content
	s      *Store
	id     string
	key    string
	folder *os.File // holds the lock; nil for an upload that was found committed
	gen    int64

	op        sync.Mutex // one Checkpoint, Seal, Commit, Abort or Close at a time
	changing  sync.Mutex // one change at a time: the folder's lock holds off other handles, not this one
	notes     notes
	committed *record // set once the bytes are visible
	ended     bool    // closed or aborted
}

var _ stores.Upload = (*upload)(nil)

// Begin starts an upload. It refuses with errcode.NoSpace if less is free than
// MinFree, or than size if that is smaller.
func (s *Store) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stores.CheckKey(key); err != nil {
		return nil, err
	}
	need := int64(MinFree)
	if size >= 0 {
		need = min(need, size)
	}
	if free, err := s.Free(ctx); err != nil {
		return nil, err
	} else if free < need {
		return nil, errcode.New(errcode.NoSpace, "the store has %d bytes left", free)
	}
	u := &upload{s: s, id: stores.NewID(key), key: key, gen: 1}
	if err := u.begin(size); err != nil {
		_ = os.RemoveAll(s.uploadDir(u.id))
		return nil, storeError(err, "begin an upload")
	}
	return u, nil
}

// begin makes the upload's folder. A file whose size is known has it from the begin:
// writes within a file go to the disk side by side, and those that make it longer one
// after the other. Nobody else has the file yet, so nothing that was written is cut.
func (u *upload) begin(size int64) (err error) {
	dir := u.s.uploadDir(u.id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if u.folder, err = os.Open(dir); err != nil {
		return err
	}
	unlock, err := fsutil.Lock(u.folder) // against Find, which removes what was left half begun
	if err != nil {
		u.folder.Close()
		return err
	}
	defer unlock()
	f, err := os.OpenFile(filepath.Join(dir, dataName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		u.folder.Close()
		return err
	}
	u.use(f, -1)
	if size > 0 {
		// One that the file system has no room for is told where it is written.
		_ = f.Truncate(size)
	}
	if err = u.writeManifest(&manifest{Generation: u.gen}); err == nil {
		err = fsutil.SyncDir(filepath.Join(u.s.dir, uploadsName))
	}
	if err != nil {
		_ = u.end(err)
		u.folder.Close()
	}
	return err
}

// Resume takes an upload up again and fences older handles. It finishes what a
// crash left of a commit, and removes what one left of an abort.
func (s *Store) Resume(ctx context.Context, id string) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, ok := stores.KeyOfID(id)
	if !ok {
		return nil, stores.Unknown(id)
	}
	folder, err := os.Open(s.uploadDir(id))
	if errors.Is(err, iofs.ErrNotExist) {
		return s.resumeCommitted(id, key)
	}
	if err != nil {
		return nil, storeError(err, "resume upload %s", id)
	}
	u := &upload{s: s, id: id, key: key, folder: folder}
	out, err := u.resume()
	if out != u {
		folder.Close()
	}
	if err != nil {
		return nil, storeError(err, "resume upload %s", id)
	}
	return out, nil
}

// resume returns u itself, or another handle if it finds the upload committed.
func (u *upload) resume() (stores.Upload, error) {
	unlock, err := fsutil.Lock(u.folder)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir := u.s.uploadDir(u.id)
	if done, err := u.s.resumeCommitted(u.id, u.key); errcode.Of(err) != errcode.UploadUnknown {
		if err == nil {
			err = u.s.dropUpload(u.id)
		}
		return done, err
	}
	var m manifest
	if err := readJSON(filepath.Join(dir, manifestName), &m); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	mode := os.O_RDWR
	if m.Sealed != nil {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(filepath.Join(dir, dataName), mode, 0)
	if errors.Is(err, iofs.ErrNotExist) {
		// Without bytes it is the rest of an abort, or of a Begin that never
		// returned.
		if err := u.remove(); err != nil {
			return nil, err
		}
		return nil, stores.Unknown(u.id)
	}
	if err != nil {
		return nil, err
	}
	m.Generation++
	if err := u.writeManifest(&m); err != nil {
		f.Close()
		return nil, err
	}
	u.gen = m.Generation
	size := int64(-1)
	if m.Sealed != nil {
		size = *m.Sealed
	}
	u.use(f, size)
	u.notes.found(m.Note, m.Serial)
	if marked, ok := u.marked(); ok && marked.Serial > m.Serial {
		u.notes.found(marked.Note, marked.Serial)
	}
	return u, nil
}

// resumeCommitted returns a handle on an upload that is an object already.
func (s *Store) resumeCommitted(id, key string) (stores.Upload, error) {
	rec, fi, err := s.object(key)
	if errcode.Of(err) == errcode.NotFound || (err == nil && rec.Upload != id) {
		return nil, stores.Unknown(id)
	}
	if err != nil {
		return nil, err
	}
	path, _ := s.objectPath(key)
	f, err := os.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, stores.Unknown(id)
	}
	if err != nil {
		return nil, storeError(err, "open object %s", key)
	}
	u := &upload{s: s, id: id, key: key, gen: rec.Generation, committed: &rec}
	u.use(f, fi.Size())
	return u, nil
}

// ID names the upload for Resume.
func (u *upload) ID() string { return u.id }

// Note returns the last note that outlives the process.
func (u *upload) Note() []byte { return u.notes.last() }

// Checkpoint makes the bytes durable and then the note. It may be called on a
// sealed upload, to keep a note with it.
func (u *upload) Checkpoint(ctx context.Context, note []byte) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	if u.committed != nil {
		return errcode.New(errcode.Conflict, "upload %s is committed", u.id)
	}
	serial := u.notes.begin()
	if err := u.sync(fsutil.Datasync); err != nil {
		// The kernel may have dropped what a mark vouches for.
		return errors.Join(err, u.unmark())
	}
	note = append([]byte(nil), note...)
	err := u.change(func(m *manifest) error {
		m.Note, m.Serial = note, serial
		return u.writeManifest(m)
	})
	if err != nil {
		return storeError(err, "checkpoint upload %s", u.id)
	}
	u.notes.kept(note, serial)
	return nil
}

// Seal ends the writing at size bytes.
func (u *upload) Seal(ctx context.Context, size int64) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	if u.committed == nil {
		// Asked first, because a handle that was overtaken must not cut what
		// its successor has written.
		if err := u.change(func(*manifest) error { return nil }); err != nil {
			return storeError(err, "seal upload %s", u.id)
		}
	}
	err := u.seal(size, func() error {
		return u.change(func(m *manifest) error {
			m.Sealed = &size
			return u.writeManifest(m)
		})
	})
	return storeError(err, "seal upload %s", u.id)
}

// Close lets go of the upload and keeps it.
func (u *upload) Close() error {
	u.op.Lock()
	defer u.op.Unlock()
	return storeError(u.letGo(closedError()), "close upload %s", u.id)
}

func (u *upload) letGo(why error) error {
	if u.ended {
		return nil
	}
	u.ended = true
	err := u.end(why)
	if u.folder != nil {
		err = errors.Join(err, u.folder.Close())
	}
	return err
}

// usable reports why nothing can be done through this handle, nil if it can.
func (u *upload) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.gone
}

// change runs fn on the manifest under the upload's lock, if this handle is the
// youngest. An upload whose manifest is gone was ended by a younger one.
func (u *upload) change(fn func(*manifest) error) error {
	return u.changeOr(fn, func() error { return stores.Fenced(u.id) })
}

// changeOr is change with another answer to a manifest that is gone.
func (u *upload) changeOr(fn func(*manifest) error, missing func() error) error {
	u.changing.Lock()
	defer u.changing.Unlock()
	unlock, err := fsutil.Lock(u.folder)
	if err != nil {
		return err
	}
	defer unlock()
	var m manifest
	err = readJSON(filepath.Join(u.s.uploadDir(u.id), manifestName), &m)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return missing()
	case err != nil:
		return err
	case m.Generation != u.gen:
		return stores.Fenced(u.id)
	}
	return fn(&m)
}

func (u *upload) writeManifest(m *manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return fsutil.WriteDurable(u.s.uploadDir(u.id), manifestName, b)
}
