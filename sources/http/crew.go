package http

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/sources"
)

// slowest is the part of the quickest replica's rate below which another gets no
// more ranges while the quicker ones are there.
const slowest = 8

// A replica is one URL of a source's bytes, in the version that is pinned there.
type replica struct {
	orig  *url.URL
	at    *url.URL // where the last answer came from
	pin   sources.Pin
	auth  signer
	shown string // for notes
	// service says what the version is; nil is the web server itself.
	service Service

	pace    pace
	busy    int
	served  int64   // bytes
	rate    float64 // bytes a second of a single range, 0 if not known yet
	strikes int     // passing failures since the last success
	until   time.Time
	dead    error
}

// A crew hands the ranges of a source to its replicas. It is safe for concurrent
// use.
type crew struct {
	mu      sync.Mutex
	all     []*replica
	waiting []*waiter
	notes   []string
}

type waiter struct {
	turn  chan *replica // gets nil when no replica is left
	avoid *replica
}

func newCrew(all []*replica, parallel int) *crew {
	for _, r := range all {
		r.pace = newPace(parallel)
	}
	return &crew{all: all}
}

// take waits until a replica may be asked for one more range: rather not the one
// to avoid, unless it is the only one. A request that is paused as its reader likes
// does not wait, or those that wait for it might wait for ever. The caller calls done.
func (c *crew) take(ctx context.Context, avoid *replica, paused bool) (*replica, error) {
	c.mu.Lock()
	if len(c.waiting) == 0 || paused {
		if r, ok := c.pick(avoid, paused); ok {
			defer c.mu.Unlock()
			return r, c.lost(r)
		}
	}
	w := &waiter{turn: make(chan *replica, 1), avoid: avoid}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	select {
	case r := <-w.turn:
		c.mu.Lock()
		defer c.mu.Unlock()
		return r, c.lost(r)
	case <-ctx.Done():
		c.mu.Lock()
		c.waiting = slices.DeleteFunc(c.waiting, func(have *waiter) bool { return have == w })
		c.mu.Unlock()
		select {
		case r := <-w.turn:
			if r != nil {
				c.done(r, 0, 0)
			}
		default:
		}
		return nil, ctx.Err()
	}
}

// lost returns why no replica is left, if r is nil.
func (c *crew) lost(r *replica) error {
	if r != nil {
		return nil
	}
	return c.all[0].dead
}

// pick books a request with the best replica that has room. ok is false if all
// that live are busy; r is nil if none lives.
func (c *crew) pick(avoid *replica, always bool) (r *replica, ok bool) {
	now := time.Now()
	live, quickest := 0, 0.0
	for _, r := range c.all {
		if r.dead == nil {
			live++
			quickest = max(quickest, r.rate)
		}
	}
	if live == 0 {
		return nil, true
	}
	better := func(a, b *replica) bool { // a than b
		switch {
		case b == nil:
			return true
		case (a == avoid) != (b == avoid):
			return b == avoid
		case a.until.After(now) != b.until.After(now):
			return b.until.After(now)
		case (a.rate == 0) != (b.rate == 0):
			return a.rate == 0 // to get to know it
		}
		return a.rate > b.rate
	}
	for _, one := range c.all {
		lame := one.rate > 0 && one.rate*slowest < quickest
		if one.dead != nil || one.busy >= one.pace.limit && !always || lame && live > 1 {
			continue
		}
		if better(one, r) {
			r = one
		}
	}
	if r == nil {
		return nil, false
	}
	r.busy++
	r.pace.begun(now, r.busy)
	return r, true
}

// dispatch gives their turn to those for whom there is room.
func (c *crew) dispatch() {
	for len(c.waiting) > 0 {
		r, ok := c.pick(c.waiting[0].avoid, false)
		if !ok {
			return
		}
		c.waiting[0].turn <- r
		c.waiting = c.waiting[1:]
	}
}

// done notes that a request has ended and brought n bytes in a time.
func (c *crew) done(r *replica, n int64, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.busy--
	if n > 0 {
		r.served += n
		r.strikes = 0
		r.pace.got(time.Now(), n)
		if rate := float64(n) / max(took.Seconds(), 1e-6); n >= 64<<10 || r.rate > 0 {
			r.rate = rate*0.3 + r.rate*0.7
			if r.rate == rate*0.3 {
				r.rate = rate
			}
		}
	}
	if r.busy == 0 {
		r.pace.idle()
	}
	c.dispatch()
}

// failed notes a passing failure of a request that was begun at a moment. It
// reports whether fewer requests at one time may be the remedy, and drops a replica
// that fails all the time if there is another.
func (c *crew) failed(r *replica, begun time.Time, t *transient, retries int) (eased bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	eased = r.pace.refused(now, begun, t.throttled) && t.throttled
	if t.after > 0 {
		r.until = now.Add(t.after)
	}
	if !eased {
		if r.strikes++; r.strikes > retries {
			c.drop(r, t.error)
		}
	}
	return eased
}

// drops takes a replica out of use for good, and reports whether another lives. The
// last one stays.
func (c *crew) drops(r *replica, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop(r, err)
}

func (c *crew) drop(r *replica, err error) bool {
	if r.dead != nil {
		return c.living() > 0
	}
	if c.living() < 2 {
		return false
	}
	r.dead = err
	c.notes = append(c.notes, noteOf(r, len(c.all), err))
	c.dispatch()
	return true
}

func (c *crew) living() int {
	n := 0
	for _, r := range c.all {
		if r.dead == nil {
			n++
		}
	}
	return n
}

// others reports whether a replica besides r lives.
func (c *crew) others(r *replica) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.living() > 1 || c.living() == 1 && r.dead != nil
}

// used lists the replicas whose bytes were taken, or the only one.
func (c *crew) used() []*replica {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*replica
	for _, r := range c.all {
		if r.served > 0 || len(c.all) == 1 {
			out = append(out, r)
		}
	}
	return out
}

// place is where a replica is asked: behind its redirects, as long as that works.
func (c *crew) place(r *replica) *url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.at
}

func (c *crew) moved(r *replica, at *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.at = at
}

// noteOf says that a replica is not used any further. Its URL's path and query stay
// out: they may be secret.
func noteOf(r *replica, of int, err error) string {
	text := "it failed"
	if e, ok := errcode.As(err); ok {
		text = fmt.Sprintf("%s (%s)", e.Message, e.Code)
	}
	return fmt.Sprintf("%s is one of %d places of the source and is not used: %s", r.shown, of, text)
}
