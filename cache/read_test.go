package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"ingest/internal/errcode"
)

func TestFiftyReadersOneRead(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 5*mib+17)
	c := open(t, Options{Source: src})
	readers(t, c, o, data, 50)
	settle(t, c)
	readers(t, c, o, data, 50)
	if n, b := src.opens.Load(), src.bytes.Load(); n != 1 || b != o.Size {
		t.Errorf("the store was read %d times, %d bytes", n, b)
	}
	v := c.View()
	if s := v.Stats; s.Misses != 1 || s.Shared+s.Hits != 99 || s.Hits < 50 || s.Filled != 1 || s.FilledBytes != o.Size {
		t.Errorf("%+v", s)
	}
	if len(v.Entries) != 1 || v.Bytes != o.Size {
		t.Errorf("%+v", v)
	}
	whole(t, c)
}

// TestSlowClient makes sure that a client that reads nothing does not hold the
// copy, and gets its bytes from it later.
func TestSlowClient(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 4*mib)
	c := open(t, Options{Source: src})
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	settle(t, c)
	if !has(c, o) {
		t.Fatal("the copy waits for the client")
	}
	c.Clear()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if n := src.opens.Load(); n != 1 {
		t.Errorf("the store was read %d times", n)
	}
	whole(t, c)
}

// stopAt lets reads pass up to an offset, until it is opened.
func stopAt(src *remote, at int64) (open func()) {
	ch := make(chan struct{})
	src.hold(func(ctx context.Context, off int64) error {
		if off < at {
			return nil
		}
		select {
		case <-ch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return func() {
		pass := func(context.Context, int64) error { return nil }
		src.gate.Store(&pass)
		close(ch)
	}
}

// reached waits until a fill has n bytes.
func reached(t testing.TB, c *Cache, o Object, n int64) {
	t.Helper()
	for {
		c.mu.Lock()
		f := c.fills[id(o.Store, o.Key)]
		c.mu.Unlock()
		if f == nil {
			t.Fatal("there is no fill")
		}
		f.mu.Lock()
		have, changed := f.have, f.changed
		f.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the fill does not come so far")
		}
	}
}

func TestRanges(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 24*mib)
	c := open(t, Options{Source: src})
	get(t, c, o, data, 5, 10)
	get(t, c, o, data, 0, 10)
	get(t, c, o, data, 7, -1)
	if v := c.View(); len(v.Fills) != 0 || v.Stats.Misses != 3 || src.opens.Load() != 3 {
		t.Fatalf("a range began a copy: %+v", v)
	}
	let := stopAt(src, 4*mib)
	first, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	reached(t, c, o, 4*mib)
	get(t, c, o, data, 3, mib)
	get(t, c, o, data, 4*mib-9, 9)
	if n := src.opens.Load(); n != 4 {
		t.Errorf("what is there was read from the store: %d reads", n)
	}
	soon, err := c.Reader(t.Context(), o, 8*mib, mib)
	if err != nil {
		t.Fatal(err)
	}
	defer soon.Close()
	far, err := c.Reader(t.Context(), o, 20*mib, mib)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if n := src.opens.Load(); n != 5 {
		t.Errorf("%d reads of the store, want one for the range that is far ahead", n)
	}
	let()
	for r, want := range map[io.Reader][]byte{soon: data[8*mib : 9*mib], far: data[20*mib : 21*mib], first: data} {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d of %d bytes, %v", len(got), len(want), err)
		}
	}
	settle(t, c)
	get(t, c, o, data, 24*mib-1, 1)
	if n := src.opens.Load(); n != 5 {
		t.Errorf("%d reads of the store", n)
	}
	for _, bad := range [][2]int64{{-1, 1}, {24 * mib, 1}, {24*mib + 1, -1}, {1, 24 * mib}} {
		if _, err := c.Reader(t.Context(), o, bad[0], bad[1]); errcode.Of(err) != errcode.RangeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	whole(t, c)
}

// TestCorrupt makes sure that nobody takes bytes with another digest for whole,
// wherever the damage is and however small the object.
func TestCorrupt(t *testing.T) {
	for _, size := range []int{1, 1000, tail, tail + 1, 3 * mib} {
		for _, at := range []int64{0, int64(size) - 1} {
			src := newRemote()
			o, data := src.put(t, size)
			c := open(t, Options{Source: src})
			src.flip.Store(at)
			var rs []io.ReadCloser
			for range 3 {
				r, err := c.Reader(t.Context(), o, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				rs = append(rs, r)
			}
			for _, r := range rs {
				got, err := io.ReadAll(r)
				if errcode.Of(err) != errcode.ChecksumMismatch || len(got) >= size {
					t.Errorf("%d bytes: got %d, %v", size, len(got), err)
				}
				r.Close()
			}
			settle(t, c)
			if has(c, o) || c.View().Stats.Corrupt < 1 {
				t.Errorf("%+v", c.View())
			}
			src.flip.Store(-1)
			get(t, c, o, data, 0, -1)
			settle(t, c)
			if !has(c, o) {
				t.Error("it is not copied when the store sends the right bytes")
			}
			whole(t, c)
		}
	}
}

// TestBrokenStore breaks the copy off in the middle: its readers go on from the
// store where they are.
func TestBrokenStore(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 3*mib)
	c := open(t, Options{Source: src})
	var broken bool
	src.hold(func(_ context.Context, off int64) error {
		if off >= mib && !broken {
			broken = true
			return errors.New("connection reset")
		}
		return nil
	})
	get(t, c, o, data, 0, -1)
	settle(t, c)
	if s := c.View().Stats; s.Failed != 1 || has(c, o) {
		t.Errorf("%+v", s)
	}
	if n, b := src.opens.Load(), src.bytes.Load(); n != 2 || b >= 2*o.Size {
		t.Errorf("%d reads, %d bytes", n, b)
	}
	whole(t, c)
}

func TestStalled(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 3*mib)
	c := open(t, Options{Source: src, Stall: time.Nanosecond})
	first, held := true, make(chan struct{})
	src.hold(func(ctx context.Context, off int64) error {
		if off < mib || !first {
			return nil
		}
		first = false
		close(held)
		<-ctx.Done()
		return ctx.Err()
	})
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	reached(t, c, o, mib)
	<-held // or the one who reads on is held in the place of the fill
	if out, err := c.Clean(t.Context(), false); err != nil || out.Stalled != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	settle(t, c)
	if s := c.View().Stats; s.Stalled != 1 || has(c, o) {
		t.Errorf("%+v", s)
	}
	whole(t, c)
}

