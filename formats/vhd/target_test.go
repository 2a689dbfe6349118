package vhd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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

// dynamicSpec is how the suite sees the writer of dynamic disks.
func dynamicSpec(d Dynamic) formattest.WriterSpec {
	return formattest.WriterSpec{
		Format: Format{}, Planner: blocks.Planner{Target: d}, Qemu: "vpc", Same: true,
		Encoder: func(workers int) formats.Encoder {
			return blocks.Encoder{Target: d, Engine: transfer.Engine{Workers: workers}}
		},
	}
}

func TestWriterDynamic(t *testing.T) { formattest.Writer(t, dynamicSpec(Dynamic{})) }

// TestWriterDynamicBlockSizes writes blocks of every other size.
func TestWriterDynamicBlockSizes(t *testing.T) {
	for b := int64(MinBlockSize); b <= MaxBlockSize; b *= 2 {
		if b == DefaultBlockSize {
			continue
		}
		t.Run(fmt.Sprint(b), func(t *testing.T) {
			dynamicSpec(Dynamic{BlockSize: b}).Disk(t, imgtest.Random(uint64(b), 37<<20+5*512, 9<<20))
		})
	}
}

func TestWriterFixed(t *testing.T) {
	formattest.Writer(t, formattest.WriterSpec{Format: Format{}, Planner: Fixed{}, Qemu: "vpc"})
}

// TestWriterAzure holds the file for Azure against what Azure publishes; the
// constants name the pages.
func TestWriterAzure(t *testing.T) {
	w := formattest.WriterSpec{Format: Format{}, Planner: Azure(), Qemu: "vpc", VirtualSize: func(size int64) int64 {
		return max(20<<20, (size+1<<20-1)>>20<<20)
	}}
	for _, c := range formattest.WriterCases() {
		if c.Name == "one byte" || c.Name == "random with an odd size" {
			w.Disks = append(w.Disks, c)
		}
	}
	formattest.Writer(t, w)
	for _, size := range []int64{1, 20 << 20, 20<<20 + 1, 30<<30 + 512, 4095 << 30, 32767<<30 - 5, 32767 << 30} {
		p, err := Azure().Plan(t.Context(), imgtest.New(size, 1))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		footer := make([]byte, 512)
		imgtest.ReadFull(t, p, footer, p.Size()-512)
		current := int64(binary.BigEndian.Uint64(footer[48:]))
		switch {
		case string(footer[:8]) != "conectix" || binary.BigEndian.Uint32(footer[60:]) != 2:
			t.Errorf("%d bytes: the file does not end with the footer of a fixed disk", size)
		case current%(1<<20) != 0 || current < size || p.Size() != current+512:
			t.Errorf("%d bytes: the virtual size of %d is not the next whole MiB, or not all of the file of %d", size, current, p.Size())
		case p.Size() < 20972032 || p.Size() > 35183298347520:
			t.Errorf("%d bytes: a file of %d bytes cannot be uploaded", size, p.Size())
		}
	}
	if _, err := Azure().Plan(t.Context(), imgtest.New(32767<<30+1, 1)); errcode.Of(err) != errcode.VirtualSizeTooLarge {
		t.Errorf("more than Azure takes: %v", err)
	}
}

// TestFixedStaysSparse counts what an upload has to send.
func TestFixedStaysSparse(t *testing.T) {
	src := imgtest.New(3<<40+512, 5, imgtest.Run{Off: 1 << 30, Len: 70001, Kind: imgtest.Noise},
		imgtest.Run{Off: 2 << 30, Len: 1 << 20, Kind: imgtest.Zero}, imgtest.Run{Off: 3 << 40, Len: 512, Kind: imgtest.Text})
	p, err := Fixed{Align: 1 << 20}.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	var sent int64
	for off := int64(0); off < p.Size(); {
		start, end, err := p.NextData(off)
		if err != nil || start >= end {
			t.Fatalf("next data at %d of %d: %d, %d, %v", off, p.Size(), start, end, err)
		}
		sent, off = sent+end-start, end
	}
	if sent != 70001+512+512 {
		t.Errorf("%d bytes are sent", sent)
	}
}

// TestFixedOfAnyFormat makes the same file of one disk in two formats, of which
// one cannot tell its holes.
func TestFixedOfAnyFormat(t *testing.T) {
	src := imgtest.Random(7, 9<<20+512, 4<<20)
	dynamic := written(t, blocks.Planner{Target: Dynamic{}}, src)
	d := formattest.OpenBytes(Format{}, bytes.NewReader(dynamic), int64(len(dynamic)))(t)
	if !bytes.Equal(written(t, Fixed{}, src), written(t, Fixed{}, d)) {
		t.Error("the file depends on the source's format")
	}
}

