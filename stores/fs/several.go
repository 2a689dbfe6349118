package fs

import (
	"cmp"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// A Folder is one of several that make a store.
type Folder struct {
	Dir string
	// Weight says which folders are filled first: those of the greatest weight that
	// have room, and among them the one with the most.
	Weight int
}

// A Several is one store in several folders, such as one for each disk. An upload,
// and the object that it becomes, lies in one of them as a whole.
type Several struct {
	name    string
	folders []*Store // the heaviest first
	weights []int
}

var (
	_ stores.Store   = (*Several)(nil)
	_ stores.Finder  = (*Several)(nil)
	_ stores.Objects = (*Several)(nil)
	_ stores.Remains = (*Several)(nil)
	_ stores.Space   = (*Several)(nil)
	_ stores.Opener  = (*Several)(nil)
	_ stores.Placed  = (*Several)(nil)
)

// OpenSeveral opens a store in several folders, which it makes. A folder may be
// added later; one that is left out takes its objects out of sight.
func OpenSeveral(folders []Folder, name string) (*Several, error) {
	s := &Several{name: name}
	folders = slices.Clone(folders)
	slices.SortStableFunc(folders, func(a, b Folder) int { return cmp.Compare(b.Weight, a.Weight) })
	for _, f := range folders {
		one, err := Open(f.Dir, name)
		if err != nil {
			return nil, err
		}
		s.folders, s.weights = append(s.folders, one), append(s.weights, f.Weight)
	}
	if len(folders) == 0 {
		return nil, errcode.New(errcode.BadRequest, "store %s has no folder", name)
	}
	return s, nil
}

// Name returns the operator's name for the store.
func (s *Several) Name() string { return s.name }

// Local reports that the objects lie on this host.
func (s *Several) Local() bool { return true }

// Free returns the bytes that can still be written into all folders together;
// those on one file system count once.
func (s *Several) Free(ctx context.Context) (int64, error) {
	var sum int64
	seen := map[uint64]bool{}
	for _, f := range s.folders {
		fi, err := os.Stat(f.dir)
		if err != nil {
			return 0, storeError(err, "read the free space")
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			if seen[st.Dev] {
				continue
			}
			seen[st.Dev] = true
		}
		n, err := f.Free(ctx)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Begin starts an upload in the folder that is to be filled next.
func (s *Several) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	f, err := s.next(ctx, size)
	if err != nil {
		return nil, err
	}
	u, err := f.Begin(ctx, key, size)
	return s.wrap(f, u, err)
}

// next chooses a folder: the heaviest in which size bytes fit for sure, else, since
// holes take no room, the heaviest that is not full.
func (s *Several) next(ctx context.Context, size int64) (*Store, error) {
	free := make([]int64, len(s.folders))
	var failed error
	for i, f := range s.folders {
		n, err := f.Free(ctx)
		if err != nil {
			n, failed = -1, err
		}
		free[i] = n
	}
	for _, need := range []int64{max(size, MinFree), MinFree, 0} {
		best := -1
		for i := range s.folders {
			if free[i] < need || best >= 0 && (s.weights[i] < s.weights[best] || free[i] <= free[best]) {
				continue
			}
			best = i
		}
		if best >= 0 {
			return s.folders[best], nil
		}
	}
	return nil, failed
}

// Resume takes an upload up again, wherever it lies.
func (s *Several) Resume(ctx context.Context, id string) (stores.Upload, error) {
	unknown := stores.Unknown(id)
	for _, f := range s.folders {
		u, err := f.Resume(ctx, id)
		if errcode.Of(err) == errcode.UploadUnknown {
			continue
		}
		return s.wrap(f, u, err)
	}
	return nil, unknown
}

// Discard throws an upload away, wherever it lies.
func (s *Several) Discard(ctx context.Context, id string) error {
	for _, f := range s.folders {
		if err := f.Discard(ctx, id); errcode.Of(err) != errcode.UploadUnknown {
			return err
		}
	}
	return stores.Unknown(id)
}

// Find returns the id of the upload that was begun for key.
func (s *Several) Find(ctx context.Context, key string) (string, error) {
	var id string
	var newest time.Time
	for _, f := range s.folders {
		found, err := f.Find(ctx, key)
		if errcode.Of(err) == errcode.UploadUnknown {
			continue
		}
		if err != nil {
			return "", err
		}
		fi, err := os.Stat(filepath.Join(f.uploadDir(found), manifestName))
		if err != nil { // committed
			return found, nil
		}
		if id == "" || fi.ModTime().After(newest) {
			id, newest = found, fi.ModTime()
		}
	}
	if id == "" {
		return "", errcode.New(errcode.UploadUnknown, "there is no upload for %s", key)
	}
	return id, nil
}

// Uploads yields those of all folders.
func (s *Several) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return chain(s.folders, func(f *Store) iter.Seq2[stores.UploadInfo, error] { return f.Uploads(ctx, before) })
}

// Objects yields those of all folders, each folder's ordered by key.
func (s *Several) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return chain(s.folders, func(f *Store) iter.Seq2[stores.ObjectInfo, error] { return f.Objects(ctx) })
}

