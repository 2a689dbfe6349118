package qcow2

import (
	"sync"
	"sync/atomic"
)

// A tableCache keeps L2 tables that were read, each in the one slot that its
// index falls into, up to a number of bytes. Looking one up takes no lock; two
// callers who miss the same table share one read.
type tableCache struct {
	read  func(index int64) ([]byte, error)
	slots []tableSlot
}

type tableSlot struct {
	table atomic.Pointer[cachedTable]
	mu    sync.Mutex // held while a table is read into the slot
}

type cachedTable struct {
	index int64 // L1 index
	raw   []byte
}

// newTableCache returns a cache of at least one table, and of no more than the
// n that there are.
func newTableCache(limit, tableBytes, n int64, read func(index int64) ([]byte, error)) *tableCache {
	const overhead = 64 // slot, struct and allocation rounding
	return &tableCache{read: read, slots: make([]tableSlot, max(1, min(n, limit/(tableBytes+overhead))))}
}

// get returns the table with the given L1 index, reading it if it is not there.
// A table that could not be read is tried again by the next caller.
func (c *tableCache) get(index int64) ([]byte, error) {
	s := &c.slots[index%int64(len(c.slots))]
	if t := s.table.Load(); t != nil && t.index == index {
		return t.raw, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.table.Load(); t != nil && t.index == index {
		return t.raw, nil
	}
	raw, err := c.read(index)
	if err != nil {
		return nil, err
	}
	s.table.Store(&cachedTable{index, raw})
	return raw, nil
}
