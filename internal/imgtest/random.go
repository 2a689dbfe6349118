package imgtest

import (
	"fmt"
	"math/rand/v2"
)

// Random returns a disk of size bytes of which about budget bytes are text,
// noise or stored zeros and the rest holes. Borders of runs lie at odd bytes,
// at sectors and at clusters, so that allocation changes within every unit.
func Random(seed uint64, size, budget int64) *Disk {
	rng := rand.New(rand.NewPCG(seed, 0x696D6774657374))
	var runs []Run
	budget = min(budget, size)
	gaps := max(1, budget/meanRun)
	for off := int64(0); off < size && budget > 0; {
		if budget < size && rng.IntN(3) > 0 {
			off += roundRandomly(rng, rng.Int64N(2*max(1, (size-budget)/gaps)+1))
		}
		n := min(runLen(rng), size-off, budget)
		if n <= 0 {
			break
		}
		kind := [...]Kind{Noise, Text, Noise, Text, Zero}[rng.IntN(5)]
		runs = append(runs, Run{Off: off, Len: n, Kind: kind})
		off, budget = off+n, budget-n
	}
	return New(size, seed, runs...)
}

// meanRun is about the mean of runLen, bytes.
const meanRun = 160 << 10

// runLen draws a length that is odd, of whole sectors or of whole clusters.
func runLen(rng *rand.Rand) int64 {
	switch rng.IntN(4) {
	case 0:
		return 1 + rng.Int64N(5000)
	case 1:
		return 512 * (1 + rng.Int64N(200))
	default:
		return 64 << 10 * (1 + rng.Int64N(7))
	}
}

// roundRandomly rounds n down to a cluster or a sector, or leaves it.
func roundRandomly(rng *rand.Rand, n int64) int64 {
	unit := [...]int64{64 << 10, 512, 1}[rng.IntN(3)]
	return n / unit * unit
}

// A Case is a named disk.
type Case struct {
	Name string
	Disk *Disk
}

// Cases returns the disks that every format has to carry. Sizes are multiples
// of 512; none holds more than some MiB of data.
func Cases() []Case {
	const mib = 1 << 20
	out := []Case{
		{"empty", New(3*mib, 1)},
		{"one sector", New(512, 2, Run{0, 512, Noise})},
		{"full", New(5*mib, 3, Run{0, 5 * mib, Noise})},
		{"full text", New(5*mib, 4, Run{0, 5 * mib, Text})},
		{"stored zeros", New(5*mib, 5, Run{mib, 2 * mib, Zero})},
		{"one byte in the last sector", New(9*mib, 6, Run{9*mib - 100, 1, Noise})},
		{"odd multiple of 512", New(7*mib+3*512, 7, Run{0, 70000, Text}, Run{7*mib - 512, 4 * 512, Noise})},
		{"changes within clusters", changing(8 * mib)},
		{"above 4 GiB", New(5<<30+512, 9, Run{0, 4096, Text}, Run{4<<30 - 70001, 140003, Noise}, Run{5<<30 - 512, 1024, Text})},
	}
	for seed := uint64(10); seed < 14; seed++ {
		size := int64(20*mib) + int64(seed)*512*7
		out = append(out, Case{fmt.Sprintf("random %d", seed), Random(seed, size, 6*mib)})
	}
	return append(out, Case{"random above 8 GiB", Random(20, 8<<30+5*512, 8*mib)})
}

// changing returns a disk whose state changes every few sectors.
func changing(size int64) *Disk {
	var runs []Run
	kinds := [...]Kind{Noise, Zero, Text}
	for off, i := int64(512), 0; off+40000 < size; i++ {
		n := int64(1+i%9) * 4096
		runs = append(runs, Run{Off: off, Len: n - int64(i%3)*512, Kind: kinds[i%3]})
		off += n + int64(i%5)*12800
	}
	return New(size, 8, runs...)
}
