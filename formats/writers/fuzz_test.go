package writers

import (
	"context"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// FuzzOptions writes small disks with any settings: whatever is not refused with
// a code that says so must be an image that is opened, found sound, and holds
// the disk.
func FuzzOptions(f *testing.F) {
	for i, name := range Known() {
		w, _, _ := Resolve(name, nil)
		f.Add(name, "", "", "", "", int64(3<<20+512*i), uint64(i))
		for _, o := range w.Options {
			v := o.Default
			if len(o.Values) > 0 {
				v = o.Values[len(o.Values)-1]
			}
			f.Add(name, o.Name, v, "", "", int64(1<<20+i), uint64(i))
			f.Add(name, o.Name, FormatSize(o.Max), "subformat", "fixed", int64(77+i), uint64(i))
		}
	}
	f.Add("qcow2", "cluster_size", "512", "compression", "zlib", int64(5<<20), uint64(3))
	f.Add("qcow2", "cluster_size", "2M", "compression", "zstd", int64(7<<20), uint64(4))
	f.Add("vhd", "subformat", "fixed", "align", "1536", int64(2<<20), uint64(5))
	f.Fuzz(func(t *testing.T, name, k1, v1, k2, v2 string, size int64, seed uint64) {
		if size <= 0 || size > 9<<20 {
			t.Skip("too large to be written often")
		}
		given := map[string]string{}
		for k, v := range map[string]string{k1: v1, k2: v2} {
			if k != "" {
				given[k] = v
			}
		}
		w, o, err := Resolve(name, given)
		if err != nil {
			refused(t, err)
			return
		}
		m, err := w.Make(o, transfer.Engine{})
		if err != nil {
			t.Fatalf("%s takes %v and then does not: %v", w.Name, o, err)
		}
		roundTrip(t, m, imgtest.Random(seed, size, size/3))
	})
}

// refused demands a code that tells what is wrong.
func refused(t *testing.T, err error) {
	t.Helper()
	switch errcode.Of(err) {
	case errcode.TargetFormat, errcode.TargetOption, errcode.VirtualSizeTooLarge:
	default:
		t.Fatalf("refused without a reason: %v", err)
	}
}

// roundTrip writes the disk in each way that m has, and reads it back.
func roundTrip(t *testing.T, m Made, disk *imgtest.Disk) {
	t.Helper()
	if m.Planner != nil {
		p, err := m.Planner.Plan(t.Context(), disk)
		if err != nil {
			refused(t, err)
			return
		}
		sound(t, m, p, p.Summary(), disk)
	}
	if m.Encoder != nil {
		out := pages{}
		sum, err := m.Encoder.Encode(t.Context(), out, disk, formats.Checkpoint{})
		if err != nil {
			refused(t, err)
			return
		}
		sound(t, m, out, sum, disk)
	}
}

// sound opens and checks what was written.
func sound(t *testing.T, m Made, r io.ReaderAt, sum formats.Summary, disk *imgtest.Disk) {
	t.Helper()
	lim := formats.DefaultLimits()
	d, err := m.Open(r, sum.FileSize, lim)
	if err != nil {
		t.Fatalf("what was written does not open: %v", err)
	}
	defer d.Close()
	if err := d.Info().Unreadable; err != nil {
		t.Fatal(err)
	}
	if v, ok := d.(formats.Validator); ok {
		// Findings are let through: 4096-byte sectors are one, and asked for.
		if _, err := v.Validate(t.Context()); err != nil {
			t.Fatalf("what was written is not sound: %v", err)
		}
	}
	if d.Size() != sum.VirtualSize || d.Size() < disk.Size() {
		t.Fatalf("%d guest bytes, the summary says %d, the source has %d", d.Size(), sum.VirtualSize, disk.Size())
	}
	imgtest.Equal(t, d, disk, disk.Size())
	tail := make([]byte, min(1<<20, d.Size()-disk.Size()))
	if len(tail) > 0 {
		imgtest.ReadFull(t, d, tail, disk.Size())
		for i, b := range tail {
			if b != 0 {
				t.Fatalf("padding byte %d is %#x", i, b)
			}
		}
	}
}

// pageBytes is the size of a page.
const pageBytes = 64 << 10

// pages is a sparse file in memory, and a sink that never stops.
type pages map[int64][]byte

func (p pages) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	state()
	return nil
}

func (p pages) WriteAt(b []byte, off int64) (int, error) {
	n := len(b)
	for len(b) > 0 {
		page, in := off/pageBytes, off%pageBytes
		if p[page] == nil {
			p[page] = make([]byte, pageBytes)
		}
		k := copy(p[page][in:], b)
		b, off = b[k:], off+int64(k)
	}
	return n, nil
}

func (p pages) ReadAt(b []byte, off int64) (int, error) {
	n := len(b)
	for len(b) > 0 {
		page, in := off/pageBytes, off%pageBytes
		k := min(int64(len(b)), pageBytes-in)
		if p[page] == nil {
			clear(b[:k])
		} else {
			copy(b, p[page][in:])
		}
		b, off = b[k:], off+k
	}
	return n, nil
}
