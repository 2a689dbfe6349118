package gce

import (
	"bytes"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// small is a tar file of runs of one block, with an extension block.
func small(runs int) []byte {
	m := sparseMap{size: 64 << 10}
	for i := range int64(runs) {
		m.runs = append(m.runs, run{off: 1024 * i, end: 1024*i + blockBytes})
	}
	p := append(m.header(), bytes.Repeat([]byte("data"), runs*blockBytes/4)...)
	return append(p, make([]byte, endBlocks*blockBytes)...)
}

// FuzzOpen takes a tar file, or if whole is odd the compressed file, whose sum a
// changed byte would break.
func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	for _, n := range []int{0, 2, 6} {
		f.Add(small(n), byte(0))
	}
	f.Add(small(6)[:1500], byte(2))
	f.Add(pack(f, small(6)), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, whole byte) {
		if whole%2 == 0 {
			if len(data) >= blockBytes && whole%4 == 0 {
				data = bytes.Clone(data)
				putSum(data)
			}
			formattest.Fuzz(t, tarFormat{}, data)
			data = pack(t, data)
		}
		formattest.Fuzz(t, format{}, data)
	})
}

func TestSeedsAreGood(t *testing.T) {
	for _, n := range []int{0, 2, 6} {
		formattest.Refused(t, format{}, pack(t, small(n)), nil)
	}
}

// FuzzOptions encodes a small disk with any options: they are refused with a
// reason, or what is written is sound and holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add(0, int64(512), uint32(1<<20), uint64(1))
	f.Add(9, int64(4096), uint32(3<<20+7), uint64(2))
	f.Add(1, int64(1<<40), uint32(1), uint64(3))
	f.Add(-1, int64(-1), uint32(0), uint64(4))
	f.Fuzz(func(t *testing.T, level int, align int64, size uint32, seed uint64) {
		e := Encoder{Level: level, Align: align}
		n := int64(size) % (9 << 20)
		disk := imgtest.Random(seed, n, n/2)
		if n == 0 {
			disk = imgtest.New(0, seed)
		}
		r := formattest.NewRecorder(t, e, disk)
		sum, err := e.Encode(t.Context(), r, disk, formats.Checkpoint{})
		switch errcode.Of(err) {
		case "":
		case errcode.TargetOption, errcode.VirtualSizeZero, errcode.VirtualSizeTooLarge:
			return
		default:
			t.Fatal(err)
		}
		d := open(t, r.Bytes)
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d.Size() != sum.VirtualSize || sum.FileSize != int64(len(r.Bytes)) {
			t.Fatalf("%+v of a disk of %d bytes in %d", sum, d.Size(), len(r.Bytes))
		}
		imgtest.Equal(t, d, disk, disk.Size())
	})
}
