package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ingest/internal/fsutil"
)

const (
	// fillBuffer is what a fill reads at once, bytes.
	fillBuffer = 256 << 10
	// tail is what readers do not get before the digest is known to be right,
	// bytes: without it no client can take a damaged copy for the whole.
	tail = 64 << 10
	// ahead is how far behind the end of what is there, in bytes, a range may begin
	// that waits for the fill; one that begins later is read from the store.
	ahead = 8 << 20
)

// Why a fill ended without an entry.
var (
	errClosed    = errors.New("the cache is closed")
	errAbandoned = errors.New("its readers have gone")
	errDropped   = errors.New("it was removed")
	errStalled   = errors.New("the store sent nothing for too long")
	errCorrupt   = errors.New("the bytes have another digest than the image")
)

// diskError says that the folder did not take the bytes.
type diskError struct{ err error }

func (e *diskError) Error() string { return "write the copy: " + e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// fill copies one object from its store into a file.
type fill struct {
	c      *Cache
	id     string
	obj    Object
	name   string // of the file below data/
	file   *os.File
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended

	mu       sync.Mutex // guards everything below
	have     int64      // bytes of the file
	moved    time.Time  // when the last of them came
	opened   bool       // the store answers
	verified bool       // all bytes are there and right
	err      error      // why there will be no entry
	changed  chan struct{}
	readers  int
	keep     bool // goes on without readers
	refs     int  // who has the file open: each reader, and the fill
}

// newFill makes the file. c.mu is held.
func (c *Cache) newFill(id string, o Object, keep bool) (*fill, error) {
	var r [8]byte
	if _, err := rand.Read(r[:]); err != nil {
		return nil, err
	}
	name := id + "." + hex.EncodeToString(r[:])
	file, err := os.OpenFile(c.data(name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &fill{
		c: c, id: id, obj: o, name: name, file: file, ctx: ctx, cancel: cancel, done: make(chan struct{}),
		moved: time.Now(), changed: make(chan struct{}), keep: keep, refs: 1,
	}, nil
}

func (f *fill) run() {
	defer f.c.running.Done()
	defer f.cancel()
	err := f.copy()
	if err == nil {
		err = f.c.commit(f)
	}
	f.mu.Lock()
	if f.err != nil { // said by who gave it up, and the reason of what copy returns
		err = f.err
	}
	f.mu.Unlock()
	if err != nil {
		f.c.failed(f, err)
	}
	f.end(err)
	f.release()
}

// copy reads the object to its end.
func (f *fill) copy() error {
	body, err := f.c.o.Source.OpenRange(f.ctx, f.obj.Store, f.obj.Key, 0, f.obj.Size)
	if err != nil {
		return fmt.Errorf("open the object: %w", err)
	}
	defer body.Close()
	f.move(0)
	h, buf := newHash(f.obj.Algo), make([]byte, fillBuffer)
	for left := f.obj.Size; left > 0; {
		n, err := body.Read(buf[:min(int64(len(buf)), left)])
		if n > 0 {
			h.Write(buf[:n])
			if _, err := f.file.Write(buf[:n]); err != nil {
				return &diskError{err}
			}
			left -= int64(n)
			f.move(int64(n))
		}
		if gone := f.ctx.Err(); gone != nil {
			return gone
		}
		if err != nil && left > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read the object at offset %d: %w", f.obj.Size-left, err)
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != f.obj.Hex {
		return errCorrupt
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.verified = true
		f.tell()
	}
	return f.err
}

// move says that n more bytes are there.
func (f *fill) move(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have += n
	f.opened, f.moved = true, time.Now()
	f.tell()
}

// tell wakes everybody who waits for the fill. f.mu is held.
func (f *fill) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// giveUp ends a fill early. Its readers go on from the store at once, even if the
// store does not let go of the fill.
func (f *fill) giveUp(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		f.tell()
	}
	f.cancel()
}

func (f *fill) end(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.tell()
	f.mu.Unlock()
	close(f.done)
}

// commit makes an entry of a whole and verified file.
func (c *Cache) commit(f *fill) error {
	if err := fsutil.Datasync(f.file); err != nil {
		return &diskError{err}
	}
	if err := fsutil.SyncDir(filepath.Join(c.o.Dir, dataDir)); err != nil {
		return &diskError{err}
	}
	fi, err := f.file.Stat()
	if err != nil {
		return &diskError{err}
	}
	e := &entry{id: f.id, accessed: time.Now(), rec: record{Object: f.obj, File: f.name, Mtime: fi.ModTime().UnixNano(), Filled: time.Now()}}
	b, err := json.Marshal(e.rec)
	if err != nil {
		return err
	}
	if err := fsutil.WriteDurable(filepath.Join(c.o.Dir, indexDir), f.id+recordSuffix, b); err != nil {
		return &diskError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil && f.err != errClosed {
		return f.err // failed removes the record
	}
	f.err = nil
	delete(c.fills, f.id)
	c.entries[f.id] = c.order.PushFront(e)
	c.touched = true
	c.stats.Filled++
	c.stats.FilledBytes += f.obj.Size
	return nil
}

// failed removes what a fill leaves, and says why.
func (c *Cache) failed(f *fill, err error) {
	_ = os.Remove(c.record(f.id))
	_ = os.Remove(c.record(f.id) + fsutil.TempSuffix)
	_ = os.Remove(c.data(f.name))
	c.mu.Lock()
	delete(c.fills, f.id)
	c.used -= f.obj.Size
	log := c.o.Log.Warn()
	var disk *diskError
	switch {
	case errors.Is(err, errCorrupt):
		c.stats.Corrupt++
		log = c.o.Log.Error()
	case errors.Is(err, errStalled):
		c.stats.Stalled++
	case errors.As(err, &disk):
		c.stats.DiskErrors++
	case errors.Is(err, errAbandoned), errors.Is(err, errDropped), errors.Is(err, errClosed):
		c.stats.Abandoned++
		log = c.o.Log.Debug()
	default:
		c.stats.Failed++
	}
	c.mu.Unlock()
	log.Err(err).Str("image", f.obj.ImageID).Str("store", f.obj.Store).Int64("of", f.obj.Size).Msg("cache: the image is not copied")
}

// join adds a reader that begins at off, unless the fill does not help it.
func (f *fill) join(off int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || off > f.have+ahead {
		return false
	}
	f.readers++
	f.refs++
	return true
}

// leave takes a reader away. A fill without readers ends, if it is not wanted for
// itself and less than half is there.
func (f *fill) leave() {
	f.mu.Lock()
	f.readers--
	alone := f.readers == 0 && !f.keep && !f.verified && f.have < f.obj.Size/2
	f.mu.Unlock()
	if alone {
		f.giveUp(errAbandoned)
	}
	f.release()
}

// release closes the file when nobody has it any more.
func (f *fill) release() {
	f.mu.Lock()
	f.refs--
	last := f.refs == 0
	f.mu.Unlock()
	if last {
		f.file.Close()
	}
}

// wait returns how many bytes from off can be read, when there are some.
func (f *fill) wait(ctx context.Context, off int64) (int64, error) {
	for {
		f.mu.Lock()
		n, err, changed := f.have-off, f.err, f.changed
		if f.verified {
			err = nil
		} else {
			n = min(f.have, f.obj.Size-tail) - off
		}
		f.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// waitOpened returns nil when the store has answered, whatever came of it since, and
// the error when it will not.
func (f *fill) waitOpened(ctx context.Context) error {
	for {
		f.mu.Lock()
		opened, err, changed := f.opened, f.err, f.changed
		f.mu.Unlock()
		if opened {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readAt implements local.
func (f *fill) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := f.wait(ctx, off)
	if err != nil {
		return 0, err
	}
	return f.file.ReadAt(p[:min(int64(len(p)), n)], off)
}

// close implements local.
func (f *fill) close() { f.leave() }

// stalled reports whether the store let the fill wait for too long.
func (f *fill) stalled(most time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err == nil && !f.verified && time.Since(f.moved) > most
}
