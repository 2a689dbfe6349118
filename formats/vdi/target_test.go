package vdi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// spec is how the suite sees the writer.
func spec(d Dynamic) formattest.WriterSpec {
	return formattest.WriterSpec{
		Format:  Format{},
		Planner: blocks.Planner{Target: d},
		Encoder: func(workers int) formats.Encoder {
			return blocks.Encoder{Target: d, Engine: transfer.Engine{Workers: workers}}
		},
		Same: true, Qemu: "vdi", QemuCheck: true,
	}
}

func TestWriter(t *testing.T) { formattest.Writer(t, spec(Dynamic{})) }

// written returns the image of a disk.
func written(t testing.TB, d Dynamic, src formats.Disk) []byte {
	t.Helper()
	p, err := blocks.Planner{Target: d}.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, p.Size())
	if n, err := p.ReadAt(out, 0); int64(n) != p.Size() || err != nil && err != io.EOF {
		t.Fatalf("read the plan: %d of %d, %v", n, p.Size(), err)
	}
	return out
}

// TestHeaderIsVirtualBoxs holds the header's fields against what VirtualBox
// writes and insists on (VDI.cpp, vdiInitHeader and vdiValidateHeader).
func TestHeaderIsVirtualBoxs(t *testing.T) {
	src := imgtest.New(7<<20+100, 1, imgtest.Run{Off: 2 << 20, Len: 1, Kind: imgtest.Noise}, imgtest.Run{Off: 7 << 20, Len: 100, Kind: imgtest.Text})
	p := written(t, Dynamic{}, src)
	if !bytes.HasPrefix(p, []byte("<<< Oracle VM VirtualBox Disk Image >>>\n\x00")) {
		t.Errorf("text %q", p[:64])
	}
	le := binary.LittleEndian
	for off, want := range map[int]uint32{
		64: 0xBEDA107F, 68: 0x00010001, 72: 400, 76: 1, 80: 0,
		340: 512, 344: 1 << 20, // map and data
		348: 0, 352: 0, 356: 0, 360: 512, // legacy geometry, not known
		368: 7<<20 + 512, 372: 0, 376: 1 << 20, 380: 0, 384: 8, 388: 2,
		456: 0, 460: 0, 464: 0, 468: 512, // logical geometry, not known
	} {
		if got := le.Uint32(p[off:]); got != want {
			t.Errorf("field at %d is %#x, want %#x", off, got, want)
		}
	}
	zero := make([]byte, 32)
	if bytes.Equal(p[392:408], zero[:16]) || bytes.Equal(p[408:424], zero[:16]) || bytes.Equal(p[392:408], p[408:424]) {
		t.Error("VirtualBox refuses images without UUIDs of image and last snapshot")
	}
	if !bytes.Equal(p[424:456], zero) {
		t.Error("link and parent are not zeros")
	}
	var want []byte
	for _, e := range []uint32{entryHole, entryHole, 0, entryHole, entryHole, entryHole, entryHole, 1} {
		want = le.AppendUint32(want, e)
	}
	if got := p[512 : 512+32]; !bytes.Equal(got, want) {
		t.Errorf("block map % x, want % x", got, want)
	}
	if len(p) != 3<<20 {
		t.Errorf("the file has %d bytes", len(p))
	}
}

// TestUUIDs are derived, differ between disks, and can be given.
func TestUUIDs(t *testing.T) {
	a := written(t, Dynamic{}, imgtest.Random(1, 4<<20, 2<<20))
	b := written(t, Dynamic{}, imgtest.Random(2, 4<<20, 2<<20))
	if bytes.Equal(a[392:408], b[392:408]) || bytes.Equal(a[408:424], b[408:424]) {
		t.Error("two disks have one UUID")
	}
	given := Dynamic{UUID: "1B4E28BA-2fa1-41d2-883f-0016d3cca427"}
	c := written(t, given, imgtest.Random(1, 4<<20, 2<<20))
	if got := hex.EncodeToString(c[392:408]); got != "ba284e1ba12fd241883f0016d3cca427" {
		t.Errorf("the UUID is stored as %s", got)
	}
	lower := Dynamic{UUID: "1b4e28ba-2fa1-41d2-883f-0016d3cca427"}
	if given.Codec() != lower.Codec() || given.Codec() == (Dynamic{}).Codec() {
		t.Errorf("codecs %q and %q", given.Codec(), lower.Codec())
	}
}

