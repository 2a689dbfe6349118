package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A ReadOnlyHarness gives the suite of stores that are read only.
type ReadOnlyHarness struct {
	// New returns an empty store, and what puts an object behind its back, or another
	// one in its stead.
	New func(tb testing.TB) (s stores.Store, put func(key string, p []byte))
}

// RunReadOnly runs the suite of stores that are read only: the half of Run that reads.
func RunReadOnly(t *testing.T, h ReadOnlyHarness) {
	for name, run := range map[string]func(*fixture, func(string, []byte)){
		"ranges": testReadRanges, "nothing is written": testReadOnly, "keys": testReadKeys,
		"another object": testReplaced, "ended context": testReadContext,
	} {
		t.Run(name, func(t *testing.T) {
			s, put := h.New(t)
			if !stores.IsReadOnly(s) {
				t.Fatal("the store does not say that it is read-only")
			}
			run(&fixture{TB: t, s: s, ctx: t.Context()}, put)
		})
	}
}

func testReadRanges(f *fixture, put func(string, []byte)) {
	for _, n := range []int{0, 1, 150_000} {
		key, p := newKey(), pattern(n, 4)
		put(key, p)
		info, err := f.s.Stat(f.ctx, key)
		f.must("Stat", err)
		if info.Key != key || info.Size != int64(n) {
			f.Errorf("Stat = %+v, want %d bytes", info, n)
		}
		end := int64(n)
		for _, r := range [][2]int64{{0, -1}, {0, 0}, {0, 1}, {end / 2, 2}, {max(0, end-1), 10}, {end, -1}, {end / 3, -1}, {0, 1 << 62}} {
			want := p[r[0]:]
			if r[1] >= 0 && r[1] < int64(len(want)) {
				want = want[:r[1]]
			}
			if got := f.readRange(f.s, key, r[0], r[1]); !bytes.Equal(got, want) {
				f.Errorf("range %v of %d: %d bytes, not what was put", r, n, len(got))
			}
		}
		for _, off := range []int64{-1, end + 1} {
			_, err := f.s.OpenRange(f.ctx, key, off, 1)
			f.wantCode("OpenRange outside the object", err, errcode.RangeInvalid)
		}
		if o, ok := f.s.(stores.Opener); ok && n > 0 {
			testOpened(f, o, key, p)
		}
	}
}

func testOpened(f *fixture, s stores.Opener, key string, p []byte) {
	f.Helper()
	o, err := s.Open(f.ctx, key)
	f.must("Open", err)
	defer o.Close()
	got := make([]byte, len(p)/2+1)
	if _, err := o.ReadAt(got, int64(len(p)/3)); o.Size() != int64(len(p)) || err != nil && err != io.EOF || !bytes.HasPrefix(p[len(p)/3:], got[:min(len(got), len(p)-len(p)/3)]) {
		f.Errorf("an open object of %d bytes: %d, %v", len(p), o.Size(), err)
	}
}

func testReadOnly(f *fixture, put func(string, []byte)) {
	key, p := newKey(), pattern(100, 1)
	put(key, p)
	for _, k := range []string{key, newKey()} {
		_, err := f.s.Begin(f.ctx, k, 1)
		f.wantCode("Begin", err, errcode.StoreReadOnly)
	}
	_, err := f.s.Resume(f.ctx, stores.NewID(key))
	f.wantCode("Resume", err, errcode.UploadUnknown)
	for u, err := range f.s.Uploads(f.ctx, time.Now().Add(time.Hour)) {
		f.Errorf("an upload: %+v, %v", u, err)
	}
	f.delete(key, newKey(), key)
	if got := f.readRange(f.s, key, 0, -1); !bytes.Equal(got, p) {
		f.Error("Delete has changed what is there")
	}
}

func testReadKeys(f *fixture, put func(string, []byte)) {
	_, err := f.s.Stat(f.ctx, newKey())
	f.wantCode("Stat of nothing", err, errcode.NotFound)
	_, err = f.s.OpenRange(f.ctx, newKey(), 0, -1)
	f.wantCode("OpenRange of nothing", err, errcode.NotFound)
	a := newKey()
	put(a, nil)
	for _, key := range []string{"", "/", a + "/", a + "/..", "../" + a, a + "?x", a + "%00", "http://elsewhere/" + a} {
		_, err := f.s.Stat(f.ctx, key)
		f.wantCode("Stat("+key+")", err, errcode.BadRequest)
		_, err = f.s.OpenRange(f.ctx, key, 0, -1)
		f.wantCode("OpenRange("+key+")", err, errcode.BadRequest)
		_, err = f.s.Begin(f.ctx, key, 1)
		f.wantCode("Begin("+key+")", err, errcode.BadRequest)
		f.wantCode("Delete("+key+")", f.s.Delete(f.ctx, key), errcode.BadRequest)
	}
}

// testReplaced puts another object in the stead of one that was seen: the next read
// fails and says so, and the one behind it sees the other one as a whole.
func testReplaced(f *fixture, put func(string, []byte)) {
	key, p, other := newKey(), pattern(90_000, 1), pattern(90_000, 2)
	put(key, p)
	f.readRange(f.s, key, 0, 1000)
	put(key, other)
	_, err := f.s.OpenRange(f.ctx, key, 1000, -1)
	f.wantCode("OpenRange of another version", err, errcode.StoreUnavailable)
	if got := f.readRange(f.s, key, 0, -1); !bytes.Equal(got, other) {
		f.Error("the other object is not read as a whole")
	}
	put(key, p)
	_, err = f.s.Stat(f.ctx, key)
	f.must("Stat looks afresh", err)
	if got := f.readRange(f.s, key, 0, -1); !bytes.Equal(got, p) {
		f.Error("the first object is not read again")
	}
}

func testReadContext(f *fixture, put func(string, []byte)) {
	key := newKey()
	put(key, pattern(10, 1))
	ctx, stop := context.WithCancel(f.ctx)
	stop()
	_, err := f.s.Stat(ctx, key)
	_, err2 := f.s.OpenRange(ctx, key, 0, -1)
	for _, err := range []error{err, err2, f.s.Delete(ctx, key)} {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("with an ended context: %v", err)
		}
	}
}
