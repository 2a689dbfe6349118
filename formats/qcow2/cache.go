package qcow2

import (
	"container/list"
	"sync"
)

// A tableCache keeps the L2 tables that were used last, up to a number of
// bytes. The lock is held for a look-up only, never while a table is read; two
// callers who miss the same table share one read.
type tableCache struct {
	read   func(index int64) ([]byte, error)
	mu     sync.Mutex
	room   int // tables
	tables map[int64]*list.Element
	recent list.List // of *cachedTable, most recent first
}

type cachedTable struct {
	index int64 // L1 index
	mu    sync.Mutex
	raw   []byte // nil until it has been read
}

// newTableCache returns a cache of at least one table.
func newTableCache(limit, tableBytes int64, read func(index int64) ([]byte, error)) *tableCache {
	return &tableCache{read: read, room: int(max(1, limit/tableBytes)), tables: map[int64]*list.Element{}}
}

// get returns the table with the given L1 index, reading it if it is not there.
// A table that could not be read is tried again by the next caller.
func (c *tableCache) get(index int64) ([]byte, error) {
	t := c.slot(index)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw == nil {
		raw, err := c.read(index)
		if err != nil {
			return nil, err
		}
		t.raw = raw
	}
	return t.raw, nil
}

// slot finds or makes the table's slot and marks it as the most recent.
func (c *tableCache) slot(index int64) *cachedTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.tables[index]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(*cachedTable)
	}
	if c.recent.Len() >= c.room {
		last := c.recent.Back()
		delete(c.tables, last.Value.(*cachedTable).index)
		c.recent.Remove(last)
	}
	t := &cachedTable{index: index}
	c.tables[index] = c.recent.PushFront(t)
	return t
}
