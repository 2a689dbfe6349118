package storetest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A Harness gives the suite its stores.
type Harness struct {
	// New returns a fresh, empty store. What it needs is released by tb.Cleanup.
	New func(tb testing.TB) stores.Store
	// Reopen returns another store over the same data, as the next process
	// would have it. nil if the data does not outlive the store.
	Reopen func(tb testing.TB, s stores.Store) stores.Store
	// Leftovers lists what is in the store by the driver's own means: files,
	// parts, records. It is called when all objects and uploads are gone.
	Leftovers func(tb testing.TB, s stores.Store) []string
	// MaxSize is the largest object that the suite may make, bytes, of a store
	// that keeps no holes. 0 means one that does, and takes 5 TiB.
	MaxSize int64
	// Buffers: what is written reaches the store with a Checkpoint.
	Buffers bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"life of an upload", testLife},
		{"invisible before the commit", testInvisible},
		{"resume at a checkpoint", testResume},
		{"marks", testMarks},
		{"resume when sealed", testResumeSealed},
		{"resume when committed", testResumeCommitted},
		{"resume of an unknown upload", testUnknown},
		{"fencing", testFencing},
		{"fencing on every change", testFencingEverywhere},
		{"commit twice", testCommitTwice},
		{"commit needs a seal and the right size", testCommitRefused},
		{"commit on a key that is taken", testKeyTaken},
		{"seal twice", testSealTwice},
		{"seal cuts and extends", testSealSize},
		{"sealed bytes are immutable", testImmutable},
		{"abort", testAbort},
		{"discard", testDiscard},
		{"abort after close and after commit", testAbortLate},
		{"ended context", testContext},
		{"holes", testHoles},
		{"read while it is written", testWritten},
		{"concurrent writes", testConcurrent},
		{"offsets beyond 4 GiB", testLarge},
		{"ranges", testRanges},
		{"delete", testDelete},
		{"keys", testKeys},
		{"reaper's list", testUploads},
		{"list of objects", testObjects},
		{"closed handle", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{TB: t, h: h, s: h.New(t), ctx: t.Context()}
			tt.run(f)
			if !t.Failed() {
				f.checkEmpty()
			}
		})
	}
}

// fixture is one test's store and the short forms of what tests do with it.
type fixture struct {
	testing.TB
	h   Harness
	s   stores.Store
	ctx context.Context
}

func (f *fixture) checkEmpty() {
	f.Helper()
	ctx := context.Background()
	for u, err := range f.s.Uploads(ctx, time.Now().Add(time.Hour)) {
		f.Errorf("upload left behind: %+v, %v", u, err)
	}
	if l, ok := f.s.(stores.Objects); ok {
		for o, err := range l.Objects(ctx) {
			f.Errorf("object left behind: %+v, %v", o, err)
		}
	}
	for _, what := range f.h.Leftovers(f, f.s) {
		f.Errorf("left behind: %s", what)
	}
}

// next returns the store as the next process sees it.
func (f *fixture) next() stores.Store {
	if f.h.Reopen == nil {
		return f.s
	}
	return f.h.Reopen(f, f.s)
}

func newKey() string { return stores.NewKey(uuid.NewString(), uuid.NewString()) }

func (f *fixture) begin(key string, size int64) stores.Upload {
	f.Helper()
	u, err := f.s.Begin(f.ctx, key, size)
	if err != nil {
		f.Fatalf("Begin: %v", err)
	}
	f.Cleanup(func() { _ = u.Close() })
	return u
}

func (f *fixture) resume(s stores.Store, id string) stores.Upload {
	f.Helper()
	u, err := s.Resume(f.ctx, id)
	if err != nil {
		f.Fatalf("Resume: %v", err)
	}
	f.Cleanup(func() { _ = u.Close() })
	return u
}

func (f *fixture) write(u stores.Upload, off int64, p []byte) {
	f.Helper()
	if n, err := u.WriteAt(p, off); n != len(p) || err != nil {
		f.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
	}
}

// sealed begins an upload of the given bytes and seals it.
func (f *fixture) sealed(key string, p []byte) stores.Upload {
	f.Helper()
	u := f.begin(key, int64(len(p)))
	f.write(u, 0, p)
	f.must("Seal", u.Seal(f.ctx, int64(len(p))))
	return u
}

func (f *fixture) commit(u stores.Upload, size int64) {
	f.Helper()
	f.must("Commit", u.Commit(f.ctx, digest(size)))
}

func (f *fixture) delete(keys ...string) {
	f.Helper()
	for _, key := range keys {
		f.must("Delete", f.s.Delete(context.Background(), key))
	}
}

func (f *fixture) must(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

func (f *fixture) wantCode(what string, err error, want errcode.Code) {
	f.Helper()
	if got := errcode.Of(err); got != want {
		f.Errorf("%s: code %q (%v), want %q", what, got, err, want)
	}
}

// wantObject compares a committed object, whole, with p.
func (f *fixture) wantObject(s stores.Store, key string, p []byte) {
	f.Helper()
	info, err := s.Stat(f.ctx, key)
	f.must("Stat", err)
	if info.Key != key || info.Size != int64(len(p)) || info.Digest != digest(int64(len(p))) || info.Committed.IsZero() {
		f.Errorf("Stat = %+v, want key %s, %d bytes, their digest and a time", info, key, len(p))
	}
	if got := f.readRange(s, key, 0, -1); !bytes.Equal(got, p) {
		f.Errorf("the object's %d bytes differ from the %d that were written", len(got), len(p))
	}
}

func (f *fixture) readRange(s stores.Store, key string, off, n int64) []byte {
	f.Helper()
	r, err := s.OpenRange(f.ctx, key, off, n)
	f.must("OpenRange", err)
	defer r.Close()
	b, err := io.ReadAll(r)
	f.must("read range", err)
	return b
}

// wantBytes compares what a sealed upload holds at off with p.
func (f *fixture) wantBytes(u stores.Upload, off int64, p []byte) {
	f.Helper()
	r, err := u.ReaderAt()
	f.must("ReaderAt", err)
	got := bytes.Repeat([]byte{0xaa}, len(p))
	if n, err := r.ReadAt(got, off); n != len(p) || (err != nil && err != io.EOF) {
		f.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
	}
	if !bytes.Equal(got, p) {
		f.Errorf("the sealed bytes at %d differ from what was written", off)
	}
}

// digest is some digest that is different for each size.
func digest(size int64) stores.Digest {
	return stores.Digest{Algo: "sha256", Hex: string(rune('a'+size%6)) + "0", Size: size}
}

// pattern returns n bytes without a zero among them.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((i+int(seed)*7)%255) + 1
	}
	return p
}
