package fs

import (
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"ingest/internal/directio"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// content is the bytes of one upload through one handle: written, then sealed.
type content struct {
	mu   sync.RWMutex // shared by WriteAt, taken alone by what ends the writing
	f    *os.File
	to   *directio.File // for writing, nil if it is sealed
	from *directio.File // for reading, nil until it is read
	size int64          // sealed size, -1 while it is written
	gone error          // why the bytes are out of reach, nil while they are not
	// broken is the first sync that failed. It is never cleared: what was
	// written before may be lost, and a later sync would not tell.
	broken  error
	suspect atomic.Bool // set with it, for who does not wait for a sync
}

// use makes f the bytes; size is that of its seal, -1 if it is written still.
func (c *content) use(f *os.File, size int64) {
	c.f, c.size = f, size
	if size < 0 {
		c.to = directio.Writer(f)
	}
}

// WriteAt writes to the file and nothing but p, so that what is never written
// stays a hole.
func (c *content) WriteAt(p []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.gone != nil {
		return 0, c.gone
	}
	if c.size >= 0 {
		return 0, errcode.New(errcode.Conflict, "the upload is sealed and takes no more bytes")
	}
	if off < 0 {
		return 0, errcode.New(errcode.Internal, "write at negative offset %d", off)
	}
	n, err := c.to.WriteAt(p, off)
	return n, storeError(err, "write %d bytes at offset %d", len(p), off)
}

// Sealed returns the sealed size.
func (c *content) Sealed() (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return max(c.size, 0), c.size >= 0
}

// ReaderAt reads the sealed bytes and knows their holes.
func (c *content) ReaderAt() (io.ReaderAt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil, c.gone
	}
	if c.size < 0 {
		return nil, errcode.New(errcode.Conflict, "the upload is not sealed yet")
	}
	return c.reader(c.size), nil
}

// Written reads what is written, also before the seal.
func (c *content) Written() (io.ReaderAt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil, c.gone
	}
	// Whatever the file is long, there is nothing behind its end.
	return c.reader(math.MaxInt64), nil
}

func (c *content) reader(size int64) *reader {
	if c.from == nil {
		c.from = directio.Reader(c.f)
	}
	return &reader{f: c.f, from: c.from, size: size}
}

// sync makes the bytes durable with the given call.
func (c *content) sync(call func(*os.File) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.gone != nil {
		return c.gone
	}
	return c.syncLocked(call)
}

func (c *content) syncLocked(call func(*os.File) error) error {
	if c.broken == nil {
		c.broken = storeError(call(c.f), "make the bytes durable")
		c.suspect.Store(c.broken != nil)
	}
	return c.broken
}

// seal cuts the file at size, makes it durable, has it noted, and ends the
// writing. While it runs nothing is written through this handle.
func (c *content) seal(size int64, note func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return c.gone
	}
	if c.size >= 0 {
		if c.size != size {
			return errcode.New(errcode.Conflict, "the upload is sealed at %d bytes, not %d", c.size, size)
		}
		return nil
	}
	if size < 0 {
		return errcode.New(errcode.Internal, "seal at negative size %d", size)
	}
	if err := c.f.Truncate(size); err != nil {
		return storeError(err, "set the size to %d bytes", size)
	}
	if err := c.syncLocked((*os.File).Sync); err != nil {
		return err
	}
	if err := note(); err != nil {
		return err
	}
	c.size = size
	return nil
}

// end closes the file; every later use fails with why. Only the first counts.
func (c *content) end(why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil
	}
	c.gone = why
	return errors.Join(c.to.Close(), c.from.Close(), c.f.Close())
}

func closedError() error { return errcode.Wrap(os.ErrClosed, errcode.Internal, "the upload is closed") }

// reader reads bytes, and knows their holes.
type reader struct {
	f    *os.File
	from *directio.File
	size int64
}

// ReadAt reads.
func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.from.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = storeError(err, "read %d bytes at offset %d", len(p), off)
	}
	return n, err
}

// NextData returns the first run of data at or after off.
func (r *reader) NextData(off int64) (start, end int64, err error) {
	start, end, err = fsutil.NextData(r.f, off, r.size)
	return start, end, storeError(err, "find the data behind offset %d", off)
}
