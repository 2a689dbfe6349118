package bandwidth

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A ledger notes when bytes were let pass.
type ledger struct {
	mu    sync.Mutex
	begun time.Time
	at    []time.Duration
	n     []int
}

func (l *ledger) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.n = append(l.at, time.Since(l.begun)), append(l.n, n)
}

// most is the largest number of bytes within any stretch of time, and sum all of them.
func (l *ledger) most(span time.Duration) (most, sum int) {
	from, within := 0, 0
	for i, at := range l.at {
		within += l.n[i]
		sum += l.n[i]
		for at-l.at[from] > span {
			within -= l.n[from]
			from++
		}
		most = max(most, within)
	}
	return most, sum
}

// TestBudget lets many read at once, in pieces of any size.
func TestBudget(t *testing.T) {
	for _, r := range []Rate{4 << 10, 100 << 10, 8 << 20, 3 << 30} {
		synctest.Test(t, func(t *testing.T) {
			b, l := NewBucket(r), &ledger{begun: time.Now()}
			time.Sleep(time.Hour) // what is saved up is bounded
			l.begun = time.Now()
			ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
			defer stop()
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for {
						n, err := Flow{b}.take(ctx, 1+rand.IntN(4<<20))
						if err != nil {
							return
						}
						got := n
						if rand.IntN(4) == 0 { // the source has sent less
							got = rand.IntN(n)
							b.Give(n - got)
						}
						l.add(got)
						time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
					}
				})
			}
			all.Wait()
			most, sum := l.most(10 * time.Second)
			if float64(most) > 1.1*10*float64(r) {
				t.Errorf("%v: %d bytes in ten seconds", r, most)
			}
			if float64(sum) < 0.95*60*float64(r) {
				t.Errorf("%v: only %d bytes in a minute", r, sum)
			}
		})
	}
}

// TestChange raises, lowers, ends and frees a budget that somebody waits for.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewShare()
		took := make(chan time.Duration, 1)
		take := func(n int) {
			begun := time.Now()
			go func() {
				if err := b.Take(t.Context(), n); err != nil {
					t.Error(err)
				}
				took <- time.Since(begun)
			}()
		}
		near := func(what string, want time.Duration) {
			t.Helper()
			if got := <-took; got < want || got > want+2*time.Millisecond {
				t.Errorf("%s: waited %v, want %v", what, got, want)
			}
		}
		take(1000)
		time.Sleep(time.Minute) // nothing is granted yet
		b.Grant(10, time.Time{})
		time.Sleep(10 * time.Second) // 100 bytes have come, 90 seconds are left
		b.Grant(900, time.Time{})
		near("raised", time.Minute+10*time.Second+time.Second)

		take(1000)
		time.Sleep(500 * time.Millisecond) // 450
		b.Grant(55, time.Time{})           // what has come for the one who waits stays
		near("lowered", 10500*time.Millisecond)

		b.Grant(100, time.Now().Add(2*time.Second))
		take(300)
		time.Sleep(30 * time.Second) // 200 have come before its end
		b.Grant(100, time.Now().Add(time.Hour))
		got := <-took
		if got < 31*time.Second-time.Millisecond || got > 33*time.Second {
			t.Errorf("a share that had ended: waited %v", got)
		}

		b.Grant(1, time.Time{})
		take(1 << 30)
		time.Sleep(time.Second)
		b.Free()
		near("freed", time.Second)
		take(1 << 40)
		near("free", 0)
	})
}

// TestFirstComesFirst holds that nobody overtakes.
func TestFirstComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(1 << 20)
		var all sync.WaitGroup
		sums := make([]int, 4)
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		for i := range sums {
			all.Go(func() {
				for b.Take(ctx, 10<<10) == nil {
					sums[i] += 10 << 10
				}
			})
		}
		all.Wait()
		for i, sum := range sums {
			if want := 30 << 20 / 4; sum < want*95/100 || sum > want*106/100 {
				t.Errorf("reader %d got %d of %d bytes", i, sum, want)
			}
		}
	})
}

// TestGivesUp ends a wait, and lets the next one go on.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		narrow, wide := NewBucket(1<<20), NewBucket(2<<10)
		gone := errors.New("gone")
		ctx, stop := context.WithCancelCause(t.Context())
		f := Flow{narrow, wide}
		if n, err := f.take(ctx, 1<<20); n != leastPiece || err != nil {
			t.Fatalf("took %d, %v", n, err)
		}
		narrow.Use()
		ended := make(chan error)
		go func() { ended <- wide.Take(ctx, 1<<20) }()
		synctest.Wait()
		go func() {
			_, err := f.take(ctx, 1<<20)
			ended <- err
		}()
		time.Sleep(time.Second)
		stop(gone)
		for range 2 {
			if err := <-ended; err != gone {
				t.Errorf("ended with %v", err)
			}
		}
		if use := narrow.Use(); use.Bytes != 0 {
			t.Errorf("%d bytes of the narrow budget were not given back", use.Bytes)
		}
		if use := wide.Use(); use.Waited < time.Second {
			t.Errorf("waited %v", use.Waited)
		}
		if err := wide.Take(t.Context(), 1<<10); err != nil {
			t.Error(err)
		}
	})
}
