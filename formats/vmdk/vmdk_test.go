package vmdk

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

func TestQemuImages(t *testing.T) {
	for _, sub := range []string{monolithicSparse, streamOptimized} {
		for _, c := range imgtest.Cases() {
			t.Run(sub+"/"+c.Name, func(t *testing.T) {
				path := imgtest.Convert(t, imgtest.WriteRaw(t, c.Disk), "raw", "vmdk", "subformat="+sub)
				f := imgtest.OpenFile(t, path)
				open := formattest.OpenBytes(Format{}, f, f.Size())
				formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: c.Disk})

				oracle := imgtest.OpenFile(t, imgtest.Convert(t, path, "vmdk", "raw"))
				d := open(t)
				imgtest.EqualDisk(t, d, oracle)
				info := d.Info()
				if info.Subformat != sub || info.BlockSize != 64<<10 || len(info.Findings) != 0 {
					t.Errorf("info %+v", info)
				}
			})
		}
	}
}

func TestZeroedGrains(t *testing.T) {
	raw := imgtest.WriteRaw(t, imgtest.New(4<<20, 1, imgtest.Run{Off: 0, Len: 4 << 20, Kind: imgtest.Noise}))
	path := imgtest.Convert(t, raw, "raw", "vmdk", "subformat=monolithicSparse,zeroed_grain=on")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := decodeHeader(b, 0)
	if h.flags&flagZeroGrain == 0 || h.version != 2 {
		t.Fatalf("qemu-img wrote flags %#x, version %d", h.flags, h.version)
	}
	setGTE(b, 3, 1)
	setGTE(b, 4, 1)
	setGTE(b, 5, 0)
	want := imgtest.New(4<<20, 1, imgtest.Run{Off: 0, Len: 3 << 16, Kind: imgtest.Noise},
		imgtest.Run{Off: 3 << 16, Len: 2 << 16, Kind: imgtest.Zero}, imgtest.Run{Off: 6 << 16, Len: 58 << 16, Kind: imgtest.Noise})
	open := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))
	formattest.Reader(t, formattest.Spec{Open: open, File: bytes.NewReader(b), Want: want})
	for _, c := range []struct {
		off  int64
		want formats.State
	}{{3 << 16, formats.Zero}, {5<<16 - 1, formats.Zero}, {5 << 16, formats.Hole}, {6 << 16, formats.Data}} {
		if e, err := open(t).ExtentAt(c.off); err != nil || e.State != c.want {
			t.Errorf("extent at %d is %+v, %v, want %s", c.off, e, err, c.want)
		}
	}
}

func TestStreamDialects(t *testing.T) {
	cases := imgtest.Cases()
	for _, how := range []struct {
		name string
		dialect
	}{
		{"footer", dialect{footer: true, version: 1}},
		{"footer version 3, short last grain", dialect{footer: true, version: 3, shortLast: true}},
		{"rewritten header", dialect{version: 3}},
	} {
		for _, c := range cases {
			if c.Disk.Size() > 64<<20 {
				continue // the writer of this test walks every grain
			}
			t.Run(how.name+"/"+c.Name, func(t *testing.T) {
				b := stream(t, c.Disk, how.dialect)
				formattest.Reader(t, formattest.Spec{
					Open: formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b))),
					File: bytes.NewReader(b), Want: c.Disk,
				})
				if how.shortLast {
					return // qemu wants a whole last grain
				}
				path := t.TempDir() + "/stream.vmdk"
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				imgtest.Equal(t, imgtest.OpenFile(t, imgtest.Convert(t, path, "vmdk", "raw")), c.Disk, c.Disk.Size())
			})
		}
	}
}

func TestCacheOfOneTable(t *testing.T) {
	c := imgtest.Random(5, 1<<30, 8<<20)
	f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, c), "raw", "vmdk"))
	lim := formats.DefaultLimits()
	lim.CacheBytes = 0
	formattest.Reader(t, formattest.Spec{Want: c, File: f, Open: func(t testing.TB) formats.Disk {
		d, err := Format{}.Open(f, f.Size(), lim)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.(*disk).cache.slots); n != 1 {
			t.Fatalf("the cache has %d slots, want 1", n)
		}
		return d
	}})
}

func TestReadsDoNotAllocate(t *testing.T) {
	imgtest.CountsAllocations(t)
	src := imgtest.New(8<<20, 1, imgtest.Run{Off: 0, Len: 8 << 20, Kind: imgtest.Text})
	for _, sub := range []string{monolithicSparse, streamOptimized} {
		f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vmdk", "subformat="+sub))
		d, err := Format{}.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		got := testing.AllocsPerRun(20, func() {
			if _, err := d.ReadAt(buf, 3<<20+512); err != nil {
				t.Error(err)
			}
		})
		if got > 2 {
			t.Errorf("%s: a read of 16 grains allocates %v times", sub, got)
		}
	}
}

