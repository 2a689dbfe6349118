package vdi

import (
	"bytes"
	"io"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

func TestQemuImages(t *testing.T) {
	for static, sub := range map[string]string{"off": "dynamic", "on": "static"} {
		for _, c := range imgtest.Cases() {
			t.Run(sub+"/"+c.Name, func(t *testing.T) {
				path := imgtest.Convert(t, imgtest.WriteRaw(t, c.Disk), "raw", "vdi", "static="+static)
				f := imgtest.OpenFile(t, path)
				open := formattest.OpenBytes(Format{}, f, f.Size())
				formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: c.Disk})

				d := open(t)
				imgtest.EqualDisk(t, d, imgtest.OpenFile(t, imgtest.Convert(t, path, "vdi", "raw")))
				info := d.Info()
				if info.Subformat != sub || info.BlockSize != 1<<20 || info.Creator != "QEMU VM Virtual Disk Image" || !info.HolesKnown {
					t.Errorf("info %+v", info)
				}
				if findings, err := d.(formats.Validator).Validate(t.Context()); err != nil || len(findings) != 0 {
					t.Errorf("validate: %+v, %v", findings, err)
				}
			})
		}
	}
}

// plainReader hides that a file knows its holes.
type plainReader struct{ io.ReaderAt }

// In a static image every block is stored; a sparse file tells what is not.
func TestStaticKnowsTheFilesHoles(t *testing.T) {
	src := imgtest.New(64<<20, 1, imgtest.Run{Off: 32<<20 + 5, Len: 1 << 20, Kind: imgtest.Noise})
	f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vdi", "static=on"))
	for _, c := range []struct {
		name string
		r    io.ReaderAt
		most int64
	}{{"sparse file", f, 2 << 20}, {"plain reader", plainReader{f}, 64 << 20}} {
		open := formattest.OpenBytes(Format{}, c.r, f.Size())
		if n, err := formats.DataBytes(open(t)); err != nil || n < 1<<20 || n > c.most || c.name == "plain reader" && n != c.most {
			t.Errorf("%s: %d bytes of data, %v", c.name, n, err)
		}
		formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: src})
	}
}

// qemu-img writes the last block whole, whatever the virtual size: there is no
// short file to make allowance for.
func TestQemuWritesWholeBlocks(t *testing.T) {
	src := imgtest.New(1<<20+512, 1, imgtest.Run{Off: 0, Len: 1<<20 + 512, Kind: imgtest.Noise})
	for _, static := range []string{"off", "on"} {
		f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vdi", "static="+static))
		if want := int64(1024 + 2<<20); f.Size() != want {
			t.Errorf("static=%s: file of %d bytes, want %d", static, f.Size(), want)
		}
	}
}

func TestLayouts(t *testing.T) {
	zeros := func(size int64) *imgtest.Disk {
		return imgtest.New(size, 3, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Noise},
			imgtest.Run{Off: 2 << 20, Len: 2 << 20, Kind: imgtest.Zero}, imgtest.Run{Off: 5<<20 + 77, Len: 1<<20 + 5, Kind: imgtest.Text})
	}
	for _, c := range []struct {
		name string
		recipe
		src  *imgtest.Disk
		qemu bool // qemu reads it too
	}{
		{"header of 384 bytes", recipe{headerSize: 0x180}, zeros(8 << 20), true},
		{"header of 400 bytes", recipe{headerSize: 0x190}, zeros(8 << 20), true},
		{"static with holes and zeros", recipe{imageType: typeStatic}, zeros(8 << 20), true},
		{"places in disorder", recipe{shuffled: true}, imgtest.Random(7, 40<<20+512, 20<<20), true},
		{"spare entries", recipe{spare: 1000}, zeros(8 << 20), true},
		{"data area at 1 MiB", recipe{gap: 1<<20 - 1024}, zeros(8 << 20), true},
		{"file ends with the guest", recipe{shortEnd: true}, zeros(7<<20 - 512), true},
		{"block extra", recipe{extra: 512}, zeros(8 << 20), false},
		{"block extra as long as a block", recipe{block: 4096, extra: 4096, shuffled: true}, imgtest.Random(8, 5<<20, 2<<20), false},
		{"blocks of 4 KiB", recipe{block: 4096}, imgtest.Random(9, 48<<20+512, 9<<20), false},
		{"blocks of 4 KiB in disorder", recipe{block: 4096, shuffled: true}, imgtest.Random(10, 48<<20+512, 9<<20), false},
		{"blocks of 64 MiB", recipe{block: 64 << 20}, zeros(8 << 20), false},
		{"odd size", recipe{}, zeros(7<<20 + 333), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := build(t, c.src, c.recipe)
			file := bytes.NewReader(b)
			open := formattest.OpenBytes(Format{}, file, file.Size())
			formattest.Reader(t, formattest.Spec{Open: open, File: file, Want: c.src})
			if c.qemu {
				imgtest.EqualDisk(t, open(t), imgtest.OpenFile(t, imgtest.Convert(t, save(t, b), "vdi", "raw")))
			}
		})
	}
}

