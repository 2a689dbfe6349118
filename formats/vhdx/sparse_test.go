package vhdx

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// sparseDisk returns a disk in blocks of 1 MiB with a little data at its begin,
// middle and end, in a sparse file.
func sparseDisk(t testing.TB, size int64) (*imgtest.Disk, *imgtest.File) {
	t.Helper()
	disk := imgtest.New(size, 2, imgtest.Run{Off: 5 << 20, Len: 4096, Kind: imgtest.Noise},
		imgtest.Run{Off: size/2 + 12345, Len: 3 << 20, Kind: imgtest.Noise}, imgtest.Run{Off: size - 4096, Len: 4096, Kind: imgtest.Noise})
	return disk, imgtest.OpenFile(t, newBuilder(disk, mib).file(t))
}

// heap returns how many bytes fn allocates, kept or not.
func heap(fn func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	fn()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

func TestSparseDiskIsWalkedInLittleMemory(t *testing.T) {
	disk, f := sparseDisk(t, 1<<40)
	var d formats.Disk
	extents := 0
	used := heap(func() {
		var err error
		if d, err = (Format{}).Open(f, f.Size(), formats.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		for _, err := range formats.Extents(d, 0, d.Size()) {
			if err != nil {
				t.Fatal(err)
			}
			extents++
		}
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if extents != 6 {
		t.Errorf("%d extents, want 6", extents)
	}
	if used > 64<<20 {
		t.Errorf("%d bytes allocated", used)
	}
	imgtest.EqualDisk(t, d, disk)
}

// TestLargestDisk opens a disk of 64 TiB, whose BAT has 512 MiB.
func TestLargestDisk(t *testing.T) {
	imgtest.CountsAllocations(t)
	disk, f := sparseDisk(t, 64<<40)
	used := heap(func() {
		d, err := Format{}.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := formats.DataBytes(d); err != nil || n != 6*mib {
			t.Errorf("%d bytes of data, %v", n, err)
		}
		imgtest.EqualDisk(t, d, disk)
	})
	if used > 64<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

// TestZeroBlocksCostNoMemory walks a disk of 1 TiB in which qemu has marked
// every block as zeros.
func TestZeroBlocksCostNoMemory(t *testing.T) {
	imgtest.CountsAllocations(t)
	path := imgtest.Create(t, "vhdx", 1<<40, "block_size=1M")
	qemuIO(t, path, "write -P 9 1048575M 1M")
	f := imgtest.OpenFile(t, path)
	used := heap(func() {
		d, err := Format{}.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for e, err := range formats.Extents(d, 0, d.Size()) {
			if n++; err != nil || n == 1 && e.State != formats.Zero || n == 2 && e.State != formats.Data {
				t.Errorf("extent %+v, %v", e, err)
			}
		}
		if n != 2 {
			t.Errorf("%d extents, want 2", n)
		}
	})
	if used > 2<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

func TestEntriesAndBlocks(t *testing.T) {
	for _, ratio := range []int64{16, 128, 4096, 32768} {
		b := &bat{ratio: ratio, shift: bits.TrailingZeros64(uint64(ratio))}
		payload := int64(0)
		for index := range 5*ratio + 3 {
			bitmap := index%(ratio+1) == ratio
			if b.payload(index) != payload || b.isBitmap(index) != bitmap {
				t.Fatalf("ratio %d: entry %d: block %d, bitmap %v; want %d, %v", ratio, index, b.payload(index), b.isBitmap(index), payload, bitmap)
			}
			if bitmap {
				continue
			}
			if b.index(payload) != index {
				t.Fatalf("ratio %d: block %d has entry %d, want %d", ratio, payload, b.index(payload), index)
			}
			payload++
		}
	}
}

func TestCacheKeepsItsBound(t *testing.T) {
	_, f := sparseDisk(t, 1<<40)
	for limit, want := range map[int64]int{0: 1, 1 << 20: 15, 1 << 30: 129} {
		lim := formats.DefaultLimits()
		lim.CacheBytes = limit
		d, err := Format{}.Open(f, f.Size(), lim)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.(*disk).bat.slots); n != want {
			t.Errorf("limit %d: %d pieces, want %d", limit, n, want)
		}
	}
}

// countingReader counts reads of the BAT.
type countingReader struct {
	*imgtest.File
	from, to int64
	n        atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.from && off < c.to {
		c.n.Add(1)
	}
	return c.File.ReadAt(p, off)
}

func TestPieceIsReadOnceForAll(t *testing.T) {
	_, f := sparseDisk(t, 1<<40)
	r := &countingReader{File: f, from: 2 * mib, to: 11 * mib}
	d, err := Format{}.Open(r, f.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r.n.Store(0)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for off := int64(0); off < 12<<30; off += 256 << 20 {
				if _, err := d.ExtentAt(off); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := r.n.Load(); n != 2 {
		t.Errorf("%d reads of 2 pieces", n)
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	_, f := sparseDisk(t, 1<<40)
	d, err := Format{}.Open(f, f.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256<<10)
	if n := testing.AllocsPerRun(50, func() {
		for _, off := range []int64{5 << 20, 1 << 39, 1 << 35} {
			if _, err := d.ReadAt(buf, off); err != nil {
				t.Fatal(err)
			}
			if _, err := d.ExtentAt(off); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// flaky is a file that cannot be read while down is set.
type flaky struct {
	*imgtest.File
	down error
}

func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	if f.down != nil {
		return 0, f.down
	}
	return f.File.ReadAt(p, off)
}

// TestSourceErrorsAreTheSourcesOwn takes the source away and gives it back.
func TestSourceErrorsAreTheSourcesOwn(t *testing.T) {
	disk, f := sparseDisk(t, 64<<30)
	gone := errcode.New(errcode.SourceUnreachable, "no answer")
	r := &flaky{File: f, down: gone}
	open := func() (formats.Disk, error) { return Format{}.Open(r, f.Size(), formats.DefaultLimits()) }
	if _, err := open(); !errors.Is(err, gone) {
		t.Errorf("open: %v, want the source's error", err)
	}
	r.down = nil
	d, err := open()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for _, what := range []string{"BAT", "block"} {
		r.down = gone
		if _, err := d.ReadAt(buf, 5<<20); !errors.Is(err, gone) {
			t.Errorf("read %s: %v, want the source's error", what, err)
		}
		r.down = io.ErrUnexpectedEOF
		if _, err := d.ReadAt(buf, 5<<20); errcode.Of(err) != errcode.Truncated {
			t.Errorf("read %s of a file that ends early: %v", what, err)
		}
		r.down = errors.New("disk on fire")
		if _, err := d.ReadAt(buf, 5<<20); errcode.Of(err) != errcode.Internal {
			t.Errorf("read %s: %v, want an error without a code", what, err)
		}
		if _, err := d.(formats.Validator).Validate(t.Context()); err == nil {
			t.Errorf("validate without a source: no error")
		}
		r.down = nil
		if _, err := d.ExtentAt(5 << 20); err != nil {
			t.Errorf("extent: %v", err)
		}
	}
	imgtest.EqualDisk(t, d, disk)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.(formats.Validator).Validate(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("validate after a cancel: %v", err)
	}
}

func BenchmarkWalk1TiB(b *testing.B) {
	_, f := sparseDisk(b, 1<<40)
	b.ReportAllocs()
	for b.Loop() {
		d, err := Format{}.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := formats.DataBytes(d); err != nil {
			b.Fatal(err)
		}
		if _, err := d.(formats.Validator).Validate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