// countingReader counts reads and their bytes.
type countingReader struct {
	io.ReaderAt
	reads, bytes int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.reads++
	r.bytes += int64(len(p))
	return r.ReaderAt.ReadAt(p, off)
}

func TestSmallReadsInflateAGrainOnce(t *testing.T) {
	imgtest.CountsAllocations(t)
	src := imgtest.New(8<<20, 1, imgtest.Run{Off: 0, Len: 8 << 20, Kind: imgtest.Text})
	f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vmdk", "subformat=streamOptimized"))
	r := &countingReader{ReaderAt: f}
	d, err := Format{}.Open(r, f.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r.reads = 0
	buf := make([]byte, 2048)
	for off := int64(0); off < d.Size(); off += 2048 {
		if _, err := d.ReadAt(buf, off); err != nil {
			t.Fatal(err)
		}
	}
	// 128 grains; the pool may lose one now and then when it changes threads.
	if r.reads > 3*128 {
		t.Errorf("%d reads for 128 grains in pieces of 2 KiB", r.reads)
	}
}

func TestTablesOfALargeDiskAreReadInRuns(t *testing.T) {
	f := imgtest.OpenFile(t, imgtest.Create(t, "vmdk", 128<<30))
	r := &countingReader{ReaderAt: f}
	d, err := Format{}.Open(r, f.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r.reads, r.bytes = 0, 0
	var n int
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if n++; err != nil || e.State != formats.Hole || e.Len != 128<<30 {
			t.Errorf("extent %+v, %v", e, err)
		}
	}
	const tables = 4096
	if n != 1 || r.reads > tables/readAhead || r.bytes > tables*2048 {
		t.Errorf("%d extents, %d reads of %d bytes for %d tables", n, r.reads, r.bytes, tables)
	}
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfTheReaderKeepTheirCode(t *testing.T) {
	b := stream(t, full(), dialect{footer: true, version: 3})
	gone := errcode.Wrap(io.ErrUnexpectedEOF, errcode.SourceUnreachable, "the source stopped answering")
	for after := int64(0); after < 12; after++ {
		r := &failingReader{ReaderAt: bytes.NewReader(b), after: after, err: gone}
		_, err := use(r, int64(len(b)))
		if got := errcode.Of(err); got != errcode.SourceUnreachable {
			t.Errorf("reader fails at read %d: %q, want %s: %v", after, got, errcode.SourceUnreachable, err)
		}
	}
}

// failingReader fails from a number of reads on.
type failingReader struct {
	io.ReaderAt
	after int64
	err   error
}

func (r *failingReader) ReadAt(p []byte, off int64) (int, error) {
	if r.after--; r.after < 0 {
		return 0, r.err
	}
	return r.ReaderAt.ReadAt(p, off)
}

// use opens an image and reads it whole.
func use(r io.ReaderAt, size int64) (int, error) {
	d, err := Format{}.Open(r, size, formats.DefaultLimits())
	if err != nil {
		return 0, err
	}
	return d.ReadAt(make([]byte, d.Size()), 0)
}

// setGTE overwrites entry i of the image's first grain table.
func setGTE(b []byte, i int, sector uint32) {
	le := binary.LittleEndian
	gd := le.Uint64(b[56:]) * sectorBytes
	gt := int(le.Uint32(b[gd:])) * sectorBytes
	le.PutUint32(b[gt+4*i:], sector)
}

// gteOf returns entry i of the image's first grain table.
func gteOf(b []byte, i int) uint32 {
	le := binary.LittleEndian
	gd := le.Uint64(b[56:]) * sectorBytes
	gt := int(le.Uint32(b[gd:])) * sectorBytes
	return le.Uint32(b[gt+4*i:])
}

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		kind imgtest.Kind
	}{{"text", imgtest.Text}, {"noise", imgtest.Noise}} {
		raw := imgtest.WriteRaw(b, imgtest.New(64<<20, 1, imgtest.Run{Off: 0, Len: 64 << 20, Kind: c.kind}))
		for _, sub := range []string{monolithicSparse, streamOptimized} {
			b.Run(sub+"/"+c.name, func(b *testing.B) {
				f := imgtest.OpenFile(b, imgtest.Convert(b, raw, "raw", "vmdk", "subformat="+sub))
				formattest.BenchmarkRead(b, formattest.OpenBytes(Format{}, f, f.Size())(b))
			})
		}
	}
}
