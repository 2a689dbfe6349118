// Package huffman finds the lengths of Huffman codes, for formats that bound them.
package huffman

const (
	// MaxSymbols is how many symbols an alphabet has at most.
	MaxSymbols = 288
	maxLength  = 15
)

// A Tree finds lengths of one alphabet at a time, and allocates nothing. The zero
// value is ready.
type Tree struct {
	sorted  [MaxSymbols]uint32 // count<<symbolShift | symbol, ascending
	weights [2 * MaxSymbols]uint32
	parents [2 * MaxSymbols]uint16
}

const (
	symbolShift = 9
	manyCounts  = 256
)

// Lengths gives each symbol that occurs the length of its code, at most limit, and all
// others 0; it returns how many occur. The code is complete if there are two of them;
// one alone has length 1. The counts together are less than 1<<23, limit is at most 15
// and 1<<limit at least the number of symbols.
func (t *Tree) Lengths(counts []uint32, lengths []uint8, limit int) int {
	n := t.sort(counts)
	clear(lengths)
	switch n {
	case 0:
		return 0
	case 1:
		lengths[t.sorted[0]&(1<<symbolShift-1)] = 1
		return 1
	}
	t.join(n)
	at := t.depths(n, limit)
	i := 0
	for l := limit; l > 0; l-- {
		for range at[l] {
			lengths[t.sorted[i]&(1<<symbolShift-1)] = uint8(l)
			i++
		}
	}
	return n
}

// sort fills sorted: by buckets, and the last of them, of what occurs often and is
// therefore rare, by insertion.
func (t *Tree) sort(counts []uint32) int {
	var ends [manyCounts]uint16
	for _, c := range counts {
		ends[min(c, manyCounts-1)]++
	}
	ends[0] = 0
	for i := 1; i < manyCounts; i++ {
		ends[i] += ends[i-1]
	}
	many := int(ends[manyCounts-2])
	n := int(ends[manyCounts-1])
	for s := len(counts) - 1; s >= 0; s-- {
		if c := counts[s]; c > 0 {
			b := min(c, manyCounts-1)
			ends[b]--
			t.sorted[ends[b]] = c<<symbolShift | uint32(s)
		}
	}
	for i := many + 1; i < n; i++ {
		v, j := t.sorted[i], i
		for ; j > many && t.sorted[j-1] > v; j-- {
			t.sorted[j] = t.sorted[j-1]
		}
		t.sorted[j] = v
	}
	return n
}

// join builds the tree over n sorted leaves: of the two lightest nodes, which are
// at the head of the leaves or of the inner nodes, it makes the next inner node.
func (t *Tree) join(n int) {
	for i := range n {
		t.weights[i] = t.sorted[i] >> symbolShift
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		sum := uint32(0)
		for range 2 {
			i := inner
			if leaf < n && (inner >= next || t.weights[leaf] <= t.weights[inner]) {
				i = leaf
				leaf++
			} else {
				inner++
			}
			sum += t.weights[i]
			t.parents[i] = uint16(next)
		}
		t.weights[next] = sum
	}
}

// depths counts the leaves at each depth. Those beyond limit are taken to it, and
// as many others one down as keep the code one.
func (t *Tree) depths(n, limit int) (at [maxLength + 2]int) {
	depths := &t.weights // what they held is not needed any more
	depths[2*n-2] = 0
	for i := 2*n - 3; i >= 0; i-- {
		depths[i] = depths[t.parents[i]] + 1
		if i < n {
			at[min(int(depths[i]), limit)]++
		}
	}
	total := 0
	for l := 1; l <= limit; l++ {
		total += at[l] << (limit - l)
	}
	for ; total > 1<<limit; total-- {
		l := limit - 1
		for at[l] == 0 {
			l--
		}
		at[l]--
		at[l+1] += 2
		at[limit]--
	}
	return at
}
