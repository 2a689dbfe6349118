package vhd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/imgtest"
)

// TestDynamicStructures holds every field against the specification.
func TestDynamicStructures(t *testing.T) {
	src := imgtest.New(7<<20+100, 1, imgtest.Run{Off: 3 << 20, Len: 1, Kind: imgtest.Noise}, imgtest.Run{Off: 7 << 20, Len: 100, Kind: imgtest.Text})
	p := written(t, blocks.Planner{Target: Dynamic{}}, src)
	be := binary.BigEndian
	checkFooter(t, p[:512], 7<<20+512, 3, 512)
	if !bytes.Equal(p[:512], p[len(p)-512:]) {
		t.Error("the footer and its copy differ")
	}
	h := p[512:1536]
	if string(h[:8]) != "cxsparse" || be.Uint64(h[8:]) != 1<<64-1 || be.Uint64(h[16:]) != 1536 || be.Uint32(h[24:]) != 0x10000 ||
		be.Uint32(h[28:]) != 4 || be.Uint32(h[32:]) != 2<<20 || be.Uint32(h[36:]) != sumOf(h, 36) {
		t.Errorf("dynamic disk header % x", h[:40])
	}
	if !bytes.Equal(h[40:], make([]byte, 1024-40)) {
		t.Error("the header has a parent or reserved bytes")
	}
	// Blocks 1 and 3 are stored behind the BAT, which fills one sector.
	first := uint32(2048 / 512)
	var want []byte
	for _, e := range []uint32{unallocated, first, unallocated, first + 1 + 4096} {
		want = be.AppendUint32(want, e)
	}
	if got := p[1536 : 1536+16]; !bytes.Equal(got, want) {
		t.Errorf("BAT % x, want % x", got, want)
	}
	if !bytes.Equal(p[2048:2560], bytes.Repeat([]byte{0xFF}, 512)) {
		t.Error("the sector bitmap is not all set")
	}
	if want := 2048 + 2*(512+2<<20) + 512; len(p) != want {
		t.Errorf("the file has %d bytes, want %d", len(p), want)
	}
	small := written(t, blocks.Planner{Target: Dynamic{BlockSize: 512 << 10}}, src)
	if got := small[2048:2560]; !bytes.Equal(got[:128], bytes.Repeat([]byte{0xFF}, 128)) || !bytes.Equal(got[128:], make([]byte, 384)) {
		t.Errorf("the sector bitmap of 1024 sectors is % x", got)
	}
}

// sumOf is the specification's checksum over p, of which the 4 bytes at skip are
// the sum itself.
func sumOf(p []byte, skip int) uint32 {
	q := bytes.Clone(p)
	clear(q[skip : skip+4])
	var sum uint32
	for _, b := range q {
		sum += uint32(b)
	}
	return ^sum
}

// checkFooter holds a footer's fields against the specification.
func checkFooter(t *testing.T, p []byte, size int64, diskType uint32, next uint64) {
	t.Helper()
	be := binary.BigEndian
	if string(p[:8]) != "conectix" || be.Uint32(p[8:]) != 2 || be.Uint32(p[12:]) != 0x10000 || be.Uint64(p[16:]) != next {
		t.Errorf("footer begins with % x", p[:24])
	}
	if be.Uint32(p[24:]) != 0 || string(p[28:32]) != "win " || string(p[36:40]) != "Wi2k" {
		t.Errorf("time and creator % x", p[24:40])
	}
	if int64(be.Uint64(p[40:])) != size || int64(be.Uint64(p[48:])) != size || be.Uint32(p[60:]) != diskType {
		t.Errorf("sizes and type % x", p[40:64])
	}
	if be.Uint32(p[64:]) != sumOf(p, 64) || bytes.Equal(p[68:84], make([]byte, 16)) || !bytes.Equal(p[84:], make([]byte, 512-84)) {
		t.Errorf("checksum, id, saved state or reserved bytes: % x", p[64:])
	}
}

func TestFixedFooter(t *testing.T) {
	p := written(t, Fixed{}, imgtest.Random(3, 5<<20+1, 1<<20))
	checkFooter(t, p[len(p)-512:], 5<<20+512, 2, 1<<64-1)
}

// TestGeometry follows the specification's algorithm at its borders. The last
// but one is a disk that Virtual PC made.
func TestGeometry(t *testing.T) {
	for _, c := range []struct {
		sectors int64
		want    geometry
	}{
		{1, geometry{0, 4, 17}},
		{68, geometry{1, 4, 17}},
		{17 * 4 * 1024, geometry{1024 * 4 * 17 / 31 / 16, 16, 31}},
		{17*4*1024 - 1, geometry{1023, 4, 17}},
		{31*16*1024 - 1, geometry{1023, 16, 31}},
		{31 * 16 * 1024, geometry{31 * 1024 / 63, 16, 63}},
		{65535*16*63 - 1, geometry{65534, 16, 63}},
		{65535 * 16 * 63, geometry{65535 * 63 / 255, 16, 255}},
		{136365211648 / 512, geometry{65278, 16, 255}},
		{0xFF000000, geometry{65535, 16, 255}},
	} {
		if got := geometryOf(c.sectors); got != c.want {
			t.Errorf("%d sectors: %+v, want %+v", c.sectors, got, c.want)
		}
	}
}

