package fs

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	iofs "io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingest/internal/directio"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// MinFree is the room, in bytes, below which no upload is begun that may need
// it. It is a guard against filling the disk to the last byte and nothing more:
// a known size is an upper bound, because holes and zeros take no room, so
// Begin does not refuse only because the size is larger than what is free.
const MinFree = 64 << 20

const (
	objectsName  = "objects"
	uploadsName  = "uploads"
	dataName     = "data"
	manifestName = "manifest.json"
	recordName   = "record"
	recordSuffix = ".json"
)

// A Store keeps objects as files below one folder.
type Store struct {
	dir  string
	name string
	free func() (int64, error)
	// step, if set by a test, is called between the steps of an operation and
	// stops it there by an error, as a crash would.
	step func(at string) error
	// cloneWays, if set by a test, are those of Clone.
	cloneWays []cloneWay
}

var (
	_ stores.Store   = (*Store)(nil)
	_ stores.Objects = (*Store)(nil)
	_ stores.Space   = (*Store)(nil)
	_ stores.Opener  = (*Store)(nil)
	_ stores.Placed  = (*Store)(nil)
)

// Open opens the store in dir and makes the folder if there is none. name is
// the operator's name for it. Several processes can have one store open.
func Open(dir, name string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, storeError(err, "open the store")
	}
	for _, sub := range []string{objectsName, uploadsName} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, storeError(err, "open the store")
		}
	}
	if err := fsutil.SyncDir(dir); err != nil {
		return nil, storeError(err, "open the store")
	}
	return &Store{dir: dir, name: name, free: func() (int64, error) { return fsutil.Free(dir) }}, nil
}

// Name returns the operator's name for the store.
func (s *Store) Name() string { return s.name }

// Local says that objects are files of this machine.
func (s *Store) Local() bool { return true }

// Free returns the bytes that can still be written.
func (s *Store) Free(context.Context) (int64, error) {
	n, err := s.free()
	if err != nil {
		return 0, storeError(err, "read the free space")
	}
	return n, nil
}

// record is what is kept beside a committed object.
type record struct {
	Upload     string        `json:"upload"`
	Generation int64         `json:"generation"`
	Digest     stores.Digest `json:"digest"`
	Committed  time.Time     `json:"committed"`
}

// Stat returns what is known of a committed object.
func (s *Store) Stat(ctx context.Context, key string) (stores.ObjectInfo, error) {
	if err := ctx.Err(); err != nil {
		return stores.ObjectInfo{}, err
	}
	if stores.IsExternal(key) {
		return s.statExternal(key)
	}
	rec, fi, err := s.object(key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	return stores.ObjectInfo{
		Key:       key,
		Size:      fi.Size(),
		Allocated: fsutil.Allocated(fi),
		Digest:    rec.Digest,
		Committed: rec.Committed,
	}, nil
}

// object reads the record of a committed object, errcode.NotFound if there is none.
func (s *Store) object(key string) (record, os.FileInfo, error) {
	var rec record
	path, err := s.objectPath(key)
	if err != nil {
		return rec, nil, err
	}
	fi, err := os.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		err = &os.PathError{Op: "stat", Path: path, Err: errors.New("not a regular file")}
	}
	if err == nil {
		err = readJSON(path+recordSuffix, &rec)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return rec, nil, errcode.Wrap(err, errcode.NotFound, "the store has no object %s", key)
	}
	if err != nil {
		return rec, nil, storeError(err, "read the record of object %s", key)
	}
	return rec, fi, nil
}

// OpenRange reads n bytes from off of a committed object, to its end if n < 0.
// The reader is an io.ReaderAt and io.Seeker too, relative to off, and stays
// valid when the object is deleted.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	f, size, err := s.open(ctx, key)
	if err != nil {
		return nil, err
	}
	if off < 0 || off > size {
		f.Close()
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the object of %d bytes", off, size)
	}
	if left := size - off; n < 0 || n > left {
		n = left
	}
	return &section{SectionReader: io.NewSectionReader(f, off, n), f: f, off: off}, nil
}

// Open opens a committed object; its holes are known.
func (s *Store) Open(ctx context.Context, key string) (stores.Object, error) {
	f, size, err := s.open(ctx, key)
	if err != nil {
		return nil, err
	}
	return &object{reader{f: f, from: directio.Reader(f), size: size}}, nil
}

func (s *Store) open(ctx context.Context, key string) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if stores.IsExternal(key) {
		f, fi, err := s.openExternal(key)
		if err != nil {
			return nil, 0, err
		}
		return f, fi.Size(), nil
	}
	path, err := s.objectPath(key)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, 0, errcode.Wrap(err, errcode.NotFound, "the store has no object %s", key)
	}
	if err != nil {
		return nil, 0, storeError(err, "open object %s", key)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, storeError(err, "open object %s", key)
	}
	return f, fi.Size(), nil
}

// An object is a committed one that is open for reading.
type object struct{ reader }

func (o *object) Size() int64 { return o.size }

func (o *object) Close() error { return errors.Join(o.from.Close(), o.f.Close()) }

// Delete removes a committed object: first its bytes, so that a record that a
// crash leaves is not an object, and goes with the next Delete. An external one is left.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if stores.IsExternal(key) {
		return nil
	}
	path, err := s.objectPath(key)
	if err != nil {
		return err
	}
	unlock, err := s.lockObjects()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.deleteLocked(path); err != nil {
		return storeError(err, "delete object %s", key)
	}
	return nil
}

