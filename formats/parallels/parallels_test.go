package parallels

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
	sizes := []struct {
		option string
		bytes  int64
		every  int // of the disks, one in so many
	}{
		{"1M", 1 << 20, 1}, {"64K", 64 << 10, 1},
		{"4K", 4 << 10, 3}, {"512", 512, 4}, {"32256", 63 * 512, 3}, {"252K", 252 << 10, 4}, {"16M", 16 << 20, 4}, {"256M", 256 << 20, 6},
	}
	for _, cl := range sizes {
		for i, c := range imgtest.Cases() {
			if i%cl.every != 0 || cl.bytes < 4096 && c.Disk.Size() > 1<<30 {
				continue
			}
			t.Run(cl.option+"/"+c.Name, func(t *testing.T) {
				path := imgtest.Convert(t, imgtest.WriteRaw(t, c.Disk), "raw", "parallels", "cluster_size="+cl.option)
				f := imgtest.OpenFile(t, path)
				open := formattest.OpenBytes(Format{}, f, f.Size())
				formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: c.Disk})

				d := open(t)
				imgtest.EqualDisk(t, d, imgtest.OpenFile(t, imgtest.Convert(t, path, "parallels", "raw")))
				info := d.Info()
				if info.Subformat != "v2" || info.BlockSize != cl.bytes || len(info.Findings) != 0 || !info.HolesKnown {
					t.Errorf("info %+v", info)
				}
			})
		}
	}
}

// qemu-img writes the last cluster whole, whatever the virtual size: there is
// no short file to make allowance for.
func TestQemuWritesWholeClusters(t *testing.T) {
	src := imgtest.New(1<<20+512, 1, imgtest.Run{Off: 0, Len: 1<<20 + 512, Kind: imgtest.Noise})
	for option, want := range map[string]int64{"1M": 3 << 20, "64K": 1<<20 + 2*64<<10} {
		f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "parallels", "cluster_size="+option))
		if f.Size() != want {
			t.Errorf("clusters of %s: file of %d bytes, want %d", option, f.Size(), want)
		}
	}
}

func TestLayouts(t *testing.T) {
	sparse := func(size int64) *imgtest.Disk {
		return imgtest.New(size, 3, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Noise},
			imgtest.Run{Off: 2 << 20, Len: 2 << 20, Kind: imgtest.Zero}, imgtest.Run{Off: 5<<20 + 77, Len: 1<<20 + 5, Kind: imgtest.Text})
	}
	for _, c := range []struct {
		name string
		recipe
		src *imgtest.Disk
	}{
		{"v2", recipe{}, sparse(8 << 20)},
		{"v2 in disorder", recipe{shuffled: true}, imgtest.Random(7, 40<<20+512, 20<<20)},
		{"v2 in small clusters and disorder", recipe{tracks: 8, shuffled: true}, imgtest.Random(8, 48<<20+512, 9<<20)},
		{"v2 with a gap", recipe{gap: 3}, sparse(8 << 20)},
		{"v2 with spare entries", recipe{spare: 1000}, sparse(8 << 20)},
		{"v2 with an extension", recipe{extension: true}, sparse(8 << 20)},
		{"v2 in use", recipe{inUse: inUseOpen}, sparse(8 << 20)},
		{"v2 in use with a stale empty bit", recipe{inUse: inUseOpen, flags: flagEmpty}, sparse(8 << 20)},
		{"v2 with unknown flags", recipe{flags: 0xFFFFFFFE}, sparse(8 << 20)},
		{"v2 ends with the guest", recipe{shortEnd: true}, sparse(7<<20 - 512)},
		{"v1", recipe{v1: true}, sparse(8 << 20)},
		{"v1 without data offset", recipe{v1: true, noDataOff: true}, sparse(8 << 20)},
		{"v1 in clusters of 63 sectors", recipe{v1: true, tracks: 63, noDataOff: true}, imgtest.Random(9, 9<<20+512, 4<<20)},
		{"v1 in clusters of 504 sectors and disorder", recipe{v1: true, tracks: 504, shuffled: true, gap: 5}, imgtest.Random(10, 30<<20+512, 9<<20)},
		{"v1 with an extension", recipe{v1: true, extension: true, gap: 7}, sparse(8 << 20)},
		{"v1 in sectors", recipe{v1: true, tracks: 1}, imgtest.Random(11, 5<<20+512, 2<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := build(t, c.src, c.recipe)
			file := bytes.NewReader(b)
			open := formattest.OpenBytes(Format{}, file, file.Size())
			formattest.Reader(t, formattest.Spec{Open: open, File: file, Want: c.src})
			d := open(t)
			want := "v2"
			if c.v1 {
				want = "v1"
			}
			if got := d.Info().Subformat; got != want {
				t.Errorf("subformat %q, want %q", got, want)
			}
			imgtest.EqualDisk(t, d, imgtest.OpenFile(t, imgtest.Convert(t, save(t, b), "parallels", "raw")))
		})
	}
}