// Remains yields those of all folders.
func (s *Several) Remains(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return chain(s.folders, func(f *Store) iter.Seq2[stores.ObjectInfo, error] { return f.Remains(ctx) })
}

// Stat returns what is known of a committed object.
func (s *Several) Stat(ctx context.Context, key string) (stores.ObjectInfo, error) {
	_, info, err := s.locate(ctx, key)
	return info, err
}

// OpenRange reads from a committed object.
func (s *Several) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	f, _, err := s.locate(ctx, key)
	if err != nil {
		return nil, err
	}
	return f.OpenRange(ctx, key, off, n)
}

// Open opens a committed object.
func (s *Several) Open(ctx context.Context, key string) (stores.Object, error) {
	f, _, err := s.locate(ctx, key)
	if err != nil {
		return nil, err
	}
	return f.Open(ctx, key)
}

// Delete removes a committed object, and what a crash has left of one anywhere.
func (s *Several) Delete(ctx context.Context, key string) error {
	for _, f := range s.folders {
		if err := f.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// locate finds the folder of a committed object. That one folder cannot be read is
// no proof that the object is gone.
func (s *Several) locate(ctx context.Context, key string) (*Store, stores.ObjectInfo, error) {
	var missing, failed error
	for _, f := range s.folders {
		info, err := f.Stat(ctx, key)
		switch {
		case err == nil:
			return f, info, nil
		case errcode.Of(err) == errcode.NotFound:
			missing = err
		default:
			failed = err
		}
	}
	return nil, stores.ObjectInfo{}, cmp.Or(failed, missing)
}

// wrap makes a folder's upload one of the store.
func (s *Several) wrap(f *Store, u stores.Upload, err error) (stores.Upload, error) {
	if err != nil {
		return nil, err
	}
	return &severalUpload{Upload: u, s: s, in: f, key: keyOf(u)}, nil
}

func keyOf(u stores.Upload) string {
	key, _ := stores.KeyOfID(u.ID())
	return key
}

// A severalUpload takes its key in all folders.
type severalUpload struct {
	stores.Upload
	s   *Several
	in  *Store
	key string
}

// Mark keeps a note without waiting for the disk.
func (u *severalUpload) Mark(ctx context.Context, note []byte) error {
	return u.Upload.(stores.Marker).Mark(ctx, note)
}

// Commit makes the bytes visible, unless another folder has an object of that key.
func (u *severalUpload) Commit(ctx context.Context, want stores.Digest) error {
	unlock, err := u.s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, f := range u.s.folders {
		if f == u.in {
			continue
		}
		switch _, err := f.Stat(ctx, u.key); errcode.Of(err) {
		case errcode.NotFound:
		case "":
			return errcode.New(errcode.Conflict, "there is an object %s from another upload", u.key)
		default:
			return err
		}
	}
	return u.Upload.Commit(ctx, want)
}

// lock makes commits in different folders exclude each other, in all processes: the
// lock is that of the first folder's uploads, which nothing else takes.
func (s *Several) lock() (func(), error) {
	first := slices.MinFunc(s.folders, func(a, b *Store) int { return cmp.Compare(a.dir, b.dir) })
	f, err := os.Open(filepath.Join(first.dir, uploadsName))
	if err != nil {
		return nil, storeError(err, "lock the uploads")
	}
	release, err := fsutil.Lock(f)
	if err != nil {
		f.Close()
		return nil, storeError(err, "lock the uploads")
	}
	return func() { release(); f.Close() }, nil
}

// chain yields what the folders have, one after the other.
func chain[T any](folders []*Store, list func(*Store) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, f := range folders {
			for v, err := range list(f) {
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
	}
}
