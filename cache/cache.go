package cache

import (
	"container/list"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
)

// Limits of what goes on at once.
const (
	// MaxFills bounds the fills that run at once; each holds fillBuffer bytes of
	// memory and one file. What is read beyond is read from its store.
	MaxFills = 16
	// MaxQueue bounds the objects that wait to be fetched.
	MaxQueue = 10000
	// MinFree is the room, in bytes, that fills leave on the disk.
	MinFree = 64 << 20
)

const (
	indexDir  = "index"
	dataDir   = "data"
	queueDir  = "queue"
	lockName  = "lock"
	usageName = "usage.json"
)

// An Object is what can be cached: committed bytes of a store, which never change.
type Object struct {
	Store   string `json:"store"`
	Key     string `json:"key"`
	ImageID string `json:"image_id"`
	Size    int64  `json:"size"` // bytes
	Algo    string `json:"algo"` // of the digest of the bytes: sha256, sha512
	Hex     string `json:"hex"`
}

// same reports whether two objects are the same bytes. Images with the same content
// may share an object.
func (o Object) same(other Object) bool {
	other.ImageID = o.ImageID
	return o == other
}

// A Source reads objects.
type Source interface {
	// OpenRange reads n bytes from off; n < 0 reads to the end.
	OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error)
}

// Options say where a cache lies and what it may take.
type Options struct {
	Dir      string // made if it is not there
	MaxBytes int64  // entries and fills together
	// Stall is how long a fill may wait for a byte before it is given up.
	Stall  time.Duration
	Source Source
	// Remote reports whether a store's objects are worth a copy; nil means all.
	Remote func(store string) bool
	// Live returns a test of whether the catalogue names an object still, for
	// Clean; nil keeps what is not named.
	Live func(ctx context.Context) (func(store, key string) bool, error)
	Log  zerolog.Logger
}

// A Cache is safe for concurrent use.
type Cache struct {
	o    Options
	lock *os.File

	mu      sync.Mutex // guards everything below
	closed  bool
	entries map[string]*list.Element // of *entry, by id
	order   *list.List               // the one read last in front
	fills   map[string]*fill         // by id
	used    int64                    // bytes of entries, and of fills when they are whole
	queue   []*queued                // in the order of their requests
	stats   Stats
	touched bool // usage.json is older than the entries' usage

	wake    chan struct{} // tells the prefetcher that there is something to do
	running sync.WaitGroup
}

// entry is an object that is there.
type entry struct {
	id       string
	rec      record
	hits     int64
	accessed time.Time
}

// Open opens the cache in a folder, with the entries that it finds there. It fails
// with errcode.Conflict if another process uses the folder. The caller closes the
// cache.
func Open(o Options) (*Cache, error) {
	for _, dir := range []string{o.Dir, filepath.Join(o.Dir, indexDir), filepath.Join(o.Dir, dataDir), filepath.Join(o.Dir, queueDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(o.Dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, errcode.New(errcode.Conflict, "another process uses the cache in %s", o.Dir)
		}
		return nil, &os.PathError{Op: "flock", Path: lock.Name(), Err: err}
	}
	c := &Cache{
		o: o, lock: lock, entries: map[string]*list.Element{}, order: list.New(), fills: map[string]*fill{}, wake: make(chan struct{}, 1),
	}
	if err := c.load(); err != nil {
		lock.Close()
		return nil, err
	}
	return c, nil
}

// closeWait bounds how long Close waits for fills whose store does not let go.
const closeWait = 5 * time.Second

// Close ends all fills; their readers go on from the store. It waits for them, for
// closeWait at the longest: what they leave behind is removed at the next start.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	for _, f := range c.fills {
		f.giveUp(errClosed)
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeWait):
	}
	c.saveUsage()
	return c.lock.Close()
}

// id names an object in the folder.
func id(store, key string) string {
	sum := sha256.Sum256([]byte(store + "\x00" + key))
	return hex.EncodeToString(sum[:])
}

func newHash(algo string) hash.Hash {
	switch algo {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// reason says why an object is never cached, "" if it may be.
func (c *Cache) reason(o Object) string {
	h := newHash(o.Algo)
	switch {
	case c.o.Remote != nil && !c.o.Remote(o.Store):
		return "its store is local, so that a copy would be no nearer"
	case h == nil || len(o.Hex) != 2*h.Size():
		return "it has no digest by which a copy could be checked"
	case o.Size <= 0:
		return "it is empty"
	case o.Size > c.o.MaxBytes:
		return "it is larger than the cache"
	}
	return ""
}
