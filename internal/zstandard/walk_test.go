package zstandard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A walker reads a frame slowly, as RFC 8878 section 3 describes it, to learn what
// decoders do not tell.
type walker struct {
	p         []byte
	out       []byte
	recent    [3]int
	blocks    [3]int
	literals  map[string]int // sections by kind, size format and number of streams
	modes     [3]map[int]int // of tables: of literal lengths, offsets, match lengths
	repeats   map[[2]int]int // offset values up to 3, with or without literals
	weights   map[string]int // trees by how they are written
	far       int            // the largest distance
	sequences int            // the most of a block
	deepest   int            // the longest Huffman code
	logs      [3]int         // the finest table of each kind
	longest   [2]int         // literal and match lengths
}

func bad(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

func newWalker(p []byte) *walker {
	w := &walker{p: p, recent: [3]int{1, 4, 8}, literals: map[string]int{}, repeats: map[[2]int]int{}, weights: map[string]int{}}
	for i := range w.modes {
		w.modes[i] = map[int]int{}
	}
	return w
}

// walk reads one frame that fills p.
func (w *walker) walk() (err error) {
	defer func() {
		if e := recover(); e != nil {
			if err, _ = e.(error); err == nil {
				err = fmt.Errorf("%v", e)
			}
		}
	}()
	p := w.p
	if binary.LittleEndian.Uint32(p) != 0xFD2FB528 {
		bad("magic number")
	}
	if p[4]&0x3f != 1<<5 { // single segment; no checksum, no dictionary
		bad("frame header descriptor %#x", p[4])
	}
	var size int
	switch p = p[5:]; w.p[4] >> 6 {
	case 0:
		size, p = int(p[0]), p[1:]
	case 1:
		size, p = int(binary.LittleEndian.Uint16(p))+256, p[2:]
	case 2:
		size, p = int(binary.LittleEndian.Uint32(p)), p[4:]
	default:
		bad("content size of 8 bytes")
	}
	for last := false; !last; {
		h := int(p[0]) | int(p[1])<<8 | int(p[2])<<16
		kind, n := h>>1&3, h>>3
		p, last = p[3:], h&1 != 0
		before := len(w.out)
		w.blocks[kind]++
		switch kind {
		case 0:
			w.out, p = append(w.out, p[:n]...), p[n:]
		case 1:
			for range n {
				w.out = append(w.out, p[0])
			}
			p = p[1:]
		case 2:
			w.block(p[:n])
			p = p[n:]
		}
		if len(w.out)-before > min(size, 128<<10) {
			bad("block of %d bytes", len(w.out)-before)
		}
	}
	if len(p) > 0 || len(w.out) != size {
		return fmt.Errorf("%d bytes left, %d bytes came out of %d", len(p), len(w.out), size)
	}
	return nil
}

func (w *walker) block(p []byte) {
	literals, p := w.section(p)
	n := int(p[0])
	switch {
	case n == 0:
		p = p[1:]
	case n < 128:
		p = p[1:]
	case n < 255:
		n, p = (n-128)<<8+int(p[1]), p[2:]
	default:
		n, p = int(binary.LittleEndian.Uint16(p[1:]))+0x7F00, p[3:]
	}
	w.sequences = max(w.sequences, n)
	if n == 0 {
		if len(p) > 0 {
			bad("%d bytes behind no sequences", len(p))
		}
		w.out = append(w.out, literals...)
		return
	}
	modes := int(p[0])
	if modes&3 != 0 {
		bad("reserved bits of modes %#x", modes)
	}
	p = p[1:]
	var tables [3]slowTable
	given := [3]slowTable{slowFSE(litNorm, 6), slowFSE(offsetNorm, 5), slowFSE(matchNorm, 6)}
	for i, most := range []int{9, 8, 9} {
		mode := modes >> (6 - 2*i) & 3
		w.modes[i][mode]++
		switch mode {
		case modePredefined:
			tables[i] = given[i]
		case modeRLE:
			tables[i], p = slowTable{{symbol: int(p[0])}}, p[1:]
		case modeFSE:
			var norm []int16
			var log int
			norm, log, p = slowNorm(p, most)
			w.logs[i] = max(w.logs[i], log)
			tables[i] = slowFSE(norm, log)
		default:
			bad("repeated table")
		}
	}
	r := newSlowBits(p)
	var at [3]int
	for i := range at {
		at[i] = r.take(bits.Len(uint(len(tables[i]))) - 1)
	}
	for i := range n {
		ll, of, ml := tables[0][at[0]], tables[1][at[1]], tables[2][at[2]]
		value := 1<<of.symbol + r.take(of.symbol)
		match := slowLength(ml.symbol, r, []int{32, 3}, []int{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
		lit := slowLength(ll.symbol, r, []int{16, 0}, []int{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
		w.longest = [2]int{max(w.longest[0], lit), max(w.longest[1], match)}
		if lit > len(literals) {
			bad("sequence %d of %d wants %d literals of %d", i, n, lit, len(literals))
		}
		w.out, literals = append(w.out, literals[:lit]...), literals[lit:]
		distance := w.distance(value, lit)
		if distance < 1 || distance > len(w.out) {
			bad("sequence %d of %d: distance %d at %d", i, n, distance, len(w.out))
		}
		w.far = max(w.far, distance)
		for range match {
			w.out = append(w.out, w.out[len(w.out)-distance])
		}
		if i < n-1 {
			at[0] = ll.base + r.take(ll.bits)
			at[2] = ml.base + r.take(ml.bits)
			at[1] = of.base + r.take(of.bits)
		}
	}
	if r.n != 0 {
		bad("%d bits left behind sequences", r.n)
	}
	w.out = append(w.out, literals...)
}

// distance is that of RFC 8878 section 3.1.1.5.
func (w *walker) distance(value, lit int) int {
	d := value - 3
	at := 2
	if value <= 3 {
		w.repeats[[2]int{value, min(lit, 1)}]++
		at = value - 1
		if lit == 0 {
			at++
		}
		if at < 3 {
			d = w.recent[at]
		} else {
			d, at = w.recent[0]-1, 2
		}
	}
	copy(w.recent[1:at+1], w.recent[:at])
	w.recent[0] = d
	return d
}

func slowLength(code int, r *slowBits, plain, widths []int) int {
	n := plain[1]
	if code < plain[0] {
		return n + code
	}
	n += plain[0]
	for _, width := range widths[:code-plain[0]] {
		n += 1 << width
	}
	return n + r.take(widths[code-plain[0]])
}

// section reads literals.
func (w *walker) section(p []byte) (literals, rest []byte) {
	kind, format := int(p[0]&3), int(p[0]>>2&3)
	if kind < 2 {
		head, shift := 1, 3
		if format == 1 {
			head, shift = 2, 4
		} else if format == 3 {
			head, shift = 3, 4
		}
		w.literals[fmt.Sprint("kind ", kind, " head ", head)]++
		n := slowInt(p[:head]) >> shift
		if p = p[head:]; kind == 0 {
			return p[:n], p[n:]
		}
		for range n {
			literals = append(literals, p[0])
		}
		return literals, p[1:]
	}
	if kind == 3 {
		bad("literals without a tree")
	}
	head := max(3, format+2)
	width := (head*8 - 4) / 2
	v := slowInt(p[:head]) >> 4
	n, size := v&(1<<width-1), v>>width
	w.literals[fmt.Sprint("kind ", kind, " format ", format)]++
	p, rest = p[head:head+size], p[head+size:]
	codes, p := w.huffman(p)
	parts, each := [][]byte{p}, n
	if format > 0 {
		a, b, c := slowInt(p[:2]), slowInt(p[2:4]), slowInt(p[4:6])
		p = p[6:]
		parts, each = [][]byte{p[:a], p[a : a+b], p[a+b : a+b+c], p[a+b+c:]}, (n+3)/4
	}
	for _, part := range parts {
		r := newSlowBits(part)
		end := min(n, len(literals)+each)
		for len(literals) < end {
			literals = append(literals, codes.next(r))
		}
		if r.n != 0 {
			bad("%d bits left behind literals", r.n)
		}
	}
	return literals, rest
}

func slowInt(p []byte) (v int) {
	for i, b := range p {
		v |= int(b) << (8 * i)
	}
	return v
}

type slowCode map[[2]int]byte // length and code: symbol

func (c slowCode) next(r *slowBits) byte {
	for l, code := 1, 0; l <= 11; l++ {
		code = code<<1 | r.take(1)
		if s, ok := c[[2]int{l, code}]; ok {
			return s
		}
	}
	panic(errors.New("no code"))
}

// huffman reads a tree (RFC 8878 section 4.2.1).
func (w *walker) huffman(p []byte) (slowCode, []byte) {
	var weights []int
	head := int(p[0])
	p = p[1:]
	if head >= 128 {
		w.weights["plain"]++
		n := head - 127
		for i := range n {
			weights = append(weights, int(p[i/2]>>(4*(1-i&1))&15))
		}
		p = p[(n+1)/2:]
	} else {
		w.weights["FSE"]++
		norm, log, q := slowNorm(p[:head], 6)
		table, r := slowFSE(norm, log), newSlowBits(q)
		p = p[head:]
		at := [2]int{r.take(log), r.take(log)}
		for i := 0; ; i ^= 1 {
			s := table[at[i]]
			weights = append(weights, s.symbol)
			if s.bits > r.n {
				weights = append(weights, table[at[i^1]].symbol)
				break
			}
			at[i] = s.base + r.take(s.bits)
		}
	}
	sum := 0
	for _, v := range weights {
		if v > 0 {
			sum += 1 << (v - 1)
		}
	}
	long := bits.Len(uint(sum))
	w.deepest = max(w.deepest, long)
	rest := 1<<long - sum
	if long > 11 || rest&(rest-1) != 0 || len(weights) > 255 {
		bad("weights %v", weights)
	}
	weights = append(weights, bits.Len(uint(rest)))
	codes, code := slowCode{}, 0
	for v := 1; v <= long; v++ {
		for s, x := range weights {
			if x == v {
				codes[[2]int{long + 1 - v, code}] = byte(s)
				code++
			}
		}
		code >>= 1
	}
	return codes, p
}

// tell counts what was seen, by names.
func (w *walker) tell(seen map[string]int) {
	seen["block raw"] += w.blocks[0]
	seen["block compressed"] += w.blocks[2]
	for k, n := range w.literals {
		seen["literals "+k] += n
	}
	for k, n := range w.weights {
		seen["weights "+k] += n
	}
	for i, modes := range w.modes {
		for k, n := range modes {
			seen[fmt.Sprint("table ", i, " mode ", k)] += n
		}
		seen[fmt.Sprint("table ", i, " log ", w.logs[i])]++
	}
	for k, n := range w.repeats {
		seen[fmt.Sprint("offset ", k[0], " ", []string{"without", "with"}[k[1]], " literals")] += n
	}
	seen[fmt.Sprint("code of ", w.deepest, " bits")]++
	seen[fmt.Sprint("distance ", w.far)]++
	if w.sequences > 127 {
		seen["sequences by two bytes"]++
	}
	if w.longest[1] > 32770 {
		seen["match of 32770 bytes"]++
	}
	if w.longest[0] >= 16383 {
		seen["16383 literals in a sequence"]++
	}
}
