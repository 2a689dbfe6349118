package zstandard

import (
	"math"
	"math/bits"
)

const (
	maxLog      = 9 // of any table here
	minLog      = 5 // RFC 8878 section 4.1.1
	maxAlphabet = 53
)

// A transform tells how a symbol changes a state: the state's lowest bits are
// written, (state+bits)>>16 of them, and the next state stands at the rest+find.
type transform struct {
	bits uint32
	find int32
}

// An fseTable encodes symbols of one alphabet (RFC 8878 section 4.1).
type fseTable struct {
	log        uint
	norm       [maxAlphabet]int16 // probability times 1<<log; -1 is less than one
	transforms [64]transform
	states     [1 << maxLog]uint16
}

// normalize spreads 1<<log over the counts that are not zero. The largest takes what
// is left over.
func (t *fseTable) normalize(counts []uint32, total uint32, log uint) {
	t.log = log
	size := uint32(1) << log
	left, largest := int32(size), 0
	scale := uint64(size) << 32 / uint64(total)
	for s, c := range counts {
		if c == 0 {
			t.norm[s] = 0
			continue
		}
		n := max(1, int32((uint64(c)*scale+1<<31)>>32))
		t.norm[s] = int16(n)
		left -= n
		if c > counts[largest] {
			largest = s
		}
	}
	clear(t.norm[len(counts):])
	if room := int32(t.norm[largest]) >> 1; left < 0 && -left > room {
		// Too many symbols were rounded up: take one from each that can give.
		t.shrink(counts, &left)
	}
	t.norm[largest] += int16(left)
}

// shrink takes from those that have more than one until nothing is owed.
func (t *fseTable) shrink(counts []uint32, left *int32) {
	for *left < 0 {
		for s := range counts {
			if t.norm[s] > 1 && *left < 0 {
				t.norm[s]--
				*left++
			}
		}
	}
}

// optimalLog returns how fine a table for total symbols should be.
func optimalLog(total uint32, alphabet int, most uint) uint {
	log := uint(max(bits.Len32(total-1)-3, 0))
	return max(minLog, min(most, max(log, uint(min(bits.Len32(total), bits.Len(uint(alphabet))+1)))))
}

// build makes the transforms and states from norm.
func (t *fseTable) build() {
	var symbols [1 << maxLog]uint8
	var next [maxAlphabet + 1]uint16
	size := 1 << t.log
	mask, high := size-1, size-1
	at := uint16(0)
	for s, n := range &t.norm {
		next[s] = at
		if n == -1 {
			symbols[high&(1<<maxLog-1)] = uint8(s)
			high--
			n = 1
		}
		at += uint16(n)
	}
	step, pos := size>>1+size>>3+3, 0
	for s, n := range &t.norm {
		for ; n > 0; n-- {
			symbols[pos&(1<<maxLog-1)] = uint8(s)
			for pos = (pos + step) & mask; pos > high; {
				pos = (pos + step) & mask
			}
		}
	}
	for i, s := range symbols[:size] {
		t.states[next[s&63]&(1<<maxLog-1)] = uint16(size + i)
		next[s&63]++
	}
	total := int32(0)
	for s, n := range &t.norm {
		switch n {
		case 0:
		case 1, -1:
			t.transforms[s] = transform{uint32(t.log<<16) - uint32(size), total - 1}
			total++
		default:
			out := uint32(t.log) - uint32(bits.Len16(uint16(n-1))-1)
			t.transforms[s] = transform{out<<16 - uint32(n)<<out, total - int32(n)}
			total += int32(n)
		}
	}
}

// constant makes a table of which the state never changes and takes no bits.
func (t *fseTable) constant(symbol uint8) {
	t.log = 0
	t.transforms[symbol&63] = transform{}
	t.states[0] = 0
}

// first returns the state that stands for a bitstream's last symbol.
func (t *fseTable) first(symbol uint8) uint32 {
	f := t.transforms[symbol&63]
	out := (f.bits + 1<<15) >> 16
	state := out<<16 - f.bits
	return uint32(t.states[(int32(state>>out)+f.find)&(1<<maxLog-1)])
}

// describe writes the table's description (RFC 8878 section 4.1.1), and returns how
// many bits it takes.
func (t *fseTable) describe(w *bitWriter) {
	w.put(uint64(t.log-minLog), 4)
	size := 1 << t.log
	remaining, threshold, width := size+1, size, t.log+1
	for s := 0; remaining > 1; {
		count := int(t.norm[s])
		s++
		most := 2*threshold - 1 - remaining
		remaining -= max(count, -count)
		v := count + 1
		if v >= threshold {
			v += most
		}
		n := width
		if v < most {
			n--
		}
		w.put(uint64(v), n)
		for remaining < threshold && threshold > 1 {
			width--
			threshold >>= 1
		}
		if count != 0 || remaining <= 1 {
			continue
		}
		from := s
		for t.norm[s] == 0 {
			s++
		}
		for ; s-from >= 3; from += 3 {
			w.put(3, 2)
		}
		w.put(uint64(s-from), 2)
	}
}

// describedBits estimates from above what describe writes.
func (t *fseTable) describedBits() int {
	n := 4
	for _, c := range &t.norm {
		if c != 0 {
			n += bits.Len16(uint16(max(c, -c))) + 3
		}
	}
	return n
}

// cost returns 256 times the bits that symbols so frequent take.
func (t *fseTable) cost(counts []uint32) uint64 {
	sum := uint64(0)
	for s, c := range counts {
		n := t.norm[s]
		if n == -1 {
			n = 1
		}
		sum += uint64(c) * uint64(uint32(t.log)<<8-log2(uint32(n)))
	}
	return sum
}

// logarithms has 256*log2(1+i/256).
var logarithms [256]uint16

func init() {
	for i := range logarithms {
		logarithms[i] = uint16(math.Round(256 * math.Log2(1+float64(i)/256)))
	}
}

// log2 returns about 256*log2(n), 0 for 0.
func log2(n uint32) uint32 {
	if n == 0 {
		return 0
	}
	z := bits.LeadingZeros32(n)
	return uint32(31-z)<<8 + uint32(logarithms[n<<z>>23&255])
}
