package huffman

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// cheapest returns how many bits symbols so frequent take at least, without a limit:
// the sum of all inner nodes of the tree.
func cheapest(counts []uint32) (total uint64) {
	var nodes []uint64
	for _, c := range counts {
		if c > 0 {
			nodes = append(nodes, uint64(c))
		}
	}
	for len(nodes) > 1 {
		slices.Sort(nodes)
		sum := nodes[0] + nodes[1]
		total += sum
		nodes = append(nodes[2:], sum)
	}
	return total
}

// TestLengths makes codes for all kinds of counts: they are complete, within the limit,
// shorter for what is more frequent, and the cheapest if the limit allows that.
func TestLengths(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var tree Tree
	limited := 0
	for round := range 3000 {
		counts := make([]uint32, 2+rng.IntN(MaxSymbols-1))
		for i := range counts {
			switch round % 4 {
			case 0:
				counts[i] = uint32(rng.IntN(20))
			case 1:
				counts[i] = rng.Uint32N(1<<rng.IntN(15)) * uint32(rng.IntN(2))
			case 2:
				counts[i] = 1 << min(rng.IntN(len(counts)), 14)
			case 3:
				counts[i] = uint32(1 + rng.IntN(2)*rng.IntN(300))
			}
		}
		counts[0], counts[1] = counts[0]+1, counts[1]+1
		limit := 9 + rng.IntN(7)
		lengths := make([]uint8, len(counts))
		n := tree.Lengths(counts, lengths, limit)
		space, cost, deepest := 0, uint64(0), uint8(0)
		for s, l := range lengths {
			if (l > 0) != (counts[s] > 0) || int(l) > limit {
				t.Fatalf("symbol %d of count %d has length %d, limit %d", s, counts[s], l, limit)
			}
			if l > 0 {
				n--
				space += 1 << (limit - int(l))
				cost += uint64(l) * uint64(counts[s])
				deepest = max(deepest, l)
			}
			for r := range s {
				if counts[r] > counts[s] && counts[s] > 0 && lengths[r] > l {
					t.Fatalf("counts %d and %d have lengths %d and %d", counts[r], counts[s], lengths[r], l)
				}
			}
		}
		if n != 0 || space != 1<<limit {
			t.Fatalf("%d symbols too many, %d of %d codes", n, space, 1<<limit)
		}
		least := cheapest(counts)
		if int(deepest) < limit && cost != least || cost < least || cost > least+least/8 {
			t.Fatalf("%d bits, %d at least, deepest %d, limit %d", cost, least, deepest, limit)
		}
		if cost > least {
			limited++
		}
	}
	if limited == 0 {
		t.Error("no limit was ever reached")
	}
}

func TestLengthsOfFewSymbols(t *testing.T) {
	var tree Tree
	lengths := []uint8{9, 9, 9}
	if n := tree.Lengths([]uint32{0, 0, 0}, lengths, 11); n != 0 || lengths[0]|lengths[1]|lengths[2] != 0 {
		t.Errorf("no symbol: %d, %v", n, lengths)
	}
	if n := tree.Lengths([]uint32{0, 0, 700}, lengths, 11); n != 1 || lengths[0]|lengths[1] != 0 || lengths[2] != 1 {
		t.Errorf("one symbol: %d, %v", n, lengths)
	}
}
