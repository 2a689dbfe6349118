package qcow2

import (
	"context"
	"errors"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

func plan(t testing.TB, bits int, src formats.Disk) *Plan {
	t.Helper()
	p, err := Planner{ClusterBits: bits}.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Plan)
}

// stream reads a plan from begin to end.
func stream(t testing.TB, p *Plan) []byte {
	t.Helper()
	b := make([]byte, p.Size())
	if n, err := p.ReadAt(b, 0); int64(n) != p.Size() || err != nil {
		t.Fatalf("read plan: %d of %d, %v", n, p.Size(), err)
	}
	return b
}

// TestPlanHasOneRangeOfMetadata holds the layout against the file: metadata,
// then nothing but data clusters, without holes.
func TestPlanHasOneRangeOfMetadata(t *testing.T) {
	disk := imgtest.Random(63, 200<<20+512, 6<<20)
	p := plan(t, 12, disk)
	var located int64
	for off := int64(0); off < p.Summary().VirtualSize; {
		host, n := p.Locate(off)
		if host >= 0 {
			located += n
		}
		off += n
	}
	meta := slices.Collect(p.Metadata())
	if len(meta) != 1 || meta[0].Off != 0 || meta[0].End+located > p.Size() || meta[0].End+located < p.Size()-4096 {
		t.Errorf("metadata %v and %d located bytes are not the file of %d bytes", meta, located, p.Size())
	}
	for off, want := range map[int64][2]int64{0: {0, p.Size()}, p.Size() - 1: {p.Size() - 1, p.Size()}, p.Size() + 9: {p.Size(), p.Size()}} {
		if start, end, err := p.NextData(off); err != nil || start != want[0] || end != want[1] {
			t.Errorf("next data at %d: %d, %d, %v; want %v", off, start, end, err, want)
		}
	}
}

// TestPlanOfAHugeDiskIsSmall plans 32 TiB with little data.
func TestPlanOfAHugeDiskIsSmall(t *testing.T) {
	disk := imgtest.New(32<<40, 4, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Noise},
		imgtest.Run{Off: 16 << 40, Len: 1, Kind: imgtest.Noise}, imgtest.Run{Off: 32<<40 - 512, Len: 512, Kind: imgtest.Text})
	before := allocatedBytes()
	p := plan(t, 0, disk)
	if got := allocatedBytes() - before; got > 4<<20 {
		t.Errorf("planning allocates %d bytes", got)
	}
	// The L1 table has 65536 entries: 512 KiB.
	if p.Size() > 3<<20 {
		t.Errorf("the file has %d bytes", p.Size())
	}
	checkSound(t, stream(t, p), disk)
}

func TestPlanReportsTheSourcesError(t *testing.T) {
	broken := errors.New("cable cut")
	p := plan(t, 0, failing{imgtest.Random(1, 8<<20, 4<<20), broken})
	if n, err := p.ReadAt(make([]byte, p.Size()), 0); !errors.Is(err, broken) || int64(n) != p.data {
		t.Errorf("read: %d, %v; want the metadata and the source's error", n, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := (Planner{}).Plan(ctx, imgtest.Random(1, 8<<20, 4<<20)); !errors.Is(err, broken) {
		t.Errorf("plan: %v, want the cause", err)
	}
}

// failing is a disk whose bytes cannot be read.
type failing struct {
	formats.Disk
	err error
}

func (d failing) ReadAt([]byte, int64) (int, error) { return 0, d.err }
