package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/stores"
	"ingest/stores/mem"
)

const mib = 1 << 20

// remote is a store far away: it counts what is read, and does what a test tells
// it while the first byte or the next ones are waited for.
type remote struct {
	stores.Store
	opens atomic.Int64
	bytes atomic.Int64
	// gate is called before each read, with the offset; its error ends the read.
	gate atomic.Pointer[func(ctx context.Context, off int64) error]
	// flip is the offset of a byte that is changed on its way, -1 for none.
	flip atomic.Int64
}

func newRemote() *remote {
	r := &remote{Store: mem.New("far")}
	r.flip.Store(-1)
	return r
}

func (r *remote) hold(gate func(ctx context.Context, off int64) error) { r.gate.Store(&gate) }

func (r *remote) OpenRange(ctx context.Context, _, key string, off, n int64) (io.ReadCloser, error) {
	r.opens.Add(1)
	body, err := r.Store.OpenRange(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	return &remoteBody{ReadCloser: body, ctx: ctx, r: r, off: off}, nil
}

type remoteBody struct {
	io.ReadCloser
	ctx context.Context
	r   *remote
	off int64
}

func (b *remoteBody) Read(p []byte) (int, error) {
	if gate := b.r.gate.Load(); gate != nil {
		if err := (*gate)(b.ctx, b.off); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	if at := b.r.flip.Load() - b.off; at >= 0 && at < int64(n) {
		p[at] ^= 1
	}
	b.off += int64(n)
	b.r.bytes.Add(int64(n))
	return n, err
}

// put commits an object of the given size and returns it with its bytes.
func (r *remote) put(t testing.TB, size int) (Object, []byte) {
	t.Helper()
	o, data, err := r.commit(t.Context(), uuid.NewString(), uuid.NewString(), size)
	if err != nil {
		t.Fatal(err)
	}
	return o, data
}

func (r *remote) commit(ctx context.Context, image, upload string, size int) (Object, []byte, error) {
	o := Object{Store: "far", Key: stores.NewKey(image, upload), ImageID: image, Size: int64(size), Algo: "sha256"}
	data := noise(o.Key, size)
	sum := sha256.Sum256(data)
	o.Hex = hex.EncodeToString(sum[:])
	u, err := r.Begin(ctx, o.Key, o.Size)
	if err == nil {
		_, err = u.WriteAt(data, 0)
	}
	if err == nil {
		err = u.Seal(ctx, o.Size)
	}
	if err == nil {
		err = u.Commit(ctx, stores.Digest{Algo: o.Algo, Hex: o.Hex, Size: o.Size})
	}
	return o, data, err
}

// noise returns bytes that follow from the key.
func noise(key string, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(key))).Read(data)
	return data
}

// open opens a cache, with the standard limits where o has none.
func open(t testing.TB, o Options) *Cache {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 * mib
	}
	if o.Stall == 0 {
		o.Stall = time.Hour
	}
	o.Log = zerolog.Nop()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// get reads n bytes from off and compares.
func get(t testing.TB, c *Cache, o Object, data []byte, off, n int64) {
	t.Helper()
	r, err := c.Reader(t.Context(), o, off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	want := data[off:]
	if n >= 0 {
		want = want[:n]
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes from %d: got %d other ones", len(want), off, len(got))
	}
}

// settle waits until no fill runs.
func settle(t testing.TB, c *Cache) {
	t.Helper()
	c.mu.Lock()
	var done []chan struct{}
	for _, f := range c.fills {
		done = append(done, f.done)
	}
	c.mu.Unlock()
	for _, d := range done {
		select {
		case <-d:
		case <-t.Context().Done():
			t.Fatal("a fill does not end")
		}
	}
}

// files lists the folder's data files, records and queue.
func files(t testing.TB, c *Cache) (data, records, queue []string) {
	t.Helper()
	list := func(dir string) (out []string) {
		found, err := os.ReadDir(filepath.Join(c.o.Dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			out = append(out, f.Name())
		}
		return out
	}
	return list(dataDir), list(indexDir), list(queueDir)
}

// whole checks that what the folder has is what the cache says, and nothing else.
func whole(t testing.TB, c *Cache) {
	t.Helper()
	settle(t, c)
	data, records, _ := files(t, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum int64
	names := map[string]bool{}
	for _, e := range c.byAccess() {
		sum += e.rec.Size
		names[e.rec.File] = true
		names[e.id+recordSuffix] = true
	}
	for _, name := range append(data, records...) {
		if !names[name] {
			t.Errorf("%s belongs to no entry", name)
		}
	}
	if len(data) != len(c.entries) || len(records) != len(c.entries) || c.order.Len() != len(c.entries) || sum != c.used || c.used > c.o.MaxBytes {
		t.Errorf("%d entries in %d data files and %d records; %d of %d bytes, counted %d", len(c.entries), len(data), len(records), sum, c.o.MaxBytes, c.used)
	}
}

func has(c *Cache, o Object) bool {
	for _, e := range c.View().Entries {
		if e.Object == o {
			return true
		}
	}
	return false
}

// readers reads the object whole, many times at once.
func readers(t testing.TB, c *Cache, o Object, data []byte, n int) {
	t.Helper()
	var all sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		all.Go(func() {
			r, err := c.Reader(t.Context(), o, 0, -1)
			if err != nil {
				errs <- err
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				errs <- fmt.Errorf("%d of %d bytes, %v", len(got), len(data), err)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