func (s *Store) deleteLocked(path string) error {
	dir := filepath.Dir(path)
	gone := true
	for _, p := range []string{path, path + recordSuffix} {
		err := os.Remove(p)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		gone = false
		if err := fsutil.SyncDir(dir); err != nil {
			return err
		}
		if err := s.at("delete: removed " + filepath.Ext(p)); err != nil {
			return err
		}
	}
	return s.dropImageDir(dir, gone)
}

// dropImageDir removes an image's folder if it is empty. An image with other
// objects keeps its folder; that is not an error.
func (s *Store) dropImageDir(dir string, mayMiss bool) error {
	if err := os.Remove(dir); err != nil {
		if errors.Is(err, iofs.ErrExist) || (mayMiss && errors.Is(err, iofs.ErrNotExist)) {
			return nil // ErrExist covers ENOTEMPTY
		}
		return err
	}
	return fsutil.SyncDir(filepath.Dir(dir))
}

// Objects yields every committed object, ordered by key.
func (s *Store) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return s.list(ctx, "", s.Stat)
}

// Remains implements stores.Remains: records without an object.
func (s *Store) Remains(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return s.list(ctx, recordSuffix, s.lone)
}

// list yields what look finds for every file whose name is a UUID and the suffix.
// What look calls errcode.NotFound is left out.
func (s *Store) list(ctx context.Context, suffix string, look func(context.Context, string) (stores.ObjectInfo, error)) iter.Seq2[stores.ObjectInfo, error] {
	return func(yield func(stores.ObjectInfo, error) bool) {
		root := filepath.Join(s.dir, objectsName)
		images, err := os.ReadDir(root)
		if err != nil {
			yield(stores.ObjectInfo{}, storeError(err, "list the objects"))
			return
		}
		for _, image := range images {
			if !stores.IsUUID(image.Name()) {
				continue
			}
			files, err := os.ReadDir(filepath.Join(root, image.Name()))
			if errors.Is(err, iofs.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(stores.ObjectInfo{}, storeError(err, "list the objects of image %s", image.Name()))
				return
			}
			for _, file := range files {
				name, ok := strings.CutSuffix(file.Name(), suffix)
				if !ok || !stores.IsUUID(name) {
					continue
				}
				info, err := look(ctx, image.Name()+"/"+name)
				if errcode.Of(err) == errcode.NotFound {
					continue // deleted meanwhile
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}

// lone describes a record without an object, errcode.NotFound if there is none.
func (s *Store) lone(ctx context.Context, key string) (stores.ObjectInfo, error) {
	if err := ctx.Err(); err != nil {
		return stores.ObjectInfo{}, err
	}
	missing := errcode.New(errcode.NotFound, "the store has no record of %s without an object", key)
	path, err := s.objectPath(key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	if _, err := os.Lstat(path); !errors.Is(err, iofs.ErrNotExist) {
		return stores.ObjectInfo{}, missing
	}
	fi, err := os.Lstat(path + recordSuffix)
	if errors.Is(err, iofs.ErrNotExist) {
		return stores.ObjectInfo{}, missing
	}
	if err != nil {
		return stores.ObjectInfo{}, storeError(err, "look at the record of object %s", key)
	}
	return stores.ObjectInfo{Key: key, Allocated: fsutil.Allocated(fi), Committed: fi.ModTime()}, nil
}

// Uploads yields the uploads that were last touched before the given time. An
// upload is as old as the youngest of its files; one whose age cannot be read
// is left out. What a crash left half begun, half aborted or half committed is
// listed too: Resume cleans it up.
func (s *Store) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return func(yield func(stores.UploadInfo, error) bool) {
		root := filepath.Join(s.dir, uploadsName)
		dirs, err := os.ReadDir(root)
		if err != nil {
			yield(stores.UploadInfo{}, storeError(err, "list the uploads"))
			return
		}
		for _, d := range dirs {
			if err := ctx.Err(); err != nil {
				yield(stores.UploadInfo{}, err)
				return
			}
			key, ok := stores.KeyOfID(d.Name())
			if !ok {
				continue
			}
			info := stores.UploadInfo{ID: d.Name(), Key: key}
			if !measure(filepath.Join(root, d.Name()), &info) || !info.Touched.Before(before) {
				continue
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// measure fills in the age and the size of an upload. It reports whether the
// age is beyond doubt.
func measure(dir string, info *stores.UploadInfo) bool {
	for _, name := range []string{"", dataName, manifestName} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if name != "" && errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false
		}
		if fi.ModTime().After(info.Touched) {
			info.Touched = fi.ModTime()
		}
		if name == dataName {
			info.Bytes = fsutil.Allocated(fi)
		}
	}
	return true
}

func (s *Store) uploadDir(id string) string { return filepath.Join(s.dir, uploadsName, id) }

func (s *Store) objectPath(key string) (string, error) {
	if err := stores.CheckKey(key); err != nil {
		return "", err
	}
	image, upload, _ := stores.SplitKey(key)
	return filepath.Join(s.dir, objectsName, image, upload), nil
}

// lockObjects makes commits and deletes exclude each other, so that none finds
// a folder vanish under it, or a key taken between the look and the rename.
func (s *Store) lockObjects() (unlock func(), err error) {
	f, err := os.Open(filepath.Join(s.dir, objectsName))
	if err != nil {
		return nil, storeError(err, "lock the objects")
	}
	release, err := fsutil.Lock(f)
	if err != nil {
		f.Close()
		return nil, storeError(err, "lock the objects")
	}
	return func() { release(); f.Close() }, nil
}

func (s *Store) at(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &os.PathError{Op: "decode", Path: path, Err: err}
	}
	return nil
}
