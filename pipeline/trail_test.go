package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/stores"
	"ingest/stores/fs"
)

// A spoiled store changes what it is given, or loses it, and counts what is read back
// before and after the seal.
type spoiled struct {
	*fs.Store
	write         func(p []byte, off int64) []byte // nil leaves the bytes as they are
	gone          atomic.Int64                     // nothing is written from here on; 0 for nowhere
	before, after atomic.Int64
}

var errGone = errors.New("the store is gone")

func (s *spoiled) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	return s.wrap(s.Store.Begin(ctx, key, size))
}

func (s *spoiled) Resume(ctx context.Context, id string) (stores.Upload, error) {
	return s.wrap(s.Store.Resume(ctx, id))
}

func (s *spoiled) wrap(up stores.Upload, err error) (stores.Upload, error) {
	if err != nil {
		return nil, err
	}
	return spoiledUpload{up, s}, nil
}

type spoiledUpload struct {
	stores.Upload
	s *spoiled
}

func (u spoiledUpload) WriteAt(p []byte, off int64) (int, error) {
	if gone := u.s.gone.Load(); gone > 0 && off >= gone {
		return 0, errGone
	}
	if u.s.write == nil {
		return u.Upload.WriteAt(p, off)
	}
	if _, err := u.Upload.WriteAt(u.s.write(append([]byte(nil), p...), off), off); err != nil {
		return 0, err
	}
	return len(p), nil
}

type counted struct {
	io.ReaderAt
	n *atomic.Int64
}

func (c counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

func (c counted) NextData(off int64) (int64, int64, error) {
	return c.ReaderAt.(interface {
		NextData(off int64) (int64, int64, error)
	}).NextData(off)
}

func (u spoiledUpload) Written() (io.ReaderAt, error) {
	r, err := u.Upload.(stores.Rereader).Written()
	return counted{r, &u.s.before}, err
}

func (u spoiledUpload) ReaderAt() (io.ReaderAt, error) {
	r, err := u.Upload.ReaderAt()
	return counted{r, &u.s.after}, err
}

// TestReadBackBehindTheWriting converts with a store that gives back what it was given,
// and with ones that do not.
func TestReadBackBehindTheWriting(t *testing.T) {
	const size, data = 24 << 20, 9<<20 + 4096
	src := imgtest.WriteRaw(t, imgtest.New(size, 3, imgtest.Run{Off: 4 << 20, Len: data, Kind: imgtest.Noise}))
	flip := func(at int64) func([]byte, int64) []byte {
		return func(p []byte, off int64) []byte {
			if off <= at && at < off+int64(len(p)) {
				p[at-off] ^= 1
			}
			return p
		}
	}
	for name, c := range map[string]struct {
		level  string
		format string
		write  func([]byte, int64) []byte
		ahead  bool // it is read behind the writing, and then no more
		want   errcode.Code
	}{
		"good":               {"stored", "raw", nil, true, ""},
		"good, full":         {"full", "raw", nil, false, ""},
		"good, qcow2":        {"stored", "qcow2", nil, false, ""},
		"damaged":            {"stored", "raw", flip(5 << 20), false, errcode.VerifyMismatch},
		"damaged at the end": {"stored", "raw", flip(4<<20 + data - 1), false, errcode.VerifyMismatch},
		"damaged, full":      {"full", "raw", flip(5 << 20), false, errcode.VerifyMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newPipeline(t, filepath.Dir(src))
			p.VerifyMinimum = contract.VerifyNone
			store := &spoiled{Store: p.Stores[p.DefaultStore].(*fs.Store), write: c.write}
			p.Stores[p.DefaultStore] = store
			j := newJob(src, contract.TargetSpec{Format: c.format})
			j.verify = c.level
			if err := j.run(t, p); errcode.Of(err) != c.want {
				t.Fatalf("import: %v, want %q", err, c.want)
			}
			if got := store.before.Load() >= data && store.after.Load() == 0; got != c.ahead {
				t.Errorf("%d bytes read before the seal, %d after it", store.before.Load(), store.after.Load())
			}
			if c.want == "" {
				if got := "sha256:" + j.checksummed.HashValue; got != sha256Of(t, objectFile(t, p, j, ".bin")) || j.checksummed.Verify != c.level {
					t.Errorf("verified %+v", j.checksummed)
				}
			}
		})
	}
}

