package readahead

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// fake is a source that counts what is fetched from it.
type fake struct {
	data []byte
	gate chan struct{} // if not nil, each fetch takes one token
	// pause, if set, is how long each fetch takes.
	pause func()

	mu      sync.Mutex
	fetches []span
	flying  int
	peak    int
	fail    int // so many fetches fail
}

type span struct{ off, n int64 }

var errFake = errors.New("fetch fails")

func newFake(size int) *fake {
	f := &fake{data: make([]byte, size)}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range f.data {
		f.data[i] = byte(rng.Uint32())
	}
	return f
}

func (f *fake) fetch(ctx context.Context, p []byte, off int64) error {
	f.mu.Lock()
	f.fetches = append(f.fetches, span{off, int64(len(p))})
	f.flying++
	f.peak = max(f.peak, f.flying)
	fail := f.fail > 0
	f.fail--
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.flying--; f.mu.Unlock() }()
	if f.pause != nil {
		f.pause()
	}
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail {
		return errFake
	}
	if copy(p, f.data[off:]) != len(p) {
		return errors.New("fetch beyond the end")
	}
	return nil
}

// seen returns what was fetched, ordered by offset.
func (f *fake) seen() []span {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(f.fetches)
	slices.SortFunc(out, func(a, b span) int { return int(a.off - b.off) })
	return out
}

func (f *fake) want(t *testing.T, r *Reader, off, n int) {
	t.Helper()
	p := make([]byte, n)
	got, err := r.ReadAt(p, int64(off))
	end := min(off+n, len(f.data))
	if off+n > len(f.data) && err != io.EOF || off+n <= len(f.data) && err != nil {
		t.Errorf("ReadAt(%d, %d): %v", off, n, err)
	}
	if !bytes.Equal(p[:got], f.data[min(off, end):end]) {
		t.Errorf("ReadAt(%d, %d) = %d bytes, not the source's", off, n, got)
	}
}

func TestRandomReads(t *testing.T) {
	f := newFake(100_003)
	r := New(t.Context(), f.fetch, 100_003, Options{Chunk: 1000, Memory: 7000})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for range 300 {
				f.want(t, r, rng.IntN(101_000), rng.IntN(2500))
			}
		})
	}
	wg.Wait()
}

func TestEnds(t *testing.T) {
	f := newFake(2500)
	r := New(t.Context(), f.fetch, 2500, Options{Chunk: 1000, Ahead: -1})
	for _, rd := range []span{{0, 0}, {2499, 1}, {2499, 2}, {2500, 0}, {2500, 1}, {9999, 5}, {999, 2}, {1000, 1000}, {500, 2000}, {0, 5000}} {
		if rd.n == 0 {
			continue
		}
		f.want(t, r, int(rd.off), int(rd.n))
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
	empty := New(t.Context(), f.fetch, 0, Options{})
	if _, err := empty.ReadAt(make([]byte, 1), 0); err != io.EOF {
		t.Errorf("read of an empty source: %v", err)
	}
}

func TestSmallReadsShareAChunk(t *testing.T) {
	f := newFake(10_000)
	r := New(t.Context(), f.fetch, 10_000, Options{Chunk: 1000, Ahead: -1})
	for _, off := range []int{3500, 3001, 3999, 3000} {
		f.want(t, r, off, 1)
	}
	if got, want := f.seen(), []span{{3000, 1000}}; !slices.Equal(got, want) {
		t.Errorf("fetched %v, want %v", got, want)
	}
}

func TestLargeReadIsOneFetch(t *testing.T) {
	f := newFake(10_000)
	r := New(t.Context(), f.fetch, 10_000, Options{Chunk: 1000})
	f.want(t, r, 1234, 5000)
	if got, want := f.seen(), []span{{1234, 5000}}; !slices.Equal(got, want) {
		t.Errorf("fetched %v, want %v", got, want)
	}
}

func TestSingleFlight(t *testing.T) {
	f := newFake(10_000)
	f.gate = make(chan struct{}, 100)
	r := New(t.Context(), f.fetch, 10_000, Options{Chunk: 1000, Ahead: -1})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { f.want(t, r, 5000+i*10, 10) })
	}
	f.gate <- struct{}{}
	wg.Wait() // more than one fetch would wait for a second token for ever
	if got := f.seen(); len(got) != 1 {
		t.Errorf("fetched %v, want one chunk", got)
	}
}

