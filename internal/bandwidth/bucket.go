package bandwidth

import (
	"context"
	"sync"
	"time"
)

const (
	// burst is for how long a budget that nobody uses is saved up. It makes up for
	// clocks and schedulers; ten seconds of transfer exceed the budget by a twentieth.
	burst = 500 * time.Millisecond
	// A piece is what is asked for at once: a twentieth of a second's bytes, within
	// bounds.
	piecesASecond = 20
	leastPiece    = 1 << 10
	mostPiece     = 1 << 20
)

// A Bucket is a budget of bytes a second. Who comes first is served first. It is safe for
// concurrent use.
type Bucket struct {
	// turn is held by the one who waits for bytes; the others wait for it, in the order
	// in which they came.
	turn chan struct{}

	mu      sync.Mutex
	limited bool
	rate    float64
	until   time.Time // when the rate ends, zero for never
	saved   float64   // bytes that may be taken at once, as of at
	at      time.Time
	want    float64       // bytes that the one whose turn it is waits for
	changed chan struct{} // closed when the rate changes

	used    int64         // bytes that were taken
	waited  time.Duration // in which somebody could have used more
	waiting time.Time     // since when somebody does, zero if nobody
}

// NewBucket returns a budget; 0 is no limit.
func NewBucket(r Rate) *Bucket {
	b := &Bucket{turn: make(chan struct{}, 1), changed: make(chan struct{}), at: time.Now()}
	b.limited, b.rate = r > 0, float64(r)
	return b
}

// NewShare returns a share of a budget of which nothing is known yet: nobody gets
// anything before Grant.
func NewShare() *Bucket {
	b := NewBucket(0)
	b.limited = true
	return b
}

// Free takes the limit away.
func (b *Bucket) Free() { b.set(false, 0, time.Time{}) }

// Grant sets the share: so many bytes a second up to a moment, behind which there are
// none until it is granted anew. The zero time is never. Those who wait go on at the new
// rate.
func (b *Bucket) Grant(bytes int64, until time.Time) { b.set(true, float64(max(bytes, 0)), until) }

func (b *Bucket) set(limited bool, rate float64, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(time.Now())
	if !b.limited {
		b.saved = 0
	}
	b.limited, b.rate, b.until = limited, rate, until
	b.saved = min(b.saved, max(rate*burst.Seconds(), b.want))
	close(b.changed)
	b.changed = make(chan struct{})
}

// refill adds what the time since the last call has brought: no more than is saved up, or
// than somebody waits for.
func (b *Bucket) refill(now time.Time) {
	end := now
	if !b.until.IsZero() && b.until.Before(end) {
		end = b.until
	}
	if d := end.Sub(b.at); d > 0 {
		b.saved += b.rate * d.Seconds()
	}
	b.at = now
	b.saved = min(b.saved, max(b.rate*burst.Seconds(), b.want))
}

// piece is how much of n bytes is asked for at once.
func (b *Bucket) piece(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.limited {
		return n
	}
	return min(n, int(min(max(b.rate/piecesASecond, leastPiece), mostPiece)))
}

// Take waits until n bytes are within the budget. It returns the cause of the context's
// end if that comes first.
func (b *Bucket) Take(ctx context.Context, n int) error {
	if b.free(n) {
		return context.Cause(ctx)
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		wait, changed := b.try(n)
		if changed == nil {
			return nil
		}
		var due <-chan time.Time
		var timer *time.Timer
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		var err error
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if timer != nil {
			timer.Stop()
		}
		if err != nil {
			b.gaveUp()
			return err
		}
	}
}

// free takes bytes if there is no limit.
func (b *Bucket) free(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limited {
		return false
	}
	b.used += int64(n)
	return true
}

// try takes n bytes, or returns how long it takes until they are there, 0 for ever, and
// what tells of a change.
func (b *Bucket) try(n int) (wait time.Duration, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.want = float64(n)
	b.refill(now)
	// A thousandth of a byte is the rounding of clocks.
	if !b.limited || b.saved+1e-3 >= float64(n) {
		b.saved = max(b.saved-float64(n), 0)
		b.used += int64(n)
		b.rest(now)
		return 0, nil
	}
	if b.waiting.IsZero() {
		b.waiting = now
	}
	if b.rate > 0 && (b.until.IsZero() || now.Before(b.until)) {
		wait = max(time.Duration((float64(n)-b.saved)/b.rate*float64(time.Second)), time.Microsecond)
	}
	return wait, b.changed
}

// rest notes that the one who waited does not any more.
func (b *Bucket) rest(now time.Time) {
	b.want = 0
	if !b.waiting.IsZero() {
		b.waited += now.Sub(b.waiting)
		b.waiting = time.Time{}
	}
}

func (b *Bucket) gaveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest(time.Now())
}

// Give gives back n bytes that were taken and not used.
func (b *Bucket) Give(n int) {
	if n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= int64(n)
	if b.limited {
		b.saved += float64(n)
	}
}

// A Use is what a budget was used for since the last look.
type Use struct {
	Bytes  int64
	Waited time.Duration // in which somebody could have used more
}

// Use returns what was used since the last call.
func (b *Bucket) Use() Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); !b.waiting.IsZero() {
		b.waited += now.Sub(b.waiting)
		b.waiting = now
	}
	out := Use{b.used, b.waited}
	b.used, b.waited = 0, 0
	return out
}
