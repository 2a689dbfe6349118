package readahead

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Workers read units side by side, as those of a copy do, and so in any order. Nothing
// is fetched twice.
func TestWorkersFetchNothingTwice(t *testing.T) {
	const chunk, unit, size = 1000, 2000, 240_000
	for _, workers := range []int{1, 2, 4, 8} {
		for _, shift := range []int{0, 300} { // units on chunks' borders, and not
			t.Run(fmt.Sprintf("%d workers, shift %d", workers, shift), func(t *testing.T) {
				f := newFake(size)
				f.pause = func() { time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond) }
				r := New(t.Context(), f.fetch, size, Options{Chunk: chunk, Memory: 24 * chunk})
				for round := shift; round < size; round += workers * unit {
					var all sync.WaitGroup
					for w := range workers {
						if off := round + w*unit; off < size {
							all.Go(func() {
								time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
								f.want(t, r, off, unit)
							})
						}
					}
					all.Wait()
				}
				sum := int64(0)
				for _, s := range f.seen() {
					sum += s.n
				}
				// Where units lie across chunks, the first may come from two sides.
				if over := sum - size; over > 2*chunk {
					t.Errorf("%d bytes are fetched of %d", sum, size)
				}
			})
		}
	}
}