// TestBytesWhereZerosBelong writes into what the source has no data for.
func TestBytesWhereZerosBelong(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.New(24<<20, 3, imgtest.Run{Off: 4 << 20, Len: 1 << 20, Kind: imgtest.Noise}))
	p, _ := newPipeline(t, filepath.Dir(src))
	p.VerifyMinimum = contract.VerifyNone
	store := &strayStore{p.Stores[p.DefaultStore].(*fs.Store)}
	p.Stores[p.DefaultStore] = store
	j := newJob(src, contract.TargetSpec{Format: "raw"})
	j.verify = contract.VerifyStored
	if err := j.run(t, p); errcode.Of(err) != errcode.VerifyMismatch {
		t.Errorf("import: %v", err)
	}
}

// A strayStore writes beside what it is given.
type strayStore struct{ *fs.Store }

func (s strayStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	up, err := s.Store.Begin(ctx, key, size)
	if err == nil {
		_, err = up.WriteAt([]byte{1}, 17<<20)
	}
	return up, err
}

// TestResumedIsReadBackWhole stops a conversion and lets another one end it.
func TestResumedIsReadBackWhole(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.New(64<<20, 3, imgtest.Run{Len: 60 << 20, Kind: imgtest.Noise}))
	p, _ := newPipeline(t, filepath.Dir(src))
	p.VerifyMinimum = contract.VerifyNone
	store := &spoiled{Store: p.Stores[p.DefaultStore].(*fs.Store)}
	p.Stores[p.DefaultStore] = store
	j := newJob(src, contract.TargetSpec{Format: "raw"})
	j.verify = contract.VerifyStored
	var err error
	if j.fetched, err = p.Fetch(t.Context(), j.fetchParams(), nil); err != nil {
		t.Fatal(err)
	}
	if err := j.check(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	store.gone.Store(40 << 20)
	if _, err := p.Convert(t.Context(), j.convertParams(), nil); !errors.Is(err, errGone) {
		t.Fatalf("converted with a store that is gone: %v", err)
	}
	store.gone.Store(0)
	if j.converted, err = p.Convert(t.Context(), j.convertParams(), nil); err != nil {
		t.Fatal(err)
	}
	store.after.Store(0)
	if _, err := p.Checksum(t.Context(), j.checksumParams(), nil, nil); err != nil || store.after.Load() < 60<<20 {
		t.Errorf("%d bytes read back, %v; resumed: %v", store.after.Load(), err, j.converted.Sums.Resumed)
	}
}

// A lateStore reads nothing back before it is let.
type lateStore struct {
	*fs.Store
	may chan struct{}
}

func (s *lateStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	up, err := s.Store.Begin(ctx, key, size)
	return lateUpload{up, s.may}, err
}

type lateUpload struct {
	stores.Upload
	may chan struct{}
}

func (u lateUpload) Written() (io.ReaderAt, error) {
	r, err := u.Upload.(stores.Rereader).Written()
	return lateReader{counted{r, new(atomic.Int64)}, u.may}, err
}

type lateReader struct {
	counted
	may chan struct{}
}

func (r lateReader) ReadAt(p []byte, off int64) (int, error) {
	<-r.may
	return r.counted.ReadAt(p, off)
}

// TestReadingThatFallsBehind has the reading wait until all is written: the conversion
// shows that it lives, and ends when it is to end.
func TestReadingThatFallsBehind(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.New(16<<20, 3, imgtest.Run{Len: 16 << 20, Kind: imgtest.Noise}))
	for _, cancelled := range []bool{false, true} {
		p, _ := newPipeline(t, filepath.Dir(src))
		p.VerifyMinimum = contract.VerifyNone
		store := &lateStore{p.Stores[p.DefaultStore].(*fs.Store), make(chan struct{})}
		p.Stores[p.DefaultStore] = store
		j := newJob(src, contract.TargetSpec{Format: "raw"})
		j.verify = contract.VerifyStored
		var err error
		if j.fetched, err = p.Fetch(t.Context(), j.fetchParams(), nil); err != nil {
			t.Fatal(err)
		}
		if err := j.check(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var once sync.Once
		out, err := p.Convert(ctx, j.convertParams(), func(_, _ int64, hint []byte) {
			if !bytes.HasPrefix(hint, []byte(`{"reread"`)) {
				return
			}
			if cancelled {
				cancel()
			}
			once.Do(func() { close(store.may) })
		})
		switch {
		case cancelled && !errors.Is(err, context.Canceled):
			t.Errorf("cancelled: %v", err)
		case !cancelled && (err != nil || !out.Sums.ReadBack):
			t.Errorf("%+v, %v", out.Sums, err)
		}
	}
}
