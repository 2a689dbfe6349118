package mem

import (
	"cmp"
	"context"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A Store keeps objects in memory.
type Store struct {
	name string

	mu       sync.RWMutex // guards everything below, and every body
	capacity int64        // bytes of pages, math.MaxInt64 unless limited
	used     int64
	uploads  map[string]*body // by id; a committed one stays until its object is deleted
	objects  map[string]*body // by key
}

var (
	_ stores.Store   = (*Store)(nil)
	_ stores.Objects = (*Store)(nil)
	_ stores.Space   = (*Store)(nil)
	_ stores.Placed  = (*Store)(nil)
)

// New returns an empty store. name is the operator's name for it.
func New(name string) *Store {
	return &Store{name: name, capacity: math.MaxInt64, uploads: map[string]*body{}, objects: map[string]*body{}}
}

// SetCapacity limits the pages that the store takes, in bytes. Writes beyond
// it fail with errcode.NoSpace.
func (s *Store) SetCapacity(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = bytes
}

// Name returns the operator's name for the store.
func (s *Store) Name() string { return s.name }

// Local says that objects are in this process.
func (s *Store) Local() bool { return true }

// Free returns the bytes that can still be written.
func (s *Store) Free(context.Context) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return max(s.capacity-s.used, 0), nil
}

// Begin starts an upload. It refuses with errcode.NoSpace when nothing is free.
func (s *Store) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stores.CheckKey(key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.capacity && size != 0 {
		return nil, errcode.New(errcode.NoSpace, "the store is full")
	}
	b := &body{s: s, id: stores.NewID(key), key: key, size: -1, gen: 1, touched: time.Now(), pages: map[int64]*page{}}
	s.uploads[b.id] = b
	return &upload{b: b, gen: b.gen}, nil
}

// Resume takes an upload up again and fences older handles.
func (s *Store) Resume(ctx context.Context, id string) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.uploads[id]
	if b == nil {
		return nil, stores.Unknown(id)
	}
	if b.committed == nil {
		b.gen++
		b.touched = time.Now()
	}
	return &upload{b: b, gen: b.gen}, nil
}

// Uploads yields the uploads that were last touched before the given time.
func (s *Store) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return func(yield func(stores.UploadInfo, error) bool) {
		for _, b := range s.snapshot(s.uploads) {
			if err := ctx.Err(); err != nil {
				yield(stores.UploadInfo{}, err)
				return
			}
			s.mu.RLock()
			info := stores.UploadInfo{ID: b.id, Key: b.key, Touched: b.touched, Bytes: b.allocated()}
			listed := b.committed == nil && b.touched.Before(before)
			s.mu.RUnlock()
			if listed && !yield(info, nil) {
				return
			}
		}
	}
}

// Objects yields every committed object, ordered by key.
func (s *Store) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return func(yield func(stores.ObjectInfo, error) bool) {
		for _, b := range s.snapshot(s.objects) {
			if err := ctx.Err(); err != nil {
				yield(stores.ObjectInfo{}, err)
				return
			}
			if !yield(*b.committed, nil) {
				return
			}
		}
	}
}

func (s *Store) snapshot(m map[string]*body) []*body {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m), func(a, b *body) int { return cmp.Compare(a.key+a.id, b.key+b.id) })
}

// Stat returns what is known of a committed object.
func (s *Store) Stat(ctx context.Context, key string) (stores.ObjectInfo, error) {
	b, err := s.object(ctx, key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	return *b.committed, nil
}

// OpenRange reads n bytes from off of a committed object, to its end if n < 0.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	if off < 0 || off > b.size {
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the object of %d bytes", off, b.size)
	}
	if left := b.size - off; n < 0 || n > left {
		n = left
	}
	return io.NopCloser(io.NewSectionReader(&reader{b}, off, n)), nil
}

func (s *Store) object(ctx context.Context, key string) (*body, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stores.CheckKey(key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.objects[key]
	if b == nil {
		return nil, errcode.New(errcode.NotFound, "the store has no object %s", key)
	}
	return b, nil
}

// Delete removes a committed object.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := stores.CheckKey(key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.objects[key]; b != nil {
		delete(s.objects, key)
		delete(s.uploads, b.id)
		s.used -= b.allocated()
	}
	return nil
}
