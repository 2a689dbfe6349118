package parallels

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/metrics"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// vast is a file of a header and zeros, which are a BAT of holes, without the
// memory.
type vast struct {
	head []byte
	size int64
	read atomic.Int64 // bytes
}

func (v *vast) ReadAt(p []byte, off int64) (int, error) {
	v.read.Add(int64(len(p)))
	if off >= v.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), v.size-off))
	clear(p[:n])
	if off < int64(len(v.head)) {
		copy(p[:n], v.head[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// newVast returns an image of holes.
func newVast(size, cluster int64) *vast {
	n := size / cluster
	data := binio.DivCeil(headerBytes+n*entryBytes, cluster) * cluster
	v := &vast{head: make([]byte, headerBytes), size: data}
	putHeader(v.head, recipe{tracks: uint32(cluster / sectorBytes)}, size, data, n)
	return v
}

func allocated() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// However large the disk is, its BAT is read once by a walk over the extents
// and once by Validate, and it is never held whole.
func TestLongHoles(t *testing.T) {
	for _, c := range []struct {
		name          string
		size, cluster int64
	}{
		{"1 TiB in clusters of 1 MiB", 1 << 40, 1 << 20},
		{"1 TiB in clusters of 64 KiB", 1 << 40, 64 << 10},
		{"64 TiB in clusters of 1 MiB", 64 << 40, 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVast(c.size, c.cluster)
			before := allocated()
			lim := formats.DefaultLimits()
			lim.CacheBytes = 1 << 20
			d, err := Format{}.Open(v, v.size, lim)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for e, err := range formats.Extents(d, 0, d.Size()) {
				if n++; err != nil || e.State != formats.Hole || e.Len != c.size {
					t.Fatalf("extent %+v, %v", e, err)
				}
			}
			bat := c.size / c.cluster * entryBytes
			if got := v.read.Load(); n != 1 || got > bat+2*headerBytes {
				t.Errorf("%d extents, read %d bytes of a BAT of %d", n, got, bat)
			}
			if got := allocated() - before; got > bat+8<<20 {
				t.Errorf("the walk allocated %d bytes", got)
			}
			v.read.Store(0)
			before = allocated()
			if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := v.read.Load(); got > bat {
				t.Errorf("validate read %d bytes of a BAT of %d", got, bat)
			}
			if got := allocated() - before; got > 16<<20 {
				t.Errorf("validate allocated %d bytes", got)
			}
		})
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	src := imgtest.Random(3, 64<<20, 20<<20)
	for _, k := range []recipe{{}, {shuffled: true}, {v1: true, tracks: 63}} {
		b := build(t, src, k)
		d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		off := int64(0)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := d.ReadAt(buf, off); err != nil {
				t.Fatal(err)
			}
			if _, err := d.ExtentAt(off); err != nil {
				t.Fatal(err)
			}
			off = (off + 1<<20) % (63 << 20)
		}); n != 0 {
			t.Errorf("%+v: %g allocations a read", k, n)
		}
	}
}

// With room for one piece of the BAT the reads are right, and a piece that is
// asked for again is not read again.
func TestCacheOfOnePiece(t *testing.T) {
	const clusters = 3 * (8 << 10) // three pieces of the table
	src := imgtest.Random(4, clusters*4096, 3<<20)
	b := build(t, src, recipe{tracks: 8, shuffled: true})
	count := &counter{r: bytes.NewReader(b)}
	d, err := Format{}.Open(count, int64(len(b)), formats.Limits{VirtualSize: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	imgtest.EqualDisk(t, d, src)
	before := count.n.Load()
	for _, want := range []int64{1, 0, 0} {
		if _, err := d.ExtentAt(0); err != nil {
			t.Fatal(err)
		}
		if got := count.n.Load() - before; got != want {
			t.Errorf("%d reads, want %d", got, want)
		}
		before = count.n.Load()
	}
}

type counter struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.n.Add(1)
	return c.r.ReadAt(p, off)
}

func TestAliasesAcrossWindows(t *testing.T) {
	src := imgtest.New(40*4096, 1, imgtest.Run{Off: 0, Len: 40 * 4096, Kind: imgtest.Noise})
	good := build(t, src, recipe{tracks: 8, shuffled: true})
	for _, window := range []int64{1, 3, 39, 40, 64, 65} {
		for _, c := range []struct {
			name string
			make func([]byte) []byte
			want errcode.Code
		}{
			{"good", same, ""},
			{"last twice", all(entry(0, 40), entry(1, 40)), errcode.AliasedBlocks},
			{"first twice", all(entry(2, 1), entry(39, 1)), errcode.AliasedBlocks},
		} {
			b := c.make(bytes.Clone(good))
			d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.(*disk).checkAliases(t.Context(), 40, window); errcode.Of(err) != c.want {
				t.Errorf("window of %d, %s: %v, want %q", window, c.name, err, c.want)
			}
		}
	}
}

func TestValidateCanBeStopped(t *testing.T) {
	v := newVast(1<<40, 1<<20)
	d, err := Format{}.Open(v, v.size, formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.(formats.Validator).Validate(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("validate: %v", err)
	}
}