// TestReadersLeave: without readers a copy ends early, unless half is there or it
// is wanted for itself.
func TestReadersLeave(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     int64
		queued bool
		kept   bool
	}{{"early", mib, false, false}, {"late", 5 * mib, false, true}, {"queued", mib, true, true}} {
		t.Run(c.name, func(t *testing.T) {
			src := newRemote()
			o, _ := src.put(t, 8*mib)
			cache := open(t, Options{Source: src})
			let := stopAt(src, c.at)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := cache.Reader(ctx, o, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			reached(t, cache, o, c.at)
			if c.queued {
				cache.fills[id(o.Store, o.Key)].want()
			}
			cancel()
			buf := make([]byte, 6*mib)
			if _, err := io.ReadFull(r, buf); !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled reader reads on: %v", err)
			}
			r.Close()
			let()
			settle(t, cache)
			if has(cache, o) != c.kept {
				t.Errorf("%+v", cache.View())
			}
			whole(t, cache)
		})
	}
}

func TestNotCached(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, mib)
	for name, set := range map[string]func(*Object, *Options){
		"local store": func(_ *Object, p *Options) { p.Remote = func(string) bool { return false } },
		"no digest":   func(o *Object, _ *Options) { o.Hex = "" },
		"md5":         func(o *Object, _ *Options) { o.Algo = "md5" },
		"too large":   func(_ *Object, p *Options) { p.MaxBytes = mib - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			o, opts := o, Options{Source: src}
			set(&o, &opts)
			c := open(t, opts)
			get(t, c, o, data, 0, -1)
			settle(t, c)
			if v := c.View(); len(v.Entries) != 0 || v.Stats != (Stats{}) {
				t.Errorf("%+v", v)
			}
			if err := c.Queue(o); errcode.Of(err) != errcode.BadRequest {
				t.Errorf("Queue: %v", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		c := open(t, Options{Source: src})
		o.Key += "x"
		if _, err := c.Reader(t.Context(), o, 0, -1); err == nil {
			t.Error("an object that is not there is opened")
		}
		whole(t, c)
	})
}

// TestDamaged changes an entry behind the cache's back: nobody gets the bytes.
func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(path string, fi os.FileInfo) error{
		"truncated": func(path string, fi os.FileInfo) error { return os.Truncate(path, fi.Size()-1) },
		"removed":   func(path string, _ os.FileInfo) error { return os.Remove(path) },
		"written": func(path string, fi os.FileInfo) error {
			return errors.Join(flip(path), os.Chtimes(path, time.Time{}, fi.ModTime().Add(time.Second)))
		},
		"replaced": func(path string, _ os.FileInfo) error {
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				src := newRemote()
				o, data := src.put(t, mib)
				c := open(t, Options{Source: src})
				get(t, c, o, data, 0, -1)
				settle(t, c)
				path := c.data(entryOf(c.entries[id(o.Store, o.Key)]).rec.File)
				fi, err := os.Stat(path)
				if err == nil {
					err = damage(path, fi)
				}
				if err != nil {
					t.Fatal(err)
				}
				if restart {
					c.Close()
					c = open(t, c.o)
				}
				get(t, c, o, data, 0, -1)
				settle(t, c)
				if n := src.opens.Load(); n != 2 || !has(c, o) {
					t.Errorf("%d reads of the store, want another one", n)
				}
				whole(t, c)
			})
		}
	}
}

func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], 1000); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], 1000)
	return err
}

// TestCleanVerifies finds a changed byte that no time betrays.
func TestCleanVerifies(t *testing.T) {
	src := newRemote()
	c := open(t, Options{Source: src})
	good, data := src.put(t, mib)
	bad, other := src.put(t, mib)
	get(t, c, good, data, 0, -1)
	get(t, c, bad, other, 0, -1)
	settle(t, c)
	path := c.data(entryOf(c.entries[id(bad.Store, bad.Key)]).rec.File)
	fi, err := os.Stat(path)
	if err == nil {
		err = errors.Join(flip(path), os.Chtimes(path, time.Time{}, fi.ModTime()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Clean(t.Context(), false); err != nil || out != (Cleaned{}) {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := c.Clean(t.Context(), true); err != nil || out != (Cleaned{Invalid: 1, Bytes: mib}) {
		t.Errorf("%+v, %v", out, err)
	}
	if has(c, bad) || !has(c, good) {
		t.Errorf("%+v", c.View())
	}
	whole(t, c)
}

// TestShrunkWhileRead cuts an entry off under a reader, which goes on from the store.
func TestShrunkWhileRead(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 2*mib)
	c := open(t, Options{Source: src})
	get(t, c, o, data, 0, -1)
	settle(t, c)
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(c.data(entryOf(c.entries[id(o.Store, o.Key)]).rec.File), mib); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if has(c, o) || c.View().Stats.Invalid != 1 {
		t.Errorf("%+v", c.View())
	}
	whole(t, c)
}
