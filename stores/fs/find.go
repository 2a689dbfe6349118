package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

var _ stores.Finder = (*Store)(nil)

// Find returns the id of the upload that was begun for key. What a Begin for it has left
// that was cut off is removed: no attempt that looks for its upload would find it.
func (s *Store) Find(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if rec, _, err := s.object(key); err == nil && rec.Upload != "" {
		return rec.Upload, nil
	} else if err != nil && errcode.Of(err) != errcode.NotFound {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, uploadsName))
	if err != nil {
		return "", storeError(err, "look for an upload")
	}
	prefix := stores.IDPrefix(key)
	var id string
	var newest time.Time
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		begun, err := s.begun(e.Name())
		if err != nil {
			return "", storeError(err, "look for an upload")
		}
		if begun.After(newest) {
			id, newest = e.Name(), begun
		}
	}
	if id == "" {
		return "", errcode.New(errcode.UploadUnknown, "there is no upload for %s", key)
	}
	return id, nil
}

// begun returns when an upload's manifest was written, zero if there is none. Such an
// upload was cut off in its begin, or in its removal, and is removed: who is at one of the
// two holds its lock.
func (s *Store) begun(id string) (time.Time, error) {
	dir := s.uploadDir(id)
	manifest := filepath.Join(dir, manifestName)
	fi, err := os.Stat(manifest)
	if err == nil {
		return fi.ModTime(), nil
	}
	folder, err := os.Open(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer folder.Close()
	unlock, err := fsutil.Lock(folder)
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	fi, err = os.Stat(manifest)
	switch {
	case err == nil:
		return fi.ModTime(), nil
	case errors.Is(err, iofs.ErrNotExist):
		return time.Time{}, s.dropUpload(id)
	}
	return time.Time{}, err
}

var _ stores.Discarder = (*Store)(nil)

// Discard throws an upload away. Unlike Resume and Abort it needs no room.
func (s *Store) Discard(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key, ok := stores.KeyOfID(id)
	if !ok {
		return stores.Unknown(id)
	}
	folder, err := os.Open(s.uploadDir(id))
	if errors.Is(err, iofs.ErrNotExist) {
		return s.discardCommitted(id, key)
	}
	if err != nil {
		return storeError(err, "discard upload %s", id)
	}
	defer folder.Close()
	unlock, err := fsutil.Lock(folder)
	if err != nil {
		return storeError(err, "discard upload %s", id)
	}
	defer unlock()
	if err := s.discardCommitted(id, key); errcode.Of(err) != errcode.UploadUnknown {
		if err == nil {
			err = s.dropUpload(id)
		}
		return err
	}
	u := &upload{s: s, id: id, key: key, folder: folder}
	return storeError(u.remove(), "discard upload %s", id)
}

// discardCommitted returns nil for an upload that is an object, which it leaves alone.
func (s *Store) discardCommitted(id, key string) error {
	u, err := s.resumeCommitted(id, key)
	if err != nil {
		return err
	}
	return u.Close()
}