func TestWrongOptions(t *testing.T) {
	for _, u := range []string{"x", "00000000-0000-0000-0000-000000000000", "1b4e28ba2fa141d2883f0016d3cca427", "{1b4e28ba-2fa1-41d2-883f-0016d3cca427}", "1b4e28ba-2fa1-41d2-883f-0016d3cca42g"} {
		_, err := blocks.Planner{Target: Dynamic{UUID: u}}.Plan(t.Context(), imgtest.New(1<<20, 1))
		e, ok := errcode.As(err)
		if !ok || e.Code != errcode.TargetOption || e.Evidence == nil || e.Evidence.Field != "uuid" || e.Evidence.Limit == "" {
			t.Errorf("uuid %q: %v", u, err)
		}
	}
}

// TestSizeLimits writes the largest disk, and not one sector more.
func TestSizeLimits(t *testing.T) {
	end := imgtest.Run{Off: MaxSize - 512, Len: 512, Kind: imgtest.Noise}
	src := imgtest.New(MaxSize, 3, end)
	p, err := blocks.Planner{Target: Dynamic{}}.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Error(err)
	}
	got, want := make([]byte, 512), make([]byte, 512)
	imgtest.ReadFull(t, d, got, end.Off)
	imgtest.ReadFull(t, src, want, end.Off)
	if !bytes.Equal(got, want) || d.Size() != MaxSize {
		t.Errorf("the last sector of %d bytes is another", d.Size())
	}
	for size, code := range map[int64]errcode.Code{MaxSize + 1: errcode.VirtualSizeTooLarge, 1<<63 - 1: errcode.VirtualSizeTooLarge, 0: errcode.VirtualSizeZero, -1: errcode.VirtualSizeZero} {
		if _, err := (Dynamic{}).Layout(size); errcode.Of(err) != code {
			t.Errorf("%d bytes: %v, want %s", size, err, code)
		}
	}
}

// TestCodecVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same version: raise writeVersion, and only then change the
// digest.
func TestCodecVersionIsRaisedWithTheBytes(t *testing.T) {
	want := map[string]string{
		"vdi dynamic v1": "f473dacfe186233f71b65fa0a29b5484cbddaebc93b58dd5c1366017900b6e1b",
	}
	d := Dynamic{}
	got := fmt.Sprintf("%x", sha256.Sum256(written(t, d, imgtest.Random(60, 5<<20, 3<<20))))
	if got != want[d.Codec()] {
		t.Errorf("%s: digest %s, want %s", d.Codec(), got, want[d.Codec()])
	}
}

// FuzzOptions writes disks of any size with any option: what is not refused with
// a code is an image that our own Validate takes and that holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add("", int64(5<<20+77), uint64(1))
	f.Add("1b4e28ba-2fa1-41d2-883f-0016d3cca427", int64(1), uint64(2))
	f.Add("00000000-0000-0000-0000-000000000000", int64(3<<40), uint64(3))
	f.Add("", int64(MaxSize+1), uint64(4))
	f.Add("", int64(-1), uint64(5))
	f.Fuzz(func(t *testing.T, uuid string, size int64, seed uint64) {
		d := Dynamic{UUID: uuid}
		l, err := d.Layout(size)
		if err != nil {
			if code := errcode.Of(err); code == errcode.Internal {
				t.Fatalf("layout: %v has no code", err)
			}
			return
		}
		if s := l.Shape(); s.VirtualSize < size || s.VirtualSize >= size+512 {
			t.Fatalf("shape %+v for %d bytes", s, size)
		}
		if size > 1<<42 {
			return // the plan's tables are large: TestSizeLimits
		}
		src := imgtest.Random(seed, size, 2<<20)
		p, err := blocks.Planner{Target: d}.Plan(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		if _, err := got.(formats.Validator).Validate(t.Context()); err != nil {
			t.Fatalf("validate: %v", err)
		}
		for _, r := range src.Runs() {
			a, b := make([]byte, min(r.Len, 4096)), make([]byte, min(r.Len, 4096))
			imgtest.ReadFull(t, got, a, r.Off)
			imgtest.ReadFull(t, src, b, r.Off)
			if !bytes.Equal(a, b) {
				t.Fatalf("guest bytes at %d are others", r.Off)
			}
		}
	})
}