func TestStates(t *testing.T) {
	src := imgtest.New(6<<20, 1, imgtest.Run{Off: 0, Len: 2 << 20, Kind: imgtest.Noise}, imgtest.Run{Off: 5<<20 + 1, Len: 1, Kind: imgtest.Noise})
	for _, k := range []recipe{{}, {v1: true}} {
		b := build(t, src, k)
		d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
		data := int64(1 << 20)
		if k.v1 {
			data = 512
		}
		for off, want := range map[int64]formats.Extent{
			0:         {Off: 0, Len: 2 << 20, HostOff: data},
			2<<20 - 1: {Off: 1 << 20, Len: 1 << 20, HostOff: data + 1<<20},
			2 << 20:   {Off: 2 << 20, Len: 3 << 20, State: formats.Hole, HostOff: -1},
			5 << 20:   {Off: 5 << 20, Len: 1 << 20, HostOff: data + 2<<20},
		} {
			if e, err := d.ExtentAt(off); err != nil || e != want {
				t.Errorf("v1 %v: extent at %d: %+v, %v, want %+v", k.v1, off, e, err, want)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	src := imgtest.New(1<<20, 1)
	for _, c := range []struct {
		name string
		b    []byte
		want formats.Match
	}{
		{"v1", build(t, src, recipe{v1: true}), formats.Match{OK: true, Subformat: "v1", Value: "WithoutFreeSpace"}},
		{"v2", build(t, src, recipe{}), formats.Match{OK: true, Subformat: "v2", Value: "WithouFreSpacExt"}},
		{"magic only", []byte(magicV2), formats.Match{OK: true, Subformat: "v2", Value: "WithouFreSpacExt"}},
		{"cut in the magic", []byte(magicV1)[:15], formats.Match{}},
		{"text", []byte("Without free space"), formats.Match{}},
		{"nothing", nil, formats.Match{}},
	} {
		if got := (Format{}).Match(c.b, nil, int64(len(c.b))); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestFindings(t *testing.T) {
	src := imgtest.New(3<<20, 1, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Noise})
	upper := func(b []byte) []byte { binary.LittleEndian.PutUint32(b[40:], 77); return b }
	for _, c := range []struct {
		name string
		recipe
		make func([]byte) []byte
		want formats.Severity
		at   int64
	}{
		{"closed", recipe{}, same, "", 0},
		{"closed by an old writer", recipe{}, set32(44, inUseOld), "", 0},
		{"in use", recipe{inUse: inUseOpen}, same, formats.SeverityWarning, 44},
		{"extension", recipe{extension: true}, same, formats.SeverityInfo, 56},
		{"upper half of the size in v1", recipe{v1: true}, upper, formats.SeverityWarning, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.make(build(t, src, c.recipe))
			d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
			imgtest.EqualDisk(t, d, src)
			f, err := d.(formats.Validator).Validate(t.Context())
			switch {
			case err != nil:
				t.Error(err)
			case c.want == "" && len(f) != 0:
				t.Errorf("findings %+v", f)
			case c.want != "" && (len(f) != 1 || f[0].Severity != c.want || *f[0].Evidence.Offset != c.at):
				t.Errorf("findings %+v, want one that is %s at %d", f, c.want, c.at)
			}
		})
	}
}

func TestEmptyImageBit(t *testing.T) {
	src := imgtest.New(3<<20, 1)
	b := build(t, src, recipe{flags: flagEmpty})
	formattest.Reader(t, formattest.Spec{Open: formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b))), Want: src})
}

// save writes the image into the test's own folder.
func save(t testing.TB, b []byte) string {
	t.Helper()
	path := t.TempDir() + "/image.hds"
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func BenchmarkRead(b *testing.B) {
	src := imgtest.New(64<<20, 1, imgtest.Run{Off: 0, Len: 64 << 20, Kind: imgtest.Noise})
	for _, c := range []struct {
		name string
		recipe
	}{{"in order", recipe{}}, {"v1 in 63 sectors", recipe{v1: true, tracks: 63}}, {"clusters of 4 KiB in disorder", recipe{tracks: 8, shuffled: true}}} {
		b.Run(c.name, func(b *testing.B) {
			img := build(b, src, c.recipe)
			formattest.BenchmarkRead(b, formattest.OpenBytes(Format{}, bytes.NewReader(img), int64(len(img)))(b))
		})
	}
}
