// Package faultstore is a store for tests that fails now and then. It wraps a real
// one: every n-th call ends with errcode.StoreUnavailable, in turn before it has done
// anything and behind its work, as if the answer were lost. Readers break off in the
// middle.
package faultstore

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A Store fails every n-th call. It is safe for concurrent use.
type Store struct {
	stores.Store
	every  atomic.Int64
	calls  atomic.Int64
	failed atomic.Int64
}

var (
	_ stores.Store   = (*Store)(nil)
	_ stores.Finder  = (*Store)(nil)
	_ stores.Objects = (*Store)(nil)
)

// New wraps a store, of which each n-th call fails; 0 means none.
func New(s stores.Store, n int64) *Store {
	f := &Store{Store: s}
	f.FailEvery(n)
	return f
}

// FailEvery lets each n-th call fail from here on; 0 means none.
func (s *Store) FailEvery(n int64) { s.every.Store(n) }

// Failed returns how many calls have failed.
func (s *Store) Failed() int64 { return s.failed.Load() }

// fault says what becomes of a call: whether it fails, and if so behind its work.
func (s *Store) fault() (fails, behind bool) {
	n, every := s.calls.Add(1), s.every.Load()
	if every <= 0 || n%every != 0 {
		return false, false
	}
	return true, s.failed.Add(1)%2 == 0
}

func unavailable(what string) error {
	return errcode.New(errcode.StoreUnavailable, "the store fails on purpose: %s", what)
}

// call runs fn, or not, and loses its answer, or not.
func (s *Store) call(what string, fn func() error) error {
	fails, behind := s.fault()
	if fails && !behind {
		return unavailable(what)
	}
	if err := fn(); err != nil || !fails {
		return err
	}
	return unavailable("answer of " + what)
}

// Begin implements stores.Store.
func (s *Store) Begin(ctx context.Context, key string, size int64) (u stores.Upload, err error) {
	return s.open("begin", func() (stores.Upload, error) { return s.Store.Begin(ctx, key, size) })
}

// BeginUpTo implements stores.Bounded, as the wrapped store does or does not.
func (s *Store) BeginUpTo(ctx context.Context, key string, most int64) (stores.Upload, error) {
	return s.open("begin", func() (stores.Upload, error) { return stores.BeginUpTo(ctx, s.Store, key, most) })
}

// Resume implements stores.Store.
func (s *Store) Resume(ctx context.Context, id string) (stores.Upload, error) {
	return s.open("resume", func() (stores.Upload, error) { return s.Store.Resume(ctx, id) })
}

func (s *Store) open(what string, fn func() (stores.Upload, error)) (u stores.Upload, err error) {
	err = s.call(what, func() error { u, err = fn(); return err })
	if err != nil {
		if u != nil {
			_ = u.Close() // begun, and its answer is lost
		}
		return nil, err
	}
	return &upload{Upload: u, s: s}, nil
}

// Find implements stores.Finder; the wrapped store must.
func (s *Store) Find(ctx context.Context, key string) (id string, err error) {
	err = s.call("find", func() error {
		f, ok := s.Store.(stores.Finder)
		if !ok {
			return errcode.New(errcode.UploadUnknown, "the store finds no uploads")
		}
		id, err = f.Find(ctx, key)
		return err
	})
	return id, err
}

// Stat implements stores.Store.
func (s *Store) Stat(ctx context.Context, key string) (info stores.ObjectInfo, err error) {
	err = s.call("stat", func() error { info, err = s.Store.Stat(ctx, key); return err })
	return info, err
}

// OpenRange implements stores.Store. What fails behind its work breaks off half-way.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	fails, behind := s.fault()
	if fails && !behind {
		return nil, unavailable("open")
	}
	r, err := s.Store.OpenRange(ctx, key, off, n)
	if err != nil || !fails {
		return r, err
	}
	return &broken{ReadCloser: r, left: max(n, 2) / 2}, nil
}

// Delete implements stores.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.call("delete", func() error { return s.Store.Delete(ctx, key) })
}

// Uploads implements stores.Store, and does not fail: it is how tests look for what
// is left.
func (s *Store) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return s.Store.Uploads(ctx, before)
}

// Objects implements stores.Objects, and does not fail. A store that lists none has
// none.
func (s *Store) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	if o, ok := s.Store.(stores.Objects); ok {
		return o.Objects(ctx)
	}
	return func(func(stores.ObjectInfo, error) bool) {}
}

// broken gives so many bytes and then fails.
type broken struct {
	io.ReadCloser
	left int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, unavailable("read")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// upload fails as its store does.
type upload struct {
	stores.Upload
	s *Store
}

func (u *upload) WriteAt(p []byte, off int64) (n int, err error) {
	err = u.s.call("write", func() error { n, err = u.Upload.WriteAt(p, off); return err })
	return n, err
}

func (u *upload) Checkpoint(ctx context.Context, note []byte) error {
	return u.s.call("checkpoint", func() error { return u.Upload.Checkpoint(ctx, note) })
}

func (u *upload) Seal(ctx context.Context, size int64) error {
	return u.s.call("seal", func() error { return u.Upload.Seal(ctx, size) })
}

func (u *upload) Commit(ctx context.Context, want stores.Digest) error {
	return u.s.call("commit", func() error { return u.Upload.Commit(ctx, want) })
}

func (u *upload) Abort(ctx context.Context) error {
	return u.s.call("abort", func() error { return u.Upload.Abort(ctx) })
}
