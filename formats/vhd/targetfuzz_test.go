package vhd

import (
	"bytes"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// FuzzOptions writes disks of any size with any options: what is not refused
// with a code is an image that our own Validate takes and that holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), int64(0), "", int64(5<<20+77), uint64(1))
	f.Add(int64(512<<10), int64(1<<20), int64(20<<20), int64(32<<40), "1b4e28ba-2fa1-41d2-883f-0016d3cca427", int64(1), uint64(2))
	f.Add(int64(3), int64(3), int64(-3), int64(-3), "x", int64(3<<40), uint64(3))
	f.Add(int64(4<<20), int64(1<<30), int64(0), int64(0), "", int64(2040<<30), uint64(4))
	f.Add(int64(0), int64(0), int64(1<<62), int64(1<<62), "", int64(1<<63-1), uint64(5))
	f.Fuzz(func(t *testing.T, block, align, least, most int64, uuid string, size int64, seed uint64) {
		if size > 1<<42 {
			size %= 1 << 42
		}
		src := imgtest.New(size, seed)
		if size > 0 {
			src = imgtest.Random(seed, size, 2<<20)
		}
		for _, pl := range []formats.Planner{blocks.Planner{Target: Dynamic{block, uuid}}, Fixed{align, least, most, uuid}} {
			p, err := pl.Plan(t.Context(), src)
			if err != nil {
				if errcode.Of(err) == errcode.Internal {
					t.Fatalf("plan: %v has no code", err)
				}
				continue
			}
			d, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
				t.Fatalf("validate: %v", err)
			}
			if d.Size() < size || len(d.Info().Findings) > 0 {
				t.Fatalf("%d of %d bytes, %v", d.Size(), size, d.Info().Findings)
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
	})
}
