package devkeystone

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"ingest/internal/errcode"
	"ingest/internal/lru"
)

// How guessing is slowed down: behind so many wrong passwords each further one doubles
// the time for which no password is looked at, for a user from one address, and for
// all users together from one address.
const (
	freeUser    = 5
	freeAddress = 50
	longestWait = time.Minute
	forgotten   = 10 * time.Minute // without a further wrong one
	maxWatched  = 16384
	maxWaiting  = 64 // logins that wait for a core
)

// A guard compares passwords, a few at a time, and watches who gets them wrong.
type guard struct {
	now      func() time.Time
	cores    chan struct{}
	waiting  chan struct{}
	stranger func() []byte // a hash that nobody has

	mu      sync.Mutex
	watched *lru.Map[string, failures]
}

type failures struct {
	count       int
	last, until time.Time // until: before it, no password is looked at
}

func newGuard() *guard {
	return &guard{
		now:     time.Now,
		cores:   make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		waiting: make(chan struct{}, maxWaiting),
		stranger: sync.OnceValue(func() []byte {
			h, _ := bcrypt.GenerateFromPassword([]byte(newID()), HashCost)
			return h
		}),
		watched: lru.New[string, failures](maxWatched),
	}
}

// compare reports whether a password is the user's; u is nil for nobody, which takes
// as long. wait is how long nothing is looked at, 0 if something was.
func (g *guard) compare(ctx context.Context, u *user, name, address, password string) (ok bool, wait time.Duration, err error) {
	keys := map[string]int{"user " + name + "\x00" + address: freeUser, "address " + address: freeAddress}
	if wait := g.begin(keys); wait > 0 {
		return false, wait, nil
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return false, 0, errcode.New(errcode.TooManyRequests, "too many log in at once")
	}
	select {
	case g.cores <- struct{}{}:
		defer func() { <-g.cores }()
	case <-ctx.Done():
		return false, 0, ctx.Err()
	}
	hash := g.stranger()
	if u != nil {
		hash = []byte(u.Password)
	}
	ok = bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && u != nil
	if ok {
		g.forgive(keys)
	}
	return ok, 0, nil
}

// begin counts an attempt as a wrong one before it is looked at: many at once are not
// one. It returns how long to wait instead.
func (g *guard) begin(keys map[string]int) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	var wait time.Duration
	for key := range keys {
		if f, ok := g.watched.Get(key); ok {
			wait = max(wait, f.until.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for key, free := range keys {
		f, _ := g.watched.Get(key)
		if now.Sub(f.last) > forgotten {
			f.count = 0
		}
		f.count++
		f.last = now
		if over := f.count - free; over >= 0 {
			f.until = now.Add(min(time.Second<<min(over, 6), longestWait))
		}
		g.watched.Put(key, f)
	}
	return 0
}

// forgive takes back what begin counted; the user's earlier mistakes too.
func (g *guard) forgive(keys map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, free := range keys {
		f, _ := g.watched.Get(key)
		if f.count--; free == freeUser || f.count <= 0 {
			g.watched.Delete(key)
			continue
		}
		f.until = time.Time{}
		g.watched.Put(key, f)
	}
}
