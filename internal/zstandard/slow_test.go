package zstandard

import "math/bits"

type slowState struct{ symbol, bits, base int }

type slowTable []slowState

// slowFSE makes a decoding table (RFC 8878 section 4.1.1).
func slowFSE(norm []int16, log int) slowTable {
	size := 1 << log
	t := make(slowTable, size)
	high, sum := size-1, 0
	for s, n := range norm {
		if n == -1 {
			t[high].symbol = s
			high--
			n = 1
		}
		sum += int(n)
	}
	if sum != size {
		bad("probabilities %v make %d of %d", norm, sum, size)
	}
	at := 0
	for s, n := range norm {
		for range max(n, 0) {
			t[at].symbol = s
			for at = (at + size>>1 + size>>3 + 3) & (size - 1); at > high; {
				at = (at + size>>1 + size>>3 + 3) & (size - 1)
			}
		}
	}
	next := map[int]int{}
	for s, n := range norm {
		next[s] = int(max(n, -n))
	}
	for i := range t {
		n := next[t[i].symbol]
		next[t[i].symbol]++
		t[i].bits = log - (bits.Len(uint(n)) - 1)
		t[i].base = n<<t[i].bits - size
	}
	return t
}

// slowNorm reads a table's description.
func slowNorm(p []byte, most int) (norm []int16, log int, rest []byte) {
	at := 0
	take := func(n int) (v int) {
		for i := range n {
			v |= int(p[at>>3]>>(at&7)&1) << i
			at++
		}
		return v
	}
	if log = take(4) + 5; log > most {
		bad("accuracy log %d", log)
	}
	for left := 1 << log; left > 0; {
		n := bits.Len(uint(left + 1)) // values from 0 to left+1
		v := take(n - 1)
		if short := 1<<n - 1 - (left + 1); v >= short {
			if v |= take(1) << (n - 1); v >= 1<<(n-1) {
				v -= short
			}
		}
		norm = append(norm, int16(v-1))
		if left -= max(v-1, 1-v); v != 1 {
			continue
		}
		for run := 3; run == 3; {
			run = take(2)
			norm = append(norm, make([]int16, run)...)
		}
	}
	return norm, log, p[(at+7)/8:]
}

// slowBits reads a bitstream from its end.
type slowBits struct {
	p []byte
	n int // bits left
}

func newSlowBits(p []byte) *slowBits {
	if p[len(p)-1] == 0 {
		bad("a bitstream without an end")
	}
	return &slowBits{p, len(p)*8 - 8 + bits.Len8(p[len(p)-1]) - 1}
}

func (r *slowBits) take(n int) (v int) {
	if n > r.n {
		bad("bitstream ends: %d bits of %d", r.n, n)
	}
	for range n {
		r.n--
		v = v<<1 | int(r.p[r.n>>3]>>(r.n&7)&1)
	}
	return v
}
