package vhdx

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/rankmap"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// planOf lays a disk out.
func planOf(t testing.TB, o Dynamic, disk formats.Disk) formats.Plan {
	t.Helper()
	p, err := blocks.Planner{Target: o}.Plan(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// planned returns the whole file of a disk.
func planned(t testing.TB, o Dynamic, disk formats.Disk) []byte {
	t.Helper()
	p := planOf(t, o, disk)
	b := make([]byte, p.Size())
	if n, err := p.ReadAt(b, 0); int64(n) != p.Size() || err != nil && err != io.EOF {
		t.Fatalf("read the plan: %d of %d, %v", n, p.Size(), err)
	}
	return b
}

func TestWrongOptionsNameTheRightOnes(t *testing.T) {
	for _, c := range []struct {
		o            Dynamic
		field, limit string
	}{
		{Dynamic{BlockSize: 1<<20 - 1}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{BlockSize: 512 << 10}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{BlockSize: 3 << 20}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{BlockSize: 512 << 20}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{BlockSize: -1 << 20}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{BlockSize: -1 << 63}, "block_size", "a power of two, 1 to 256 MiB"},
		{Dynamic{LogicalSector: 1024}, "logical_sector_size", "512 or 4096"},
		{Dynamic{LogicalSector: -512}, "logical_sector_size", "512 or 4096"},
		{Dynamic{PhysicalSector: 8192}, "physical_sector_size", "512 or 4096"},
		{Dynamic{LogicalSector: 4096, PhysicalSector: 512}, "physical_sector_size", "4096 with logical sectors of 4096 bytes"},
	} {
		_, err := c.o.Layout(1 << 20)
		e, ok := errcode.As(err)
		if !ok || e.Code != errcode.TargetOption || e.Evidence == nil {
			t.Errorf("%+v: %v, want %s with evidence", c.o, err, errcode.TargetOption)
			continue
		}
		value := e.Evidence.Value
		want := errcode.Evidence{Format: "vhdx", Structure: "option", Field: c.field, Value: value, Limit: c.limit}
		if diff := cmp.Diff(want, *e.Evidence); diff != "" || value == "" {
			t.Errorf("%+v: evidence (-want +got):\n%s", c.o, diff)
		}
	}
}

func TestLargestSize(t *testing.T) {
	for _, size := range []int64{64 << 40, 64<<40 - 1} {
		l, err := Dynamic{LogicalSector: 4096}.Layout(size)
		if err != nil || l.Shape().VirtualSize != 64<<40 {
			t.Errorf("%d bytes: %+v, %v", size, l, err)
		}
	}
	for _, size := range []int64{64<<40 + 1, 1<<63 - 1} {
		if _, err := (Dynamic{}).Layout(size); !errors.Is(err, errcode.Sentinel(errcode.VirtualSizeTooLarge)) {
			t.Errorf("%d bytes: %v, want %s", size, err, errcode.VirtualSizeTooLarge)
		}
	}
}

// TestCodecVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same codec version: raise codecVersion, and only then change
// the digests.
func TestCodecVersionIsRaisedWithTheBytes(t *testing.T) {
	disk := imgtest.Random(60, 5<<20, 3<<20)
	want := map[string]string{
		"vhdx v1 block_size=1048576 logical_sector_size=512 physical_sector_size=4096":                                            "200caba2e4f61a8bac4306ecccb1e8cb61187fd7e0abc6d3339e02253cea434c",
		"vhdx v1 block_size=4194304 logical_sector_size=4096 physical_sector_size=4096 uuid=01000000-0000-0000-0000-000000000002": "d89c4eb339e7c572579d4631cb855fcae357d5cfb05047a3f30c8ec220a39044",
	}
	for _, o := range []Dynamic{{}, {BlockSize: 4 << 20, LogicalSector: 4096, UUID: formats.ID{0: 1, 15: 2}}} {
		got := fmt.Sprintf("%x", sha256.Sum256(planned(t, o, disk)))
		if w, ok := want[o.Codec()]; !ok || got != w {
			t.Errorf("%q: digest %s, want %s", o.Codec(), got, w)
		}
	}
}

// TestDisksAreToldApart holds the identifiers of two disks, and of one disk
// written with two options, against each other.
func TestDisksAreToldApart(t *testing.T) {
	a, b := imgtest.Random(1, 3<<20, 1<<20), imgtest.Random(2, 3<<20, 1<<20)
	seen := map[string]string{}
	for name, file := range map[string][]byte{"a": planned(t, Dynamic{}, a), "b": planned(t, Dynamic{}, b), "a in other blocks": planned(t, Dynamic{BlockSize: 2 << 20}, a)} {
		for what, id := range map[string][]byte{
			"FileWriteGuid": file[header1Off+16:][:16], "DataWriteGuid": file[header1Off+32:][:16],
			"virtual disk ID": file[metadataOff+metadataTableBytes+16:][:16],
		} {
			if other, taken := seen[string(id)]; taken {
				t.Errorf("the %s of %s is the %s", what, name, other)
			}
			seen[string(id)] = what + " of " + name
		}
	}
}

// TestAnyRangeOfTheTable holds ranges of a BAT, which cut entries, against
// entries that are computed one by one.
func TestAnyRangeOfTheTable(t *testing.T) {
	for _, o := range []Dynamic{{BlockSize: 256 << 20}, {BlockSize: 1 << 20, LogicalSector: 4096}, {BlockSize: 64 << 20, LogicalSector: 4096}} {
		l, err := o.Layout(90_000*o.BlockSize - 512)
		if err != nil {
			t.Fatalf("%s: %v", o.Codec(), err)
		}
		lay := l.(layout)
		stored := rankmap.New(l.Shape().Blocks())
		for i := int64(3); i < 90_000; i += 1 + i%97 {
			stored.SetRange(i, min(90_000, i+1+i%7))
		}
		stored.SetRange(40_000, 70_000)
		stored.Seal()
		part := lay.table(stored)
		want, ratio := make([]byte, part.Len), 8<<20*o.complete().LogicalSector/o.BlockSize
		at, host := int64(0), l.Shape().Head
		for i := range stored.Cap() {
			if i > 0 && i%ratio == 0 {
				at += 8
			}
			if stored.Has(i) {
				binary.LittleEndian.PutUint64(want[at:], uint64(host)+6)
				host += o.BlockSize
			}
			at += 8
		}
		if at != part.Len {
			t.Fatalf("%s: the BAT has %d bytes, want %d", o.Codec(), part.Len, at)
		}
		for off := int64(0); off < part.Len; off += 1009 {
			n := min(1+off%9001, part.Len-off)
			p := make([]byte, n)
			if part.Fill(p, off); string(p) != string(want[off:off+n]) {
				t.Fatalf("%s: %d bytes at %d are wrong", o.Codec(), n, off)
			}
		}
	}
}
