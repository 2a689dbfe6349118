package cache

import (
	"container/list"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
)

// remove removes an entry: its record first, so that what a crash leaves is a file
// without a record. Who reads it reads on. It returns the bytes that become free.
// c.mu is held.
func (c *Cache) remove(el *list.Element) int64 {
	e := entryOf(el)
	c.order.Remove(el)
	delete(c.entries, e.id)
	c.used -= e.rec.Size
	c.touched = true
	for _, path := range []string{c.record(e.id), c.data(e.rec.File)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.o.Log.Warn().Err(err).Str("image", e.rec.ImageID).Msg("cache: remove a copy")
		}
	}
	return e.rec.Size
}

// evict removes the entry that was not read for longest. c.mu is held.
func (c *Cache) evict() int64 {
	c.stats.Evicted++
	return c.remove(c.order.Back())
}

// Removed says what was taken out of a cache.
type Removed struct {
	Files int   `json:"total_files_pruned"`
	Bytes int64 `json:"total_bytes_pruned"`
}

// Prune removes what was not read for longest, until entries and fills take no more
// than most bytes. Fills stay.
func (c *Cache) Prune(most int64) Removed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.prune(most)
}

func (c *Cache) prune(most int64) (out Removed) {
	for c.order.Len() > 0 && c.used > max(most, 0) {
		out.Bytes += c.evict()
		out.Files++
	}
	return out
}

// Drop removes an object, because its image is deleted. A fill of it ends.
func (c *Cache) Drop(store, key string) bool {
	return c.drop(func(o Object) bool { return o.Store == store && o.Key == key }) > 0
}

// DropImage removes what is there of an image, also from the queue, and says whether
// there was something.
func (c *Cache) DropImage(imageID string) bool {
	n := c.drop(func(o Object) bool { return o.ImageID == imageID })
	return n+c.unqueue(func(o Object) bool { return o.ImageID == imageID }) > 0
}

// Clear removes all entries and fills.
func (c *Cache) Clear() int { return c.drop(func(Object) bool { return true }) }

// ClearQueue forgets what was to be fetched. A fetch that runs goes on.
func (c *Cache) ClearQueue() int { return c.unqueue(func(Object) bool { return true }) }

func (c *Cache) drop(which func(Object) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.byAccess() {
		if which(e.rec.Object) {
			c.remove(c.entries[e.id])
			n++
		}
	}
	for _, f := range c.fills {
		if which(f.obj) {
			f.giveUp(errDropped)
			n++
		}
	}
	return n
}

// Cleaned says what Clean removed.
type Cleaned struct {
	Dead    int   `json:"dead"`    // entries that the catalogue names no more
	Invalid int   `json:"invalid"` // entries whose bytes are not what they were
	Stalled int   `json:"stalled"` // fills to which no byte came for too long
	Bytes   int64 `json:"bytes"`   // of all of them, and of files that nobody names
}

// Plus returns the sum of two.
func (c Cleaned) Plus(o Cleaned) Cleaned {
	return Cleaned{c.Dead + o.Dead, c.Invalid + o.Invalid, c.Stalled + o.Stalled, c.Bytes + o.Bytes}
}

// Clean removes what is of no use: entries of images that are gone, damaged
// entries, stalled fills, files that nobody names. With verify it reads every entry
// and compares its digest; else it looks at lengths and times of change. It fails
// with the error of the catalogue, or ctx's, and has then done a part.
func (c *Cache) Clean(ctx context.Context, verify bool) (Cleaned, error) {
	var out Cleaned
	out.Stalled = c.cleanFills()
	live := func(string, string) bool { return true }
	c.mu.Lock()
	entries := c.byAccess()
	c.mu.Unlock()
	if c.o.Live != nil {
		// Asked after the entries were listed: none is younger than the answer.
		var err error
		if live, err = c.o.Live(ctx); err != nil {
			return out, err
		}
	}
	for _, e := range entries {
		dead := !live(e.rec.Store, e.rec.Key)
		var damage error
		if !dead {
			damage = c.check(ctx, e.rec, verify)
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if !dead && damage == nil {
			continue
		}
		c.mu.Lock()
		if el := c.entries[e.id]; el != nil && entryOf(el) == e {
			out.Bytes += e.rec.Size
			if dead {
				out.Dead++
				c.remove(el)
			} else {
				out.Invalid++
				c.invalid(el, damage)
			}
		}
		c.mu.Unlock()
	}
	freed, err := c.sweep()
	out.Bytes += freed
	return out, err
}

// check says what is wrong with an entry's bytes.
func (c *Cache) check(ctx context.Context, r record, verify bool) error {
	f, err := c.openData(r)
	if err != nil || !verify {
		if f != nil {
			f.Close()
		}
		return err
	}
	defer f.Close()
	h, buf := newHash(r.Algo), make([]byte, fillBuffer)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if gone := ctx.Err(); gone != nil {
			return gone
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != r.Hex {
		return errCorrupt
	}
	return nil
}

// sweep removes data files that neither an entry nor a fill names.
func (c *Cache) sweep() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	named := map[string]bool{}
	for _, e := range c.byAccess() {
		named[e.rec.File] = true
	}
	for _, f := range c.fills {
		named[f.name] = true
	}
	return c.sweepData(named)
}

// cleanFills gives up the fills that wait for too long, and says how many.
func (c *Cache) cleanFills() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, f := range c.fills {
		if f.stalled(c.o.Stall) {
			f.giveUp(errStalled)
			n++
		}
	}
	return n
}