// TestGeometryIsQemus compares with disks that qemu-img makes as large as their
// geometry.
func TestGeometryIsQemus(t *testing.T) {
	for _, size := range []int64{1 << 20, 3 << 20, 5 << 20, 34 << 20, 35 << 20, 100 << 20, 250 << 20, 500 << 20, 505 << 20, 1 << 30, 10 << 30, 31 << 30, 32 << 30, 60 << 30, 127 << 30} {
		p, err := os.ReadFile(imgtest.Create(t, "vpc", size))
		if err != nil {
			t.Fatal(err)
		}
		want := geometry{binary.BigEndian.Uint16(p[56:]), p[58], p[59]}
		if got := geometryOf(int64(binary.BigEndian.Uint64(p[48:])) / 512); got != want {
			t.Errorf("%d bytes: %+v, qemu-img says %+v", size, got, want)
		}
	}
}

// TestUUIDs are derived, differ between disks, and can be given.
func TestUUIDs(t *testing.T) {
	a, b := imgtest.Random(1, 4<<20, 2<<20), imgtest.Random(2, 4<<20, 2<<20)
	const upper, lower = "1B4E28BA-2fa1-41d2-883f-0016d3cca427", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
	for _, c := range []struct {
		name         string
		plain, given formats.Planner
	}{
		{"dynamic", blocks.Planner{Target: Dynamic{}}, blocks.Planner{Target: Dynamic{UUID: upper}}},
		{"fixed", Fixed{}, Fixed{UUID: upper}},
	} {
		id := func(pl formats.Planner, src formats.Disk) []byte {
			p := written(t, pl, src)
			return p[len(p)-512+68:][:16]
		}
		if bytes.Equal(id(c.plain, a), id(c.plain, b)) {
			t.Errorf("%s: two disks have one id", c.name)
		}
		if got := hex.EncodeToString(id(c.given, a)); got != "1b4e28ba2fa141d2883f0016d3cca427" {
			t.Errorf("%s: the id is %s", c.name, got)
		}
	}
	if (Dynamic{UUID: upper}).Codec() != (Dynamic{UUID: lower}).Codec() || (Fixed{UUID: upper}).Codec() == (Fixed{}).Codec() {
		t.Error("the codec is not that of the settings")
	}
}

// TestFullBATReaches32Bits holds the last block of the fullest disk against the
// 32 bits of a sector number.
func TestFullBATReaches32Bits(t *testing.T) {
	for b := int64(MinBlockSize); b <= MaxBlockSize; b *= 2 {
		l, err := Dynamic{BlockSize: b}.Layout(MaxDynamicSize)
		if err != nil {
			t.Fatal(err)
		}
		s := l.Shape()
		if last := (s.Head + (s.Blocks()-1)*(s.BlockHead+s.BlockSize)) / 512; last >= unallocated {
			t.Errorf("blocks of %d: the last is at sector %d", b, last)
		}
	}
}

// TestQemuTakesTheExactSize asks qemu-img about disks whose geometry stands for
// another size.
func TestQemuTakesTheExactSize(t *testing.T) {
	for _, size := range []int64{3<<20 + 512, 1 << 30, 2040 << 30} {
		for name, pl := range map[string]formats.Planner{"dynamic": blocks.Planner{Target: Dynamic{}}, "fixed": Fixed{}} {
			p, err := pl.Plan(t.Context(), imgtest.New(size, 1))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "disk.vhd")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(p.Size()); err != nil {
				t.Fatal(err)
			}
			for off := int64(0); off < p.Size(); {
				start, end, err := p.NextData(off)
				if err != nil || start == end {
					t.Fatalf("next data at %d: %d, %d, %v", off, start, end, err)
				}
				if _, err := io.Copy(io.NewOffsetWriter(f, start), io.NewSectionReader(p, start, end-start)); err != nil {
					t.Fatal(err)
				}
				off = end
			}
			out := imgtest.QemuImg(t, "info", "-f", "vpc", "--output=json", path)
			if !bytes.Contains([]byte(out), fmt.Appendf(nil, `"virtual-size": %d,`, size)) {
				t.Errorf("%s of %d bytes: qemu-img says %s", name, size, out)
			}
		}
	}
}
