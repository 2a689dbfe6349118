package http

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/stores"
)

// A Store reads objects from a web server.
type Store struct {
	name, base, credential string
	client                 sources.Driver

	mu   sync.Mutex
	pins map[string]sources.Pin // by key: what the last look found
}

var (
	_ stores.Store    = (*Store)(nil)
	_ stores.Opener   = (*Store)(nil)
	_ stores.ReadOnly = (*Store)(nil)
)

// maxPins bounds how many versions are remembered; beyond it all are looked at anew.
const maxPins = 10000

// New returns the store below a base URL, which client reads with the named
// credential, "" for none. Nothing is asked of the server yet.
func New(name, base, credential string, client sources.Driver) *Store {
	return &Store{name: name, base: strings.TrimRight(base, "/"), credential: credential, client: client, pins: map[string]sources.Pin{}}
}

// Name returns the operator's name for the store.
func (s *Store) Name() string { return s.name }

// ReadOnly says that nothing can be written here.
func (s *Store) ReadOnly() bool { return true }

// Begin is refused.
func (s *Store) Begin(_ context.Context, key string, _ int64) (stores.Upload, error) {
	if err := stores.CheckKey(key); err != nil {
		return nil, err
	}
	return nil, errcode.New(errcode.StoreReadOnly, "store %s is read from a web server and takes no bytes", s.name)
}

// Resume knows no upload.
func (s *Store) Resume(_ context.Context, id string) (stores.Upload, error) {
	return nil, stores.Unknown(id)
}

// Uploads yields nothing.
func (s *Store) Uploads(context.Context, time.Time) iter.Seq2[stores.UploadInfo, error] {
	return func(func(stores.UploadInfo, error) bool) {}
}

// Stat looks at an object anew. Its digest and the time of its commit are not known.
func (s *Store) Stat(ctx context.Context, key string) (stores.ObjectInfo, error) {
	if err := stores.CheckObject(key); err != nil {
		return stores.ObjectInfo{}, err
	}
	s.forget(key)
	src, err := s.open(ctx, key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	defer src.Close()
	return stores.ObjectInfo{Key: key, Size: src.Pin().Size, Allocated: -1}, nil
}

// OpenRange reads n bytes from off of an object, to its end if n < 0.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	src, err := s.open(ctx, key)
	if err != nil {
		return nil, err
	}
	r, err := s.body(ctx, key, src, off, n)
	if err != nil {
		return nil, errors.Join(s.failed(ctx, key, err), src.Close())
	}
	return r, nil
}

func (s *Store) body(ctx context.Context, key string, src sources.Source, off, n int64) (io.ReadCloser, error) {
	size := src.Pin().Size
	if off < 0 || off > size {
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the object of %d bytes", off, size)
	}
	if left := size - off; n < 0 || n > left {
		n = left
	}
	switch {
	case n == 0:
		return &body{s: s, ctx: ctx, key: key, r: strings.NewReader(""), src: src}, nil
	case off+n == size:
		r, err := src.Stream(ctx, off)
		return &body{s: s, ctx: ctx, key: key, r: r, src: src, stream: r}, err
	}
	r, err := src.ReaderAt(ctx)
	if err != nil {
		return nil, err
	}
	return &body{s: s, ctx: ctx, key: key, r: io.NewSectionReader(r, off, n), src: src}, nil
}

// Open returns an object for reads at random, of one version.
func (s *Store) Open(ctx context.Context, key string) (stores.Object, error) {
	src, err := s.open(ctx, key)
	if err != nil {
		return nil, err
	}
	r, err := src.ReaderAt(ctx)
	if err != nil {
		return nil, errors.Join(s.failed(ctx, key, err), src.Close())
	}
	return &object{s: s, ctx: ctx, key: key, r: r, src: src}, nil
}

// Delete forgets the object.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := stores.CheckObject(key); err != nil {
		return err
	}
	s.forget(key)
	return nil
}

// open opens the version of the object that was seen last, or whichever there is.
func (s *Store) open(ctx context.Context, key string) (sources.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stores.CheckObject(key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	var pin *sources.Pin
	if p, ok := s.pins[key]; ok {
		pin = &p
	}
	s.mu.Unlock()
	src, err := s.client.Open(ctx, sources.Ref{URL: s.base + "/" + key, Credential: s.credential}, pin)
	if err != nil {
		return nil, s.failed(ctx, key, err)
	}
	got := src.Pin()
	if got.Size < 0 || got.Size > 0 && !got.Random {
		return nil, errors.Join(errcode.New(errcode.StoreUnsuitable, "the server of store %s gives no length, no ranges or no ETag and no date", s.name), src.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pins) >= maxPins {
		clear(s.pins)
	}
	s.pins[key] = got
	return src, nil
}

func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pins, key)
}

// failed gives an error of the client the code that it has in a store. The next read
// looks afresh.
func (s *Store) failed(ctx context.Context, key string, err error) error {
	if err == nil || ctx.Err() != nil || errcode.Of(err) == errcode.RangeInvalid {
		return err
	}
	s.forget(key)
	switch errcode.Of(err) {
	case errcode.SourceNotFound:
		return errcode.Wrap(err, errcode.NotFound, "the store has no object %s", key)
	case errcode.SourceChanged:
		return errcode.Wrap(err, errcode.StoreUnavailable, "the object %s in store %s is another one than it was", key, s.name)
	}
	return errcode.Wrap(err, errcode.StoreUnavailable, "store %s: the web server refuses", s.name)
}

// A body is a range of an object.
type body struct {
	s      *Store
	ctx    context.Context
	key    string
	r      io.Reader
	stream io.Closer // nil if there is none
	src    sources.Source
}

// Read reads on; what ends before its length is an error, by the source's word.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = b.s.failed(b.ctx, b.key, err)
	}
	return n, err
}

func (b *body) Close() error {
	if b.stream != nil {
		return errors.Join(b.stream.Close(), b.src.Close())
	}
	return b.src.Close()
}

// An object is read at random.
type object struct {
	s   *Store
	ctx context.Context
	key string
	r   io.ReaderAt
	src sources.Source
}

func (o *object) Size() int64 { return o.src.Pin().Size }

func (o *object) Close() error { return o.src.Close() }

// ReadAt reads from the version that was opened.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = o.s.failed(o.ctx, o.key, err)
	}
	return n, err
}