func TestSequentialReadsFetchAhead(t *testing.T) {
	f := newFake(20_000)
	r := New(t.Context(), f.fetch, 20_000, Options{Chunk: 1000, Ahead: 3})
	f.want(t, r, 0, 500)
	if got, want := f.seen(), []span{{0, 1000}}; !slices.Equal(got, want) {
		t.Errorf("a first read fetched %v, want %v", got, want)
	}
	for off := 500; off < 20_000; off += 500 {
		f.want(t, r, off, 500)
	}
	got := f.seen()
	for i, s := range got {
		if s != (span{int64(i) * 1000, 1000}) {
			t.Fatalf("fetched %v, want every chunk once", got)
		}
	}
	if len(got) != 20 {
		t.Errorf("%d fetches, want 20", len(got))
	}
}

func TestAheadIsBoundedAndParallel(t *testing.T) {
	for _, tt := range []struct {
		ahead  int
		memory int64
		want   int
	}{{4, 100_000, 4}, {4, 3000, 2}, {1, 100_000, 1}, {-1, 100_000, 0}} {
		f := newFake(100_000)
		f.gate = make(chan struct{}, 1)
		f.gate <- struct{}{} // the first chunk arrives, all others hang
		r := New(t.Context(), f.fetch, 100_000, Options{Chunk: 1000, Memory: tt.memory, Ahead: tt.ahead})
		for off := 0; off < 1000; off += 50 {
			f.want(t, r, off, 50)
			if off == 0 {
				continue
			}
			r.mu.Lock()
			if want := min(off/50, tt.want); r.ahead != want || r.flying != want {
				t.Errorf("%+v at %d: %d chunks ahead of %d in flight, want %d", tt, off, r.ahead, r.flying, want)
			}
			r.mu.Unlock()
		}
		close(f.gate)
	}
}

func TestMemoryBound(t *testing.T) {
	f := newFake(50_000)
	r := New(t.Context(), f.fetch, 50_000, Options{Chunk: 1000, Memory: 3000, Ahead: -1})
	for i := range 50 {
		f.want(t, r, i*1000, 10)
		f.want(t, r, 0, 10) // used again and again, hence kept
		r.mu.Lock()
		if n := len(r.chunks); n > 3 || r.lru.Len() > 3 {
			t.Errorf("%d chunks are kept, want at most 3", n)
		}
		r.mu.Unlock()
	}
	first := 0
	for _, s := range f.seen() {
		if s.off == 0 {
			first++
		}
	}
	if first != 1 {
		t.Errorf("the chunk used most was fetched %d times", first)
	}
	f.want(t, r, 1000, 10)
	if got := len(f.seen()); got != 51 {
		t.Errorf("%d fetches, want 51: a dropped chunk is fetched again", got)
	}
}

func TestFailureIsNotKept(t *testing.T) {
	f := newFake(5000)
	f.fail = 2
	r := New(t.Context(), f.fetch, 5000, Options{Chunk: 1000, Ahead: -1})
	for _, n := range []int{10, 2000} {
		if _, err := r.ReadAt(make([]byte, n), 0); !errors.Is(err, errFake) {
			t.Errorf("ReadAt of %d bytes: %v, want the fetch's error", n, err)
		}
	}
	f.want(t, r, 0, 10)
}

func TestContextEndsWaiting(t *testing.T) {
	f := newFake(5000)
	f.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	r := New(ctx, f.fetch, 5000, Options{Chunk: 1000})
	done := make(chan error)
	for _, n := range []int{10, 10, 3000} {
		go func() { _, err := r.ReadAt(make([]byte, n), 0); done <- err }()
	}
	cancel()
	for range 3 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAt: %v, want context.Canceled", err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAt later: %v, want context.Canceled", err)
	}
}
