package vhdx

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// sparse1T returns a disk of 1 TiB in blocks of 1 MiB with a little data, in a
// sparse file.
func sparse1T(t testing.TB, size int64) (*imgtest.Disk, *imgtest.File) {
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
	disk, f := sparse1T(t, 1<<40)
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

func TestCacheKeepsItsBound(t *testing.T) {
	_, f := sparse1T(t, 1<<40)
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
	_, f := sparse1T(t, 1<<40)
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
	_, f := sparse1T(t, 1<<40)
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

func BenchmarkWalk1TiB(b *testing.B) {
	_, f := sparse1T(b, 1<<40)
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
