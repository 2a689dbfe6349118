package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

var (
	_ stores.Locator = (*Store)(nil)
	_ stores.Locator = (*Several)(nil)
)

// externalName is the folder in which others may put files for images to be made of.
const externalName = "external"

// URL returns the file URL of an object, errcode.NotFound if there is none.
func (s *Store) URL(ctx context.Context, key string) (string, error) {
	if _, err := s.Stat(ctx, key); err != nil {
		return "", err
	}
	path := filepath.Join(s.dir, filepath.FromSlash(key))
	if !stores.IsExternal(key) {
		path, _ = s.objectPath(key)
	}
	return (&url.URL{Scheme: "file", Path: path}).String(), nil
}

// KeyOf returns the key of the object that a file URL names.
func (s *Store) KeyOf(raw string) (string, bool) {
	u, ok := stores.PlainURL(raw)
	if !ok || u.Scheme != "file" || u.Host != "" || filepath.Clean(u.Path) != u.Path {
		return "", false
	}
	rel, ok := strings.CutPrefix(u.Path, s.dir+"/")
	if !ok {
		return "", false
	}
	if key, ok := strings.CutPrefix(rel, objectsName+"/"); ok {
		return key, stores.CheckKey(key) == nil
	}
	return rel, stores.IsExternal(rel)
}

// openExternal opens a file that somebody has put into the store. No link leads out of
// its folder, and what is no regular file is not waited for.
func (s *Store) openExternal(key string) (*os.File, os.FileInfo, error) {
	f, fi, err := s.lookExternal(key)
	if err != nil && !missingExternal(err) {
		return nil, nil, storeError(err, "open object %s", key)
	}
	if err != nil {
		return nil, nil, errcode.Wrap(err, errcode.NotFound, "the store has no object %s", key)
	}
	return f, fi, nil
}

// missingExternal reports whether an error says that there is no such file. What is no
// error of the system is a link that leads out of the folder.
func missingExternal(err error) bool {
	var system syscall.Errno
	if !errors.As(err, &system) {
		return true
	}
	return system == syscall.ENOENT || system == syscall.ENOTDIR || system == syscall.ELOOP || system == syscall.ENXIO
}

func (s *Store) lookExternal(key string) (*os.File, os.FileInfo, error) {
	root, err := os.OpenRoot(filepath.Join(s.dir, externalName))
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	name := filepath.FromSlash(strings.TrimPrefix(key, externalName+"/"))
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, fi, nil
}

// statExternal describes an external object: nobody has noted a digest of it.
func (s *Store) statExternal(key string) (stores.ObjectInfo, error) {
	f, fi, err := s.openExternal(key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	info := stores.ObjectInfo{Key: key, Size: fi.Size(), Allocated: fsutil.Allocated(fi), Committed: fi.ModTime()}
	return info, f.Close()
}

// URL returns the file URL of an object in whichever folder it lies.
func (s *Several) URL(ctx context.Context, key string) (string, error) {
	f, _, err := s.locate(ctx, key)
	if err != nil {
		return "", err
	}
	return f.URL(ctx, key)
}

// KeyOf returns the key of the object that a file URL in one of the folders names.
func (s *Several) KeyOf(raw string) (string, bool) {
	for _, f := range s.folders {
		if key, ok := f.KeyOf(raw); ok {
			return key, true
		}
	}
	return "", false
}
