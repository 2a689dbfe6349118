package vmdk

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// FuzzOptions writes disks of any size with any options in both subformats: what
// is not refused with a code is an image that our own Validate takes, of the size
// that was asked for, and that holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add("", 0, "", 0, int64(5<<20+77), uint64(1))
	f.Add("ide", 22, "d\u00efsk.vmdk", 9, int64(1), uint64(2))
	f.Add("legacyESX", 3, "a b'c=#.vmdk", 1, int64(33<<20+512), uint64(3))
	f.Add("buslogic", 4, "x\" 0", 2, int64(1<<20), uint64(4))
	f.Add("pvscsi", 1, "/etc/passwd", 10, int64(1<<20), uint64(5))
	f.Add("", 0, "", 0, int64(maxSparseBytes+512), uint64(6))
	f.Add("", 0, "", 0, int64(maxStreamBytes), uint64(7))
	f.Add("", 0, "", 0, int64(-1), uint64(8))
	f.Fuzz(func(t *testing.T, adapter string, hardware int, name string, level int, size int64, seed uint64) {
		o := Options{Adapter: adapter, HardwareVersion: hardware, Name: name}
		sparse, stream := Sparse{o}, Stream{Options: o, CompressionLevel: level, Engine: transfer.Engine{Workers: 2}}
		if sparse.Codec() == stream.Codec() {
			t.Fatalf("one codec for two subformats: %s", sparse.Codec())
		}
		if size > 1<<30 {
			size &^= sectorBytes - 1 // so that holes need not be read to be compared
		}
		_, err := sparse.Layout(size)
		// The tables of larger disks are large: TestSparseKeepsTheRules.
		if !refused(t, err) && size <= 64<<30 {
			p, err := blocks.Planner{Target: sparse}.Plan(t.Context(), imgtest.Random(seed, size, 2<<20))
			if err != nil {
				t.Fatal(err)
			}
			checkWritten(t, p, p.Summary(), monolithicSparse, imgtest.Random(seed, size, 2<<20))
		}
		if _, _, err = stream.check(size); !refused(t, err) && size <= 4<<40 {
			disk := imgtest.Random(seed, size, 2<<20)
			r, sum := formattest.Record(t, stream, disk, nil)
			checkWritten(t, bytes.NewReader(r.Bytes), sum, streamOptimized, disk)
		}
	})
}

// refused reports whether there is an error, which must say what is wrong.
func refused(t *testing.T, err error) bool {
	t.Helper()
	switch code := errcode.Of(err); code {
	case "":
		return false
	case errcode.TargetOption, errcode.VirtualSizeTooLarge, errcode.VirtualSizeZero:
	default:
		t.Fatalf("refused with %q: %v", code, err)
	}
	return true
}

// checkWritten reads an image with the package's own reader.
func checkWritten(t *testing.T, r io.ReaderAt, sum formats.Summary, subformat string, disk *imgtest.Disk) {
	t.Helper()
	d, err := Format{}.Open(r, sum.FileSize, formats.DefaultLimits())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if info := d.Info(); info.Subformat != subformat || info.BlockSize != grainBytes || len(info.Findings) > 0 || info.Unreadable != nil {
		t.Fatalf("info %+v", info)
	}
	if d.Size() != sum.VirtualSize || d.Size() < disk.Size() || d.Size() >= disk.Size()+sectorBytes {
		t.Fatalf("%d bytes of %d are read as %d", sum.VirtualSize, disk.Size(), d.Size())
	}
	if findings, err := d.(formats.Validator).Validate(t.Context()); err != nil || len(findings) > 0 {
		t.Fatalf("validate: %v, %v", findings, err)
	}
	if d.Size() == disk.Size() {
		imgtest.EqualDisk(t, d, disk)
		return
	}
	imgtest.Equal(t, d, disk, disk.Size())
}
