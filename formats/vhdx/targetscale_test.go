package vhdx

import (
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/rankmap"
	"ingest/internal/imgtest"
)

// TestPlanOfTheLargestDisk plans 64 TiB in the smallest blocks: a BAT of half a
// GiB, which is never held in memory.
func TestPlanOfTheLargestDisk(t *testing.T) {
	imgtest.CountsAllocations(t)
	const size = 64 << 40
	disk := imgtest.New(size, 3, imgtest.Run{Off: 5, Len: 1, Kind: imgtest.Noise},
		imgtest.Run{Off: 31<<40 - 9, Len: 3 << 20, Kind: imgtest.Text}, imgtest.Run{Off: size - 1, Len: 1, Kind: imgtest.Noise})
	var p formats.Plan
	if got := heap(func() { p = planOf(t, Dynamic{}, disk) }); got > 16<<20 {
		t.Errorf("planning allocates %d bytes", got)
	}
	// 2^26 entries, and one after each 4096 of them but the last.
	const bat = (8<<26 + 8*(1<<14-1) + 1<<20 - 1) >> 20 << 20
	if want := int64(3<<20 + bat + 6<<20); p.Size() != want {
		t.Errorf("the file has %d bytes, want %d", p.Size(), want)
	}
	used := heap(func() {
		buf := make([]byte, 1<<20)
		for off := int64(0); off < p.Size(); off += int64(len(buf)) {
			if n, err := p.ReadAt(buf, off); n < len(buf) && err != io.EOF {
				t.Fatalf("read at %d: %d, %v", off, n, err)
			}
		}
	})
	if used > 16<<20 {
		t.Errorf("reading the file allocates %d bytes", used)
	}
	d, err := Format{}.Open(p, p.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if f, err := d.(formats.Validator).Validate(t.Context()); err != nil || len(f) > 0 {
		t.Errorf("validate: %v, %v", f, err)
	}
	imgtest.EqualDisk(t, d, disk)
}

// BenchmarkTables writes everything but the blocks of disks of 64 TiB.
func BenchmarkTables(b *testing.B) {
	const size = 64 << 40
	for name, set := range map[string]func(*rankmap.Map){
		"empty": func(*rankmap.Map) {},
		"full":  func(m *rankmap.Map) { m.SetRange(0, m.Cap()) },
		"every second block": func(m *rankmap.Map) {
			for i := int64(0); i < m.Cap(); i += 2 {
				m.SetRange(i, i+1)
			}
		},
	} {
		l, err := Dynamic{}.Layout(size)
		if err != nil {
			b.Fatal(err)
		}
		stored := rankmap.New(l.Shape().Blocks())
		set(stored)
		stored.Seal()
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 1<<20)
			b.SetBytes(l.Shape().Head)
			for b.Loop() {
				parts := l.Head(blocks.View{Stored: stored})
				part := parts[len(parts)-1]
				for off := int64(0); off < part.Len; off += int64(len(buf)) {
					p := buf[:min(int64(len(buf)), part.Len-off)]
					clear(p)
					part.Fill(p, off)
				}
			}
		})
	}
}
