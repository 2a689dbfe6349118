package pipeline

import (
	"math/rand/v2"
	"testing"

	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/imgtest"
)

// TestStreamDigest feeds a disk in pieces of any length, some of its zeros left
// out: the digest is the disk's.
func TestStreamDigest(t *testing.T) {
	for seed := uint64(1); seed < 30; seed++ {
		disk := imgtest.Random(seed, int64(seed)*700_001, int64(seed)*200_000)
		e := transfer.Engine{Digest: content.New(disk.Size())}
		if err := e.Run(t.Context(), disk, 0, disk.Size(), nil, nil); err != nil {
			t.Fatal(err)
		}
		want, err := e.Digest.Sum()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &streamDigest{h: content.New(disk.Size()), size: disk.Size(), block: make([]byte, 0, content.BlockBytes)}
		for off := int64(0); off < disk.Size(); {
			n := min(1+rng.Int64N(3<<20), disk.Size()-off)
			p := make([]byte, n)
			imgtest.ReadFull(t, disk, p, off)
			if !allZero(p) || rng.IntN(2) == 0 {
				s.write(off, p)
			}
			off += n
		}
		s.zeros(s.size)
		if got, err := s.h.Sum(); err != nil || got != want {
			t.Fatalf("seed %d: %s, %v; want %s", seed, got, err, want)
		}
	}
}
