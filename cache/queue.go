package cache

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

const (
	// prefetchTries is how often a queued object is asked for before it is left.
	prefetchTries = 5
	// prefetchPause lies behind the first failure, twice that behind the second.
	prefetchPause = 10 * time.Second
)

// queued is an object that waits to be fetched.
type queued struct {
	Object
	Queued time.Time `json:"queued"`

	tries  int
	before time.Time // it is not tried earlier
}

// Queue has an object fetched in the background. It is remembered over a restart.
// It fails with errcode.BadRequest for what is never cached, and with
// errcode.NoSpace if too many wait. What is there, or waits, stays as it is.
func (c *Cache) Queue(o Object) error {
	if why := c.reason(o); why != "" {
		return errcode.New(errcode.BadRequest, "image %s is not cached: %s", o.ImageID, why)
	}
	id := id(o.Store, o.Key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[id] != nil || slices.ContainsFunc(c.queue, func(q *queued) bool { return q.same(o) }) {
		return nil
	}
	if len(c.queue) >= MaxQueue {
		return errcode.New(errcode.NoSpace, "%d images wait to be fetched into the cache already", len(c.queue))
	}
	q := &queued{Object: o, Queued: time.Now().UTC()}
	b, err := json.Marshal(q)
	if err == nil {
		err = fsutil.WriteDurable(filepath.Join(c.o.Dir, queueDir), id+recordSuffix, b)
	}
	if err != nil {
		return errcode.Wrap(err, errcode.NoSpace, "the queue of the cache cannot be written")
	}
	c.queue = append(c.queue, q)
	c.rouse()
	return nil
}

// rouse tells the prefetcher that there is something to do.
func (c *Cache) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Cache) loadQueue() error {
	err := c.records(queueDir, func(name string, b []byte) bool {
		q := &queued{}
		if json.Unmarshal(b, q) != nil || id(q.Store, q.Key) != name || c.reason(q.Object) != "" || c.entries[name] != nil || len(c.queue) >= MaxQueue {
			return false
		}
		c.queue = append(c.queue, q)
		return true
	})
	slices.SortStableFunc(c.queue, func(a, b *queued) int { return a.Queued.Compare(b.Queued) })
	c.rouse()
	return err
}

// unqueue forgets what waits, and says how many there were.
func (c *Cache) unqueue(which func(Object) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.queue)
	c.queue = slices.DeleteFunc(c.queue, func(q *queued) bool {
		if !which(q.Object) {
			return false
		}
		if err := os.Remove(filepath.Join(c.o.Dir, queueDir, id(q.Store, q.Key)+recordSuffix)); err != nil {
			c.o.Log.Warn().Err(err).Str("image", q.ImageID).Msg("cache: forget a queued image")
		}
		return true
	})
	return before - len(c.queue)
}

// prefetch fetches what is queued, one object at a time, until ctx ends.
func (c *Cache) prefetch(ctx context.Context) {
	for ctx.Err() == nil {
		q, pause := c.next()
		if q == nil {
			timer := time.NewTimer(pause)
			select {
			case <-c.wake:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			continue
		}
		c.fetched(ctx, q, c.fetch(ctx, q.Object))
	}
}

// next returns what to fetch, or how long to wait for it.
func (c *Cache) next() (*queued, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := time.Hour
	for _, q := range c.queue {
		left := time.Until(q.before)
		if left <= 0 {
			return q, 0
		}
		pause = min(pause, left)
	}
	return nil, pause
}

// fetch makes an entry of an object, and waits for it.
func (c *Cache) fetch(ctx context.Context, o Object) error {
	id := id(o.Store, o.Key)
	c.mu.Lock()
	if c.entries[id] != nil {
		c.mu.Unlock()
		return nil
	}
	f, err := c.fills[id], error(nil)
	if f == nil {
		f, err = c.begin(id, o, true)
	} else {
		f.want()
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// want lets the fill go on without readers.
func (f *fill) want() {
	f.mu.Lock()
	f.keep = true
	f.mu.Unlock()
}

// fetched takes an object from the queue, or puts it off.
func (c *Cache) fetched(ctx context.Context, q *queued, err error) {
	if ctx.Err() != nil {
		return // the queue is found again
	}
	c.mu.Lock()
	q.tries++
	q.before = time.Now().Add(prefetchPause << (q.tries - 1))
	over := err == nil || err == errDropped || q.tries >= prefetchTries || errcode.Of(err) == errcode.NotFound
	c.mu.Unlock()
	if err != nil {
		c.o.Log.Warn().Err(err).Str("image", q.ImageID).Int("tries", q.tries).Bool("again", !over).Msg("cache: a queued image is not fetched")
	}
	if over {
		c.unqueue(func(o Object) bool { return q.same(o) })
	}
}
