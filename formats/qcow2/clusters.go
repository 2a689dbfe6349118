package qcow2

import "sync"

// maxClusters is how many inflated clusters a disk keeps at most: as many as
// there may be readers that take it in small pieces, each at a place of its own.
const maxClusters = 32

// A clusterCache keeps the compressed clusters that were inflated last, for
// readers that take them in pieces. Its lock is held for a look-up only: two
// callers who miss the same cluster share one inflation, all others go on.
// Slots and their buffers are used again, so that a full cache allocates
// nothing.
type clusterCache struct {
	mu     sync.Mutex
	room   int // slots
	bytes  int64
	recent []*clusterSlot // most recent first
	spare  sync.Pool      // of *clusterSlot, for when all slots are in use
}

type clusterSlot struct {
	index  int64 // guest cluster
	users  int   // guarded by the cache's lock
	cached bool  // it is one of the cache's own, not a spare one

	mu     sync.Mutex // guards filled; held while the cluster is inflated
	filled bool
	raw    []byte // not changed while filled is set and there are users
}

// newClusterCache returns a cache of at least one cluster of n bytes.
func newClusterCache(limit, n int64) *clusterCache {
	return &clusterCache{room: int(min(max(1, limit/n), maxClusters)), bytes: n}
}

// read copies bytes from rel on of the guest cluster into p. If the cluster is
// not there, fill inflates it into a buffer of a whole cluster. After an error
// the next caller tries again.
func (c *clusterCache) read(p []byte, index, rel int64, fill clusterFiller) error {
	s := c.take(index)
	defer c.release(s)
	if err := s.ready(fill, c.bytes); err != nil {
		return err
	}
	copy(p, s.raw[rel:])
	return nil
}

// A clusterFiller inflates a guest cluster into dst.
type clusterFiller interface {
	inflate(dst []byte, index int64) error
}

// ready returns when the slot holds its cluster of n bytes.
func (s *clusterSlot) ready(fill clusterFiller, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled {
		return nil
	}
	if s.raw == nil {
		s.raw = make([]byte, n, n+zstdSlack)
	}
	err := fill.inflate(s.raw, s.index)
	s.filled = err == nil
	return err
}

// take returns the cluster's slot, which may be empty, and marks it as the most
// recent. The caller releases it.
func (c *clusterCache) take(index int64) *clusterSlot {
	c.mu.Lock()
	defer c.mu.Unlock()
	victim := -1
	for i, s := range c.recent {
		if s.index == index {
			return c.use(i)
		}
		if s.users == 0 {
			victim = i
		}
	}
	if len(c.recent) < c.room {
		c.recent = append(c.recent, &clusterSlot{cached: true})
		victim = len(c.recent) - 1
	}
	if victim < 0 {
		s, ok := c.spare.Get().(*clusterSlot)
		if !ok {
			s = &clusterSlot{}
		}
		s.index, s.filled = index, false
		return s
	}
	s := c.use(victim)
	s.index, s.filled = index, false
	return s
}

// use moves a slot to the front and counts its user.
func (c *clusterCache) use(i int) *clusterSlot {
	s := c.recent[i]
	copy(c.recent[1:i+1], c.recent[:i])
	c.recent[0] = s
	s.users++
	return s
}

// release ends a use of a slot.
func (c *clusterCache) release(s *clusterSlot) {
	if !s.cached {
		c.spare.Put(s)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.users--
}
