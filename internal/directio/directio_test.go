package directio

import (
	"bytes"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWritesAreThoseOfAFile writes runs of every kind of offset, length and place in
// memory, and holds the file against one that was written without any of this.
func TestWritesAreThoseOfAFile(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, dir := range folders(t) {
		f := create(t, dir)
		w := Writer(f)
		want := make([]byte, 6<<20)
		for range 200 {
			off := rng.Intn(len(want) - 1)
			n := rng.Intn(min(1<<20+5*Block, len(want)-off)) + 1
			if rng.Intn(2) == 0 {
				off, n = off/Block*Block, max(Block, n/Block*Block)
			}
			p := Buffer(n + 3)[rng.Intn(3):][:n]
			rng.Read(p)
			copy(want[off:], p[:min(n, len(want)-off)])
			if k, err := w.WriteAt(p[:min(n, len(want)-off)], int64(off)); err != nil || k != min(n, len(want)-off) {
				t.Fatalf("write %d at %d: %d, %v", n, off, k, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, want[:len(got)]) || !allZero(want[len(got):]) {
			t.Fatalf("%s: the file is not what was written: %d bytes, %v", dir, len(got), err)
		}
		readsAs(t, f, got, rng)
	}
}

// readsAs reads ranges, also beyond the end, of which some are cached and some not.
func readsAs(t *testing.T, f *os.File, want []byte, rng *rand.Rand) {
	t.Helper()
	r := Reader(f)
	defer r.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if rng.Intn(4) == 0 { // some pages, of some ranges
			_ = unix.Fadvise(int(f.Fd()), int64(rng.Intn(len(want))), int64(rng.Intn(1<<20)), unix.FADV_DONTNEED)
		}
		off := rng.Intn(len(want) + 10)
		if rng.Intn(2) == 0 {
			off = off / Block * Block
		}
		p := Buffer(rng.Intn(3 << 20))
		n, err := r.ReadAt(p, int64(off))
		k := max(0, min(len(p), len(want)-off))
		if n != k || (n < len(p)) != (err == io.EOF) || (err != nil && err != io.EOF) {
			t.Fatalf("read %d at %d of %d: %d, %v", len(p), off, len(want), n, err)
		}
		if !bytes.Equal(p[:n], want[min(off, len(want)):][:n]) {
			t.Fatalf("read %d at %d: other bytes", len(p), off)
		}
	}
	if r.refused.Load() {
		t.Error("a read at the file's end was taken for a file system that cannot")
	}
}

// TestPastTheCache shows that whole blocks are not in the page cache behind a write,
// where the file system has such a way: else nothing here would be worth its lines.
func TestPastTheCache(t *testing.T) {
	f := create(t, t.TempDir())
	w := Writer(f)
	defer w.Close()
	if w.direct == nil {
		t.Skip("SKIPPED: the file system of the temporary folder takes no direct writes")
	}
	p := Buffer(1 << 20)
	rand.New(rand.NewSource(2)).Read(p)
	if _, err := w.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if w.refused.Load() || unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 1}, &unix.Cachestat_t{}, 0) != nil {
		t.Skip("SKIPPED: no direct writes here, or a kernel that does not tell what is cached")
	}
	if cached(t, f, len(p)) {
		t.Error("what was written past the cache is in it")
	}
	got := Buffer(len(p))
	r := Reader(f)
	defer r.Close()
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, p) {
		t.Fatalf("read back: %v", err)
	}
	if cached(t, f, len(p)) {
		t.Error("what was read past the cache is in it")
	}
}

// cached reports whether the first bytes are in the page cache.
func cached(t *testing.T, f *os.File, n int) bool {
	t.Helper()
	return (&File{f: f}).mostlyCached(0, n)
}

// TestNeighboursAtOnce writes runs that share blocks, from many goroutines.
func TestNeighboursAtOnce(t *testing.T) {
	f := create(t, t.TempDir())
	w := Writer(f)
	defer w.Close()
	want := make([]byte, 8<<20)
	rand.New(rand.NewSource(3)).Read(want)
	const run = 100_000 // shares a block with each neighbour
	var wg sync.WaitGroup
	for i := 0; i*run < len(want); i++ {
		wg.Go(func() {
			if _, err := w.WriteAt(want[i*run:min(len(want), (i+1)*run)], int64(i*run)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(f.Name())
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("neighbours have overwritten each other: %v", err)
	}
}

// TestClosedFile fails as a file does, and does not go on without.
func TestClosedFile(t *testing.T) {
	f := create(t, t.TempDir())
	w := Writer(f)
	w.Close()
	f.Close()
	for _, n := range []int{10, 1 << 20} {
		if _, err := w.WriteAt(Buffer(n), 0); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("write %d: %v", n, err)
		}
		if _, err := w.ReadAt(Buffer(n), 0); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("read %d: %v", n, err)
		}
	}
}

// folders are one on the disk and, where there is one, one in memory, which has had
// no direct way until recently.
func folders(t *testing.T) []string {
	out := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "directio"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		out = append(out, dir)
	}
	return out
}

func create(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func allZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }

// BenchmarkWrite compares both ways, with the sync that makes the bytes durable.
func BenchmarkWrite(b *testing.B) {
	p := Buffer(2 << 20)
	rand.New(rand.NewSource(4)).Read(p)
	const total = 256 << 20
	for _, way := range []string{"cached", "past"} {
		b.Run(way, func(b *testing.B) {
			b.SetBytes(total)
			for range b.N {
				f, err := os.Create(filepath.Join(b.TempDir(), "f"))
				if err != nil {
					b.Fatal(err)
				}
				w := &File{f: f}
				if way == "past" {
					w = Writer(f)
				}
				for off := int64(0); off < total; off += int64(len(p)) {
					if _, err := w.WriteAt(p, off); err != nil {
						b.Fatal(err)
					}
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				w.Close()
				f.Close()
			}
		})
	}
}
