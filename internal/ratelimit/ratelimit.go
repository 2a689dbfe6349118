// Package ratelimit bounds how many requests a second somebody makes: a project, or
// an address that has not proved to be anybody's. Each has a token bucket of its own.
package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ingest/internal/lru"
)

// MaxBuckets bounds the memory, about 3 MiB: with more projects and addresses at
// once, those that were silent for longest begin with a full bucket again.
const MaxBuckets = 16384

// A Limiter has the buckets. It is safe for concurrent use; a nil Limiter limits
// nothing.
type Limiter struct {
	perSecond float64
	burst     int
	now       func() time.Time

	mu      sync.Mutex
	buckets *lru.Map[string, *rate.Limiter]
}

// New returns a limiter of so many requests a second each, and so many at once after
// a time of silence. perSecond 0 limits nothing; burst 0 is twice perSecond.
func New(perSecond float64, burst int) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = max(int(2*perSecond), 1)
	}
	return &Limiter{perSecond: perSecond, burst: burst, now: time.Now, buckets: lru.New[string, *rate.Limiter](MaxBuckets)}
}

// Take takes a request out of the bucket of key. 0 admits it; else it is refused, and
// would be admitted after that time if nobody asks before.
func (l *Limiter) Take(key string) time.Duration {
	return l.ask(key, true)
}

// Peek is Take, but takes nothing.
func (l *Limiter) Peek(key string) time.Duration { return l.ask(key, false) }

func (l *Limiter) ask(key string, take bool) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	b, ok := l.buckets.Get(key)
	if !ok && !take {
		l.mu.Unlock()
		return 0 // who was never seen has a full bucket
	}
	if !ok {
		b = rate.NewLimiter(rate.Limit(l.perSecond), l.burst)
		l.buckets.Put(key, b)
	}
	l.mu.Unlock()
	now := l.now()
	r := b.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 || !take { // who is refused takes nothing
		r.CancelAt(now)
	}
	return wait
}

// Project names the bucket of a project.
func Project(id string) string { return "project " + id }

// Address names the bucket of a connection's other end, HOST:PORT. All of an IPv6
// network that one subscriber gets share one.
func Address(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "address"
	}
	addr := ap.Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return "address " + p.String()
		}
	}
	return "address " + addr.String()
}