// written returns the file that a planner makes of a disk.
func written(t testing.TB, pl formats.Planner, src formats.Disk) []byte {
	t.Helper()
	p, err := pl.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, p.Size())
	if n, err := p.ReadAt(out, 0); int64(n) != p.Size() || err != nil && err != io.EOF {
		t.Fatalf("read the plan: %d of %d, %v", n, p.Size(), err)
	}
	return out
}

func TestWrongOptions(t *testing.T) {
	src := imgtest.New(1<<20, 1)
	dyn := func(d Dynamic) formats.Planner { return blocks.Planner{Target: d} }
	for _, c := range []struct {
		field string
		pl    formats.Planner
	}{
		{"block_size", dyn(Dynamic{BlockSize: 256 << 10})},
		{"block_size", dyn(Dynamic{BlockSize: 3 << 20})},
		{"block_size", dyn(Dynamic{BlockSize: 8 << 20})},
		{"block_size", dyn(Dynamic{BlockSize: -1})},
		{"uuid", dyn(Dynamic{UUID: "x"})},
		{"uuid", Fixed{UUID: "00000000-0000-0000-0000-000000000000"}},
		{"uuid", Fixed{UUID: "1b4e28ba-2fa1-41d2-883f-0016d3cca42g"}},
		{"uuid", Fixed{UUID: "{1b4e28ba-2fa1-41d2-883f-0016d3cca427}"}},
		{"align", Fixed{Align: 511}},
		{"align", Fixed{Align: -512}},
		{"align", Fixed{Align: 1<<30 + 512}},
		{"min_size", Fixed{MinSize: -1}},
		{"min_size", Fixed{MinSize: 2 << 20, MaxSize: 1 << 20}},
		{"max_size", Fixed{MaxSize: 64<<40 + 1}},
		{"max_size", Fixed{MaxSize: 511}},
	} {
		_, err := c.pl.Plan(t.Context(), src)
		e, ok := errcode.As(err)
		if !ok || e.Code != errcode.TargetOption || e.Evidence == nil || e.Evidence.Structure != "option" || e.Evidence.Field != c.field || e.Evidence.Limit == "" {
			t.Errorf("%+v: %v", c.pl, err)
		}
	}
}

// TestSizeLimits writes the largest disks, and not one byte more.
func TestSizeLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		pl   formats.Planner
		most int64
	}{
		{"dynamic", blocks.Planner{Target: Dynamic{}}, 2040 << 30},
		{"small blocks", blocks.Planner{Target: Dynamic{BlockSize: MinBlockSize}}, 2040 << 30},
		{"fixed", Fixed{}, 64 << 40},
		{"fixed up to", Fixed{MaxSize: 5 << 20, Align: 1 << 20}, 5 << 20},
	} {
		src := imgtest.New(c.most, 3, imgtest.Run{Off: c.most - 512, Len: 512, Kind: imgtest.Noise})
		p, err := c.pl.Plan(t.Context(), src)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		d, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil || d.Size() != c.most {
			t.Errorf("%s: %d bytes, %v", c.name, d.Size(), err)
		}
		imgtest.EqualDisk(t, d, src)
		for size, code := range map[int64]errcode.Code{c.most + 1: errcode.VirtualSizeTooLarge, 1<<63 - 1: errcode.VirtualSizeTooLarge, 0: errcode.VirtualSizeZero} {
			if _, err := c.pl.Plan(t.Context(), imgtest.New(size, 1)); errcode.Of(err) != code {
				t.Errorf("%s: %d bytes: %v, want %s", c.name, size, err, code)
			}
		}
	}
}

// TestCodecVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same version: raise writeVersion, and only then change the
// digests.
func TestCodecVersionIsRaisedWithTheBytes(t *testing.T) {
	want := map[string]string{
		"vhd dynamic v1 block_size=2097152": "a41f15228efec4ba8418a5bf38db1c51034a5e37b10e64d28d51d2852dc59841",
		"vhd fixed v1 align=512 min_size=0": "bb96084981fb9d79efafeab7f935452859b1c8d7447eec16a00f2d27b0db76bd",
	}
	src := imgtest.Random(60, 5<<20, 3<<20)
	for codec, pl := range map[string]formats.Planner{Dynamic{}.Codec(): blocks.Planner{Target: Dynamic{}}, Fixed{}.Codec(): Fixed{}} {
		if got := fmt.Sprintf("%x", sha256.Sum256(written(t, pl, src))); got != want[codec] {
			t.Errorf("%s: digest %s, want %s", codec, got, want[codec])
		}
	}
}
