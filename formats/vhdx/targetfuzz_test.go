package vhdx

import (
	"bytes"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// FuzzOptions writes disks of any size with any options: what is not refused with
// a code is an image that our own Validate takes, of the size and the options
// that were asked for, and that holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), []byte(nil), int64(5<<20+77), uint64(1))
	f.Add(int64(2<<20), int64(4096), int64(4096), []byte{1, 2, 3}, int64(1), uint64(2))
	f.Add(int64(256<<20), int64(512), int64(512), []byte(nil), int64(9<<30+512), uint64(3))
	f.Add(int64(1<<20), int64(0), int64(0), []byte(nil), int64(3<<40), uint64(4))
	f.Add(int64(3<<20), int64(0), int64(0), []byte(nil), int64(1<<20), uint64(5))
	f.Add(int64(0), int64(4096), int64(512), []byte(nil), int64(1<<20), uint64(6))
	f.Add(int64(0), int64(0), int64(0), []byte(nil), int64(64<<40+1), uint64(7))
	f.Add(int64(0), int64(0), int64(0), []byte(nil), int64(-1), uint64(8))
	f.Fuzz(func(t *testing.T, block, logical, physical int64, uuid []byte, size int64, seed uint64) {
		o := Dynamic{BlockSize: block, LogicalSector: logical, PhysicalSector: physical}
		copy(o.UUID[:], uuid)
		if size <= 0 {
			if _, err := (blocks.Planner{Target: o}).Plan(t.Context(), imgtest.New(0, seed)); errcode.Of(err) != errcode.VirtualSizeZero {
				t.Fatalf("an empty disk: %v", err)
			}
			return
		}
		l, err := o.Layout(size)
		if err != nil {
			if code := errcode.Of(err); code != errcode.TargetOption && code != errcode.VirtualSizeTooLarge {
				t.Fatalf("layout: %v", err)
			}
			return
		}
		if s := l.Shape(); s.VirtualSize < size || s.VirtualSize >= size+o.complete().LogicalSector {
			t.Fatalf("shape %+v for %d bytes", s, size)
		}
		if size > 4<<40 {
			return // its tables are large: TestPlanOfTheLargestDisk
		}
		checkWritten(t, o, imgtest.Random(seed, size, 2<<20))
	})
}

// checkWritten lays a disk out and reads it with the package's own reader.
func checkWritten(t *testing.T, o Dynamic, src *imgtest.Disk) {
	t.Helper()
	p := planOf(t, o, src)
	d, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	c := o.complete()
	if info := d.Info(); info.Subformat != "dynamic" || info.BlockSize != c.BlockSize || info.Creator != creator || info.Unreadable != nil {
		t.Fatalf("%+v is read as %+v", c, info)
	}
	findings, err := d.(formats.Validator).Validate(t.Context())
	if err != nil {
		t.Fatalf("validate: %v", err)
	}
	for _, f := range findings {
		if f.Code != errcode.VHDXSector4K || c.LogicalSector != 4096 {
			t.Fatalf("validate: %+v", f)
		}
	}
	for _, r := range src.Runs() {
		a, b := make([]byte, min(r.Len, 4096)), make([]byte, min(r.Len, 4096))
		imgtest.ReadFull(t, d, a, r.Off)
		imgtest.ReadFull(t, src, b, r.Off)
		if !bytes.Equal(a, b) {
			t.Fatalf("guest bytes at %d are others", r.Off)
		}
	}
}