func TestStates(t *testing.T) {
	src := imgtest.New(6<<20, 1, imgtest.Run{Off: 0, Len: 2 << 20, Kind: imgtest.Noise}, imgtest.Run{Off: 3 << 20, Len: 2 << 20, Kind: imgtest.Zero})
	b := build(t, src, recipe{})
	d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
	for off, want := range map[int64]formats.Extent{
		0:         {Off: 0, Len: 2 << 20, HostOff: 1024},
		2<<20 - 1: {Off: 1 << 20, Len: 1 << 20, HostOff: 1024 + 1<<20},
		2 << 20:   {Off: 2 << 20, Len: 1 << 20, State: formats.Hole, HostOff: -1},
		3 << 20:   {Off: 3 << 20, Len: 2 << 20, State: formats.Zero, HostOff: -1},
		5 << 20:   {Off: 5 << 20, Len: 1 << 20, State: formats.Hole, HostOff: -1},
	} {
		if e, err := d.ExtentAt(off); err != nil || e != want {
			t.Errorf("extent at %d: %+v, %v, want %+v", off, e, err, want)
		}
	}
}

// qemu rounds an odd size up to a sector; ingest shows the same bytes and ends
// where the header says.
func TestOddSizeAgainstQemu(t *testing.T) {
	const size = 3<<20 + 777
	src := imgtest.New(size, 1, imgtest.Run{Off: 0, Len: size, Kind: imgtest.Noise})
	b := build(t, src, recipe{})
	oracle := imgtest.OpenFile(t, imgtest.Convert(t, save(t, b), "vdi", "raw"))
	if want := int64(3<<20 + 1024); oracle.Size() != want {
		t.Errorf("qemu shows %d bytes, want %d", oracle.Size(), want)
	}
	d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
	imgtest.Equal(t, d, oracle, size)
	if f := d.Info().Findings; d.Size() != size || len(f) != 1 || f[0].Code != errcode.SizeUnaligned || f[0].Severity != formats.SeverityWarning {
		t.Errorf("size %d, findings %+v", d.Size(), f)
	}
}

func TestMatch(t *testing.T) {
	src := imgtest.New(1<<20, 1)
	for _, c := range []struct {
		name string
		b    []byte
		want formats.Match
	}{
		{"dynamic", build(t, src, recipe{}), formats.Match{OK: true, Subformat: "dynamic", Offset: 64, Value: "0xbeda107f"}},
		{"static", build(t, src, recipe{imageType: typeStatic}), formats.Match{OK: true, Subformat: "static", Offset: 64, Value: "0xbeda107f"}},
		{"differencing", build(t, src, recipe{imageType: typeDifferencing}), formats.Match{OK: true, Subformat: "differencing", Offset: 64, Value: "0xbeda107f"}},
		{"signature only", build(t, src, recipe{})[:68], formats.Match{OK: true, Offset: 64, Value: "0xbeda107f"}},
		{"cut in the signature", build(t, src, recipe{})[:67], formats.Match{}},
		{"zeros", make([]byte, 4096), formats.Match{}},
		{"nothing", nil, formats.Match{}},
	} {
		if got := (Format{}).Match(c.b, nil, int64(len(c.b))); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCreatorIsPrintable(t *testing.T) {
	b := build(t, imgtest.New(1<<20, 1), recipe{})
	for text, want := range map[string]string{
		"<<< Oracle VM VirtualBox Disk Image >>>\n\x00junk": "Oracle VM VirtualBox Disk Image",
		"a\x1b[31mb\x00": "a?[31mb",
		"\xff\xfe\x00":   "??",
		"\x00":           "",
	} {
		clear(b[:64])
		copy(b, text)
		d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
		if got := d.Info().Creator; got != want {
			t.Errorf("%q: creator %q, want %q", text, got, want)
		}
	}
}

// save writes the image into the test's own folder.
func save(t testing.TB, b []byte) string {
	t.Helper()
	path := t.TempDir() + "/image.vdi"
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
	}{{"in order", recipe{}}, {"blocks of 4 KiB in disorder", recipe{block: 4096, shuffled: true}}} {
		b.Run(c.name, func(b *testing.B) {
			img := build(b, src, c.recipe)
			formattest.BenchmarkRead(b, formattest.OpenBytes(Format{}, bytes.NewReader(img), int64(len(img)))(b))
		})
	}
}
