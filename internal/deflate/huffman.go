package deflate

import "math/bits"

const maxSymbols = 288

// A tree makes Huffman codes.
type tree struct {
	sorted  [maxSymbols]uint32 // count<<symbolShift | symbol, ascending
	weights [2 * maxSymbols]uint32
	parents [2 * maxSymbols]uint16
}

const (
	symbolShift = 9
	manyCounts  = 256
)

// lengths gives each symbol that occurs the length of its code, at most limit.
// There are two codes at least, since some readers refuse incomplete ones.
func (t *tree) lengths(counts []uint32, lengths []uint8, limit int) {
	n := t.sort(counts)
	clear(lengths)
	if n < 2 {
		lengths[0], lengths[1] = 1, 1
		if n == 1 {
			if s := t.sorted[0] & (1<<symbolShift - 1); s > 1 {
				lengths[1], lengths[s] = 0, 1
			}
		}
		return
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
}

// sort fills sorted: by buckets, and the last of them, of what occurs often and is
// therefore rare, by insertion.
func (t *tree) sort(counts []uint32) int {
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
func (t *tree) join(n int) {
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
func (t *tree) depths(n, limit int) (at [maxCode + 2]int) {
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

// assign gives symbols of the same length ascending codes (RFC 1951 section
// 3.2.2), their bits turned round as they stand in the stream.
func assign(lengths []uint8, codes []uint16) {
	var at, next [maxCode + 1]uint16
	for _, l := range lengths {
		at[l&maxCode]++
	}
	at[0] = 0
	code := uint16(0)
	for l := 1; l <= maxCode; l++ {
		code = (code + at[l-1]) << 1
		next[l] = code
	}
	for s, l := range lengths {
		codes[s] = bits.Reverse16(next[l&maxCode]) >> (16 - l&31)
		next[l&maxCode]++
	}
}
