package qcow2

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

func TestTableCacheKeepsItsBound(t *testing.T) {
	for limit, room := range map[int64]int{0: 1, 1: 1, 4 * 164: 4, 5*164 - 1: 4, 1 << 20: 7} {
		reads := 0
		c := newTableCache(limit, 100, 7, func(i int64) ([]byte, error) { reads++; return []byte{byte(i)}, nil })
		for i := range int64(70) {
			for range 2 {
				if p, err := c.get(i % 7); err != nil || p[0] != byte(i%7) {
					t.Fatalf("limit %d: table %d is %v, %v", limit, i%7, p, err)
				}
			}
		}
		// Tables that share their slot take turns; the others stay.
		alone := max(0, 2*room-7)
		if want := alone + 10*(7-alone); len(c.slots) != room || reads != want {
			t.Errorf("limit %d: %d slots, want %d; %d reads of 7 tables in turn, want %d", limit, len(c.slots), room, reads, want)
		}
	}
}

func TestTableCacheReadsOnceForAll(t *testing.T) {
	var reads atomic.Int32
	c := newTableCache(1000, 100, 9, func(int64) ([]byte, error) { reads.Add(1); return []byte{9}, nil })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if p, err := c.get(3); err != nil || p[0] != 9 {
				t.Errorf("get: %v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if reads.Load() != 1 {
		t.Errorf("%d reads, want 1", reads.Load())
	}
}

// flaky is a file that cannot be read while down is set.
type flaky struct {
	io.ReaderAt
	down *error
}

func (f flaky) ReadAt(p []byte, off int64) (int, error) {
	if *f.down != nil {
		return 0, *f.down
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestSourceErrorsAreTheSourcesOwn takes the source away while tables and
// clusters are read, and gives it back.
func TestSourceErrorsAreTheSourcesOwn(t *testing.T) {
	disk := imgtest.New(1<<20, 3, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Text})
	gone := error(errcode.New(errcode.SourceUnreachable, "no answer"))
	for i, comp := range append(compressions, compressions...) {
		format := []formats.Format{Format{}, Witness{}}[i/len(compressions)]
		p := plan(t, 0, disk)
		image := io.ReaderAt(p)
		size := p.Size()
		if comp != CompressionNone {
			e := encode(t, Encoder{Compression: comp}, disk, nil)
			image, size = memory(e.buf), int64(len(e.buf))
		}
		var down error
		d, err := format.Open(flaky{image, &down}, size, formats.Limits{VirtualSize: 1 << 30, TableBytes: 1 << 20, BlockBytes: 1 << 16, RefcountBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1000)
		for range 2 {
			down = gone
			d.(*Disk).cache = newTableCache(0, 1<<16, 1, d.(*Disk).loadTable)
			if _, err := d.ReadAt(buf, 70_000); !errors.Is(err, gone) {
				t.Errorf("%s: read: %v, want the source's error", comp, err)
			}
			down = nil
			if _, err := d.ExtentAt(0); err != nil {
				t.Errorf("%s: extent: %v", comp, err)
			}
			down = gone
			if _, err := d.ReadAt(buf, 70_000); !errors.Is(err, gone) {
				t.Errorf("%s: read with cached tables: %v, want the source's error", comp, err)
			}
			down = nil
			imgtest.EqualDisk(t, d, disk)
			down = io.ErrUnexpectedEOF
			if _, err := d.ReadAt(buf, 70_000); errcode.Of(err) != errcode.Truncated {
				t.Errorf("%s: read of a file that ends early: %v", comp, err)
			}
		}
	}
}

type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, m[min(off, int64(len(m))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
