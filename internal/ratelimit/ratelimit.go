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

// Take takes a request out of the bucket of key. 0 admits it; else it is refused, takes
// nothing, and would be admitted after that time if nobody asks before.
func (l *Limiter) Take(key string) time.Duration {
	if l == nil {
		return 0
	}
	b, now := l.bucket(key, true), l.now()
	if b.AllowN(now, 1) {
		return 0
	}
	return l.wait(b, now)
}

// Peek is Take, but takes nothing.
func (l *Limiter) Peek(key string) time.Duration {
	if l == nil {
		return 0
	}
	b := l.bucket(key, false)
	if b == nil {
		return 0 // who was never seen has a full bucket
	}
	return l.wait(b, l.now())
}

// Charge takes a request out of the bucket of key that was made already, also if that has
// none left: what many have begun at once, when none of them was known to fail, is paid
// for afterwards.
func (l *Limiter) Charge(key string) {
	if l != nil {
		l.bucket(key, true).ReserveN(l.now(), 1)
	}
}

// bucket returns that of key, nil if it is new and shall not be made.
func (l *Limiter) bucket(key string, add bool) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets.Get(key)
	if !ok && add {
		b = rate.NewLimiter(rate.Limit(l.perSecond), l.burst)
		l.buckets.Put(key, b)
	}
	return b
}

// wait is the time until a bucket has a request, at least a nanosecond if it has none.
// Looking is no reservation that is cancelled: of several at once, only the last one
// would be given back.
func (l *Limiter) wait(b *rate.Limiter, now time.Time) time.Duration {
	short := 1 - b.TokensAt(now)
	if short <= 0 {
		return 0
	}
	return time.Duration(min(max(short/l.perSecond*float64(time.Second), 1), float64(longestWait)))
}

// longestWait bounds what is said, not what is waited.
const longestWait = 100 * 365 * 24 * time.Hour

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
