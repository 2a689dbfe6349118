package readahead

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// TestChunksAreReused reads a source that is much larger than what is kept.
func TestChunksAreReused(t *testing.T) {
	const size, chunk, memory = 32 << 20, 64 << 10, 1 << 20
	f := newFake(size)
	r := New(t.Context(), f.fetch, size, Options{Chunk: chunk, Memory: memory})
	p := make([]byte, chunk/2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for off := int64(0); off < size; off += int64(len(p)) {
		if _, err := r.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*memory {
		t.Errorf("%d bytes allocated for %d, with %d kept", n, size, memory)
	}
}

// TestNobodyReadsWhatIsReused has reads hold chunks while others drop them. The memory
// holds two chunks, so that nearly every read drops one that is in use.
func TestNobodyReadsWhatIsReused(t *testing.T) {
	f := newFake(64_000)
	f.pause = runtime.Gosched
	r := New(t.Context(), f.fetch, 64_000, Options{Chunk: 500, Memory: 1000})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 9))
			at := rng.IntN(60_000)
			for range 400 {
				if rng.IntN(8) == 0 {
					at = rng.IntN(60_000)
				}
				n := rng.IntN(700)
				f.want(t, r, at, n)
				at = (at + n) % 62_000
			}
		})
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.chunks {
		if c.users != 0 || c.gone {
			t.Errorf("chunk %d has %d users", c.index, c.users)
		}
	}
	if n := len(r.idle); n > 2 {
		t.Errorf("%d buffers lie idle", n)
	}
}
