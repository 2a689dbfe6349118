package vmdk

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
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
