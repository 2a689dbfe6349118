package fs

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// Commit makes the sealed bytes visible. It can be repeated after an error or
// a crash at any step.
func (u *upload) Commit(ctx context.Context, want stores.Digest) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	size, sealed := u.Sealed()
	if err := stores.MayCommit(u.id, size, sealed, want); err != nil {
		return err
	}
	if u.committed == nil {
		if err := u.adopt(); err != nil {
			return err
		}
	}
	if u.committed != nil {
		if u.committed.Digest != want {
			return errcode.New(errcode.Conflict, "upload %s is committed with another digest", u.id)
		}
		return storeError(u.s.dropUpload(u.id), "commit upload %s", u.id)
	}
	if u.broken != nil {
		return u.broken
	}
	rec := record{Upload: u.id, Generation: u.gen, Digest: want, Committed: time.Now().UTC()}
	err := u.change(func(*manifest) error { return u.place(rec) })
	if err == nil {
		u.committed = &rec
		err = u.s.dropUpload(u.id)
	}
	return storeError(err, "commit upload %s", u.id)
}

// adopt finds out whether the bytes are visible already, by an earlier Commit
// that did not get to its end.
func (u *upload) adopt() error {
	rec, _, err := u.s.object(u.key)
	if errcode.Of(err) == errcode.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case rec.Upload != u.id:
		return errcode.New(errcode.Conflict, "there is an object %s from another upload", u.key)
	case rec.Generation != u.gen:
		return stores.Fenced(u.id)
	}
	u.committed = &rec
	return nil
}

// place puts record and bytes under the key. The caller holds the upload's lock.
func (u *upload) place(rec record) error {
	unlock, err := u.s.lockObjects()
	if err != nil {
		return err
	}
	defer unlock()
	if err := u.adopt(); err != nil || u.committed != nil {
		return err // another upload took the key while this one waited for the lock
	}
	path, err := u.s.objectPath(u.key)
	if err != nil {
		return err
	}
	dir := u.s.uploadDir(u.id)
	image := filepath.Dir(path)
	steps := []struct {
		name string
		do   func() error
	}{
		{"image folder", func() error {
			if err := os.Mkdir(image, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
				return err
			}
			return fsutil.SyncDir(filepath.Dir(image))
		}},
		{"record written", func() error {
			b, err := json.Marshal(rec)
			if err != nil {
				return err
			}
			return fsutil.WriteTemp(dir, recordName, b)
		}},
		{"record renamed", func() error {
			return os.Rename(filepath.Join(dir, recordName+fsutil.TempSuffix), path+recordSuffix)
		}},
		{"record durable", func() error { return fsutil.SyncDir(image) }},
		{"data renamed", func() error { return fsutil.RenameNoReplace(filepath.Join(dir, dataName), path) }},
		{"data durable", func() error { return errors.Join(fsutil.SyncDir(image), fsutil.SyncDir(dir)) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return err
		}
		if err := u.s.at("commit: " + step.name); err != nil {
			return err
		}
	}
	return nil
}

// Abort throws the upload away. A handle that was overtaken leaves it to its
// successor and returns errcode.UploadFenced; one that was closed does nothing.
// It works with a context that has ended, so that it can be deferred.
func (u *upload) Abort(context.Context) error {
	u.op.Lock()
	defer u.op.Unlock()
	if u.ended || u.committed != nil {
		return nil
	}
	if err := u.adopt(); err != nil && errcode.Of(err) != errcode.Conflict {
		return err
	}
	if u.committed != nil { // Commit failed behind the rename; what is left goes with Resume
		return nil
	}
	// A manifest that is gone means that an abort has begun already: finish it.
	if err := u.changeOr(func(*manifest) error { return u.remove() }, u.remove); err != nil {
		return storeError(err, "abort upload %s", u.id)
	}
	return storeError(u.letGo(stores.Unknown(u.id)), "abort upload %s", u.id)
}

// remove takes every trace of an upload away that is not committed: first a
// record that an interrupted commit has left, then the bytes, then the rest.
func (u *upload) remove() error {
	unlock, err := u.s.lockObjects()
	if err != nil {
		return err
	}
	defer unlock()
	path, err := u.s.objectPath(u.key)
	if err != nil {
		return err
	}
	rec, _, err := u.s.object(u.key)
	if err == nil && rec.Upload == u.id { // committed by a younger handle meanwhile
		return nil
	}
	if err := readJSON(path+recordSuffix, &rec); err == nil && rec.Upload == u.id {
		if err := os.Remove(path + recordSuffix); err != nil {
			return err
		}
		if err := fsutil.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	if err := u.s.at("abort: record"); err != nil {
		return err
	}
	if err := u.s.dropImageDir(filepath.Dir(path), true); err != nil {
		return err
	}
	return u.s.dropUpload(u.id)
}

// dropUpload removes an upload's folder, the bytes first: without them the rest
// is not an upload.
func (s *Store) dropUpload(id string) error {
	dir := s.uploadDir(id)
	for _, name := range []string{dataName, manifestName, ""} {
		var err error
		if name == "" {
			err = os.RemoveAll(dir)
		} else {
			err = os.Remove(filepath.Join(dir, name))
		}
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		if err := s.at("drop: " + name); err != nil {
			return err
		}
	}
	return fsutil.SyncDir(filepath.Join(s.dir, uploadsName))
}
