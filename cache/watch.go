package cache

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// watchEvery is how often fills are looked at, unless Stall is shorter.
	watchEvery = 10 * time.Second
	// cleanEvery is how often entries of images that are gone are looked for.
	cleanEvery = 10 * time.Minute
)

// Run fetches what is queued, gives up stalled fills, prunes, cleans, keeps the order
// of access and logs hits and misses, until ctx ends.
func (c *Cache) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { c.prefetch(ctx) })
	both.Go(func() { c.watch(ctx) })
	both.Wait()
}

func (c *Cache) watch(ctx context.Context) {
	tick := time.NewTicker(max(min(watchEvery, c.o.Stall/4), time.Millisecond))
	defer tick.Stop()
	saved, cleaned := time.Now(), time.Now()
	var told Stats
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.cleanFills()
		if time.Since(saved) >= time.Minute {
			saved = time.Now()
			c.Prune(c.o.MaxBytes)
			c.saveUsage()
		}
		if time.Since(cleaned) < cleanEvery {
			continue
		}
		cleaned = time.Now()
		if _, err := c.Clean(ctx, false); err != nil && ctx.Err() == nil {
			c.o.Log.Warn().Err(err).Msg("cache: clean")
		}
		if v := c.View(); v.Stats != told {
			told = v.Stats
			c.o.Log.Info().Int64("bytes", v.Bytes).Int("images", len(v.Entries)).Any("since_start", told).Msg("cache")
		}
	}
}

// Stats count what happened since the cache was opened.
type Stats struct {
	Hits   int64 `json:"hits"`   // reads of entries
	Shared int64 `json:"shared"` // reads that joined a fill
	Misses int64 `json:"misses"` // reads of the store, also by the fill that they began

	Filled      int64 `json:"filled"`
	FilledBytes int64 `json:"filled_bytes"`
	Evicted     int64 `json:"evicted"`     // to make room
	Abandoned   int64 `json:"abandoned"`   // fills whose readers went, or whose image was removed
	Stalled     int64 `json:"stalled"`     // fills to which no byte came for too long
	Corrupt     int64 `json:"corrupt"`     // fills with another digest than the image
	Failed      int64 `json:"failed"`      // fills that the store broke off
	DiskErrors  int64 `json:"disk_errors"` // fills that the folder did not take, for want of room or otherwise
	Busy        int64 `json:"busy"`        // fills that were not begun, for too many others
	Invalid     int64 `json:"invalid"`     // entries that were damaged
}

// An Entry is an object that is there.
type Entry struct {
	Object
	Hits     int64     `json:"hits"`
	Filled   time.Time `json:"filled"`
	Accessed time.Time `json:"accessed"`
}

// A Filling is an object that is on its way.
type Filling struct {
	Object
	Have    int64 `json:"have"` // bytes
	Readers int   `json:"readers"`
}

// Waiting is an object in the queue.
type Waiting struct {
	Object
	Queued time.Time `json:"queued"`
	Tries  int       `json:"tries"`
}

// A View is all that is in a cache at one moment.
type View struct {
	MaxBytes int64     `json:"max_bytes"`
	Bytes    int64     `json:"bytes"`   // of entries, and of fills when they are whole
	Entries  []Entry   `json:"entries"` // the one read last first
	Fills    []Filling `json:"fills"`
	Queue    []Waiting `json:"queue"` // in the order in which they are fetched
	Stats    Stats     `json:"stats"`
}

// View returns what is there.
func (c *Cache) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{MaxBytes: c.o.MaxBytes, Bytes: c.used, Entries: []Entry{}, Fills: []Filling{}, Queue: []Waiting{}, Stats: c.stats}
	for _, e := range c.byAccess() {
		v.Entries = append(v.Entries, Entry{Object: e.rec.Object, Hits: e.hits, Filled: e.rec.Filled, Accessed: e.accessed})
	}
	for _, f := range c.fills {
		f.mu.Lock()
		v.Fills = append(v.Fills, Filling{Object: f.obj, Have: f.have, Readers: f.readers})
		f.mu.Unlock()
	}
	slices.SortFunc(v.Fills, func(a, b Filling) int { return strings.Compare(a.Key, b.Key) })
	for _, q := range c.queue {
		v.Queue = append(v.Queue, Waiting{Object: q.Object, Queued: q.Queued, Tries: q.tries})
	}
	return v
}
