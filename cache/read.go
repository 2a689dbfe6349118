package cache

import (
	"container/list"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// Reader reads n bytes from off of an object, to its end if n < 0: from the entry,
// from a fill that has them or will soon, or from the store. Reading a whole object
// that is not there begins a fill; reading a part of it does not. The error of a
// store that does not open the object is returned as it is.
func (c *Cache) Reader(ctx context.Context, o Object, off, n int64) (io.ReadCloser, error) {
	if n < 0 {
		n = o.Size - off
	}
	if off < 0 || n < 0 || off > o.Size-n {
		return nil, errcode.New(errcode.RangeInvalid, "%d bytes from offset %d lie outside the object of %d bytes", n, off, o.Size)
	}
	if c.reason(o) != "" {
		return c.o.Source.OpenRange(ctx, o.Store, o.Key, off, n)
	}
	r := &reader{ctx: ctx, c: c, obj: o, off: off, end: off + n}
	f, local := c.find(o, off, n)
	if f != nil {
		local = f
		if f.waitOpened(ctx) != nil { // the store itself says why not
			f.close()
			local = nil
		}
	}
	r.local = local
	if local == nil {
		if err := r.openStore(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// find returns the fill, or the entry, from which to read, or neither.
func (c *Cache) find(o Object, off, n int64) (*fill, local) {
	id := id(o.Store, o.Key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[id]; el != nil {
		if hit := c.hit(o, id); hit != nil {
			c.stats.Hits++
			return nil, hit
		}
	}
	if f := c.fills[id]; f != nil {
		if f.obj.same(o) && f.join(off) {
			c.stats.Shared++
			return f, nil
		}
		c.stats.Misses++
		return nil, nil
	}
	c.stats.Misses++
	if off > 0 || n < o.Size {
		return nil, nil
	}
	f, err := c.begin(id, o, false)
	if err != nil {
		c.o.Log.Info().Err(err).Str("image", o.ImageID).Int64("size", o.Size).Msg("cache: the image is not copied")
		return nil, nil
	}
	return f, nil
}

// hit opens an entry, nil if it is not what it was. c.mu is held.
func (c *Cache) hit(o Object, id string) local {
	el := c.entries[id]
	e := entryOf(el)
	if !e.rec.same(o) {
		c.remove(el)
		return nil
	}
	file, err := c.openData(e.rec)
	if err != nil {
		c.invalid(el, err)
		return nil
	}
	e.hits++
	e.accessed = time.Now()
	c.order.MoveToFront(el)
	c.touched = true
	return &copied{c: c, id: id, name: e.rec.File, file: file}
}

// invalid removes an entry whose bytes are not what they were. c.mu is held.
func (c *Cache) invalid(el *list.Element, err error) {
	e := entryOf(el)
	c.stats.Invalid++
	c.remove(el)
	c.o.Log.Warn().Err(err).Str("image", e.rec.ImageID).Msg("cache: removed a copy that is damaged")
}

// Why no fill begins.
var (
	errBusy = errors.New("too many images are being copied, or they take the whole cache")
	errFull = errors.New("the disk has no room")
)

// begin begins a fill with one reader, or without if it is wanted for itself. It
// makes room by removing what was not read for longest. c.mu is held.
func (c *Cache) begin(id string, o Object, keep bool) (*fill, error) {
	var filling int64
	for _, f := range c.fills {
		filling += f.obj.Size
	}
	switch {
	case c.closed:
		return nil, errClosed
	case len(c.fills) >= MaxFills, filling+o.Size > c.o.MaxBytes:
		c.stats.Busy++
		return nil, errBusy
	}
	free, err := fsutil.Free(c.o.Dir)
	if err == nil && free+c.used-filling < o.Size+MinFree { // not even without any entry
		err = errFull
	}
	if err != nil {
		c.stats.DiskErrors++
		return nil, err
	}
	for c.order.Len() > 0 && (c.used+o.Size > c.o.MaxBytes || free < o.Size+MinFree) {
		free += c.evict()
	}
	f, err := c.newFill(id, o, keep)
	if err != nil {
		c.stats.DiskErrors++
		return nil, err
	}
	if !keep {
		f.join(0)
	}
	c.fills[id] = f
	c.used += o.Size
	c.running.Add(1)
	go f.run()
	return f, nil
}

// local is where a reader finds bytes on this machine.
type local interface {
	// readAt reads at least one byte of p from off, and waits for it.
	readAt(ctx context.Context, p []byte, off int64) (int, error)
	close()
}

var (
	_ local = (*fill)(nil)
	_ local = (*copied)(nil)
)

// copied reads an entry. It goes on when the entry is removed.
type copied struct {
	c    *Cache
	id   string
	name string
	file *os.File
}

func (h *copied) readAt(_ context.Context, p []byte, off int64) (int, error) {
	n, err := h.file.ReadAt(p, off)
	if n > 0 {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if el := h.c.entries[h.id]; el != nil && entryOf(el).rec.File == h.name {
		h.c.invalid(el, err)
	}
	return 0, err
}

func (h *copied) close() { h.file.Close() }

// reader reads from where it is near, and else from the store.
type reader struct {
	ctx      context.Context
	c        *Cache
	obj      Object
	off, end int64
	local    local         // nil once the store is read
	remote   io.ReadCloser // from off to end
}

// Read reads on.
func (r *reader) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.off)]
	if len(p) == 0 {
		return 0, nil
	}
	if r.local != nil {
		n, err := r.local.readAt(r.ctx, p, r.off)
		r.off += int64(n)
		switch {
		case err == nil:
			return n, nil
		case r.ctx.Err() != nil:
			return 0, r.ctx.Err()
		case errors.Is(err, errCorrupt):
			return 0, errcode.Wrap(err, errcode.ChecksumMismatch, "the store sends bytes of image %s with another digest than %s:%s", r.obj.ImageID, r.obj.Algo, r.obj.Hex)
		}
		r.local.close()
		r.local = nil
	}
	if r.remote == nil {
		if err := r.openStore(); err != nil {
			return 0, err
		}
	}
	n, err := r.remote.Read(p)
	r.off += int64(n)
	if err == io.EOF && r.off < r.end {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *reader) openStore() (err error) {
	r.remote, err = r.c.o.Source.OpenRange(r.ctx, r.obj.Store, r.obj.Key, r.off, r.end-r.off)
	return err
}

// Close lets go of the object.
func (r *reader) Close() error {
	if r.local != nil {
		r.local.close()
		r.local = nil
	}
	if r.remote == nil {
		return nil
	}
	err := r.remote.Close()
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
