package vhd

import (
	"bytes"
	"io"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// plainReader hides that a file knows its holes.
type plainReader struct{ io.ReaderAt }

func TestQemuImages(t *testing.T) {
	for _, sub := range []string{"dynamic", "fixed"} {
		for _, size := range []string{"on", "off"} {
			for i, c := range imgtest.Cases() {
				if size == "off" && i%3 != 0 {
					continue // only the footer differs: some of the disks will do
				}
				t.Run(sub+"/force_size="+size+"/"+c.Name, func(t *testing.T) {
					raw := imgtest.WriteRaw(t, c.Disk)
					path := imgtest.Convert(t, raw, "raw", "vpc", "subformat="+sub+",force_size="+size)
					f := imgtest.OpenFile(t, path)
					open := formattest.OpenBytes(Format{}, f, f.Size())
					oracle := imgtest.OpenFile(t, imgtest.Convert(t, path, "vpc", "raw"))
					formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: oracle})

					d := open(t)
					imgtest.Equal(t, d, c.Disk, min(c.Disk.Size(), 64<<20))
					checkInfo(t, d, sub, size, c.Disk.Size())
				})
			}
		}
	}
}

// checkInfo holds what the footer tells against how the image was made.
func checkInfo(t *testing.T, d formats.Disk, sub, forced string, size int64) {
	t.Helper()
	info := d.Info()
	creator := map[string]string{"on": "qem2", "off": "qemu"}[forced]
	if info.Subformat != sub || info.Creator != creator || len(info.Findings) != 0 || !info.HolesKnown {
		t.Errorf("info %+v", info)
	}
	if forced == "on" && d.Size() != size {
		t.Errorf("virtual size %d, want exactly %d", d.Size(), size)
	}
	if d.Size() < size {
		t.Errorf("virtual size %d is less than the disk's %d", d.Size(), size)
	}
}

func TestFixedKnowsHolesOnlyThroughTheReader(t *testing.T) {
	src := imgtest.New(64<<20, 1, imgtest.Run{Off: 32 << 20, Len: 1 << 20, Kind: imgtest.Noise})
	path := imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vpc", "subformat=fixed,force_size=on")
	f := imgtest.OpenFile(t, path)
	for _, c := range []struct {
		name string
		r    io.ReaderAt
		most int64
		hole bool
	}{{"sparse file", f, 2 << 20, true}, {"plain reader", plainReader{f}, 64 << 20, false}} {
		d, err := Format{}.Open(c.r, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		n, err := formats.DataBytes(d)
		if err != nil || n < 1<<20 || n > c.most || d.Info().HolesKnown != c.hole {
			t.Errorf("%s: %d bytes of data, %v, holes known %v", c.name, n, err, d.Info().HolesKnown)
		}
		if !c.hole {
			formattest.Reader(t, formattest.Spec{Open: formattest.OpenBytes(Format{}, c.r, f.Size()), File: f, Want: src})
		}
	}
}

func TestOldFooterOf511Bytes(t *testing.T) {
	src := imgtest.Random(4, 5<<20, 2<<20)
	for _, sub := range []string{"dynamic", "fixed"} {
		b := vpc(t, src, sub)
		b = b[:len(b)-1]
		open := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))
		formattest.Reader(t, formattest.Spec{Open: open, File: bytes.NewReader(b), Want: src})
	}
}

func TestMatch(t *testing.T) {
	src := imgtest.New(3<<20, 1, imgtest.Run{Off: 0, Len: 3 << 20, Kind: imgtest.Noise})
	dyn, fix := vpc(t, src, "dynamic"), vpc(t, src, "fixed")
	for _, c := range []struct {
		name string
		b    []byte
		want formats.Match
	}{
		{"dynamic", dyn, formats.Match{OK: true, Subformat: "dynamic", Value: "conectix"}},
		{"fixed", fix, formats.Match{OK: true, Subformat: "fixed", Offset: 3 << 20, Value: "conectix"}},
		{"fixed, 511 bytes", fix[:len(fix)-1], formats.Match{OK: true, Subformat: "fixed", Offset: 3 << 20, Value: "conectix"}},
		{"fixed, cut", fix[:len(fix)-2], formats.Match{}},
		{"raw", fix[:3<<20], formats.Match{}},
		{"nothing", nil, formats.Match{}},
	} {
		tail := c.b[max(0, len(c.b)-formats.TailLen):]
		if got := (Format{}).Match(c.b[:min(len(c.b), formats.HeadLen)], tail, int64(len(c.b))); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestSectorBitmapsAreIgnored(t *testing.T) {
	src := imgtest.New(4<<20, 1, imgtest.Run{Off: 0, Len: 4 << 20, Kind: imgtest.Noise})
	b := vpc(t, src, "dynamic")
	d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.ExtentAt(0)
	if err != nil || e.HostOff < 512 {
		t.Fatalf("first extent %+v, %v", e, err)
	}
	clear(b[e.HostOff-512 : e.HostOff])
	imgtest.Equal(t, d, src, src.Size())
}

// vpc returns the disk as qemu-img writes it with its exact size.
func vpc(t testing.TB, src *imgtest.Disk, sub string) []byte {
	t.Helper()
	b, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vpc", "force_size=on,subformat="+sub))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkRead(b *testing.B) {
	raw := imgtest.WriteRaw(b, imgtest.New(64<<20, 1, imgtest.Run{Off: 0, Len: 64 << 20, Kind: imgtest.Noise}))
	for _, sub := range []string{"dynamic", "fixed"} {
		b.Run(sub, func(b *testing.B) {
			f := imgtest.OpenFile(b, imgtest.Convert(b, raw, "raw", "vpc", "force_size=on,subformat="+sub))
			formattest.BenchmarkRead(b, formattest.OpenBytes(Format{}, f, f.Size())(b))
		})
	}
}
