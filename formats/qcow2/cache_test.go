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
	for limit, room := range map[int64]int{0: 1, 1: 1, 400: 4, 499: 4} {
		reads := 0
		c := newTableCache(limit, 100, func(int64) ([]byte, error) { reads++; return make([]byte, 100), nil })
		for i := range int64(50) {
			for range 2 {
				if _, err := c.get(i % 7); err != nil {
					t.Fatal(err)
				}
			}
			if n := c.recent.Len(); n > room || n != len(c.tables) {
				t.Fatalf("limit %d: %d tables, %d in the index; want at most %d", limit, n, len(c.tables), room)
			}
		}
		if reads != 50 {
			t.Errorf("limit %d: %d reads of 7 tables in turn, want 50", limit, reads)
		}
	}
}

func TestTableCacheReadsOnceForAll(t *testing.T) {
	var reads atomic.Int32
	c := newTableCache(1000, 100, func(int64) ([]byte, error) { reads.Add(1); return []byte{9}, nil })
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
		d, err := format.Open(flaky{image, &down}, size, formats.Limits{VirtualSize: 1 << 30, TableBytes: 1 << 20, BlockBytes: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1000)
		for range 2 {
			down = gone
			d.(*Disk).cache = newTableCache(0, 1<<16, d.(*Disk).loadTable)
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
