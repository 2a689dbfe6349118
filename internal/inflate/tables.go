package inflate

import "math/bits"

// Widths of the primary tables, bits. Codes that are longer go on in a second
// table behind the primary one. Wider tables miss less often and take longer to
// build; these are the best of what was tried on clusters of 64 KiB.
const (
	litlenBits = 11
	distBits   = 8
	preBits    = 7 // the longest of its codes
	maxCode    = 15
)

// Numbers of symbols (RFC 1951 sections 3.2.5 to 3.2.7). The fixed codes have
// two more lengths and two more distances, which no stream may use.
const (
	maxLitlen = 288
	maxDist   = 32
	numLitlen = 286
	numDist   = 30
	numPre    = 19
	endBlock  = 256
)

// A table has room for its primary entries and all second tables that a code
// can need: each holds at least two symbols.
type (
	litlenTable [1<<litlenBits + maxLitlen/2<<(maxCode-litlenBits)]uint32
	distTable   [1<<distBits + maxDist/2<<(maxCode-distBits)]uint32
	preTable    [1 << preBits]uint32
)

// A table's entry. The low six bits say how many bits of the stream it takes,
// extra bits of a length or distance included.
//
//	literal    bit 31 set; bits 8-15 the byte
//	length     bits 16-24 the base; bits 8-11 bits of the code without extra ones
//	distance   bits 16-30 the base; bits 8-11 likewise
//	other      bit 15 set: with bit 14 the place (16-30) and width (8-11) of a
//	           second table; with bit 13 the end of the block; else no code
const (
	entryLiteral = 1 << 31
	entryOther   = 1 << 15
	entrySub     = 1 << 14
	entryEnd     = 1 << 13
	entryBits    = 63
)

// Entries of the symbols, without the length of their codes: entry adds it.
var (
	litlenSymbols = makeLitlen()
	distSymbols   = makeDist()
	preSymbols    = makePre()
)

// makeLitlen lists literals, the end of the block and lengths, RFC 1951 section
// 3.2.5.
func makeLitlen() (t [maxLitlen]uint32) {
	for i := range uint32(256) {
		t[i] = entryLiteral | i<<8
	}
	t[endBlock] = entryOther | entryEnd
	base, extra := uint32(3), uint32(0)
	for i := endBlock + 1; i < numLitlen-1; i++ {
		if k := i - 257; k >= 8 && k%4 == 0 {
			extra++
		}
		t[i] = base<<16 | extra
		base += 1 << extra
	}
	t[numLitlen-1] = 258 << 16
	for i := numLitlen; i < maxLitlen; i++ {
		t[i] = entryOther
	}
	return t
}

// makeDist lists distances.
func makeDist() (t [maxDist]uint32) {
	base, extra := uint32(1), uint32(0)
	for i := range numDist {
		if i >= 4 && i%2 == 0 {
			extra++
		}
		t[i] = base<<16 | extra
		base += 1 << extra
	}
	for i := numDist; i < maxDist; i++ {
		t[i] = entryOther
	}
	return t
}

// makePre lists the symbols of the code of code lengths as if they were
// distances.
func makePre() (t [numPre]uint32) {
	for i := range t {
		t[i] = uint32(i) << 16
	}
	return t
}

// entry is a symbol's entry with a code, or the rest of one, of n bits.
func entry(symbol uint32, n uint) uint32 {
	if symbol&entryLiteral != 0 || symbol&entryOther != 0 {
		return symbol | uint32(n)
	}
	return symbol + uint32(n)<<8 + uint32(n)
}

// build fills a table whose primary part is of width bits from the lengths of
// the symbols' codes. It refuses what compress/flate refuses: codes that are
// over-subscribed or leave something out, but for none at all and a single one
// of one bit.
func (d *Decoder) build(table, symbols []uint32, lengths []uint8, width uint) bool {
	var count, place [maxCode + 1]int
	for _, l := range lengths {
		count[l&maxCode]++
	}
	count[0] = 0
	symbolsUsed, sum, longest := 0, 0, 0 // sum counts in units of the longest possible code
	for l := 1; l <= maxCode; l++ {
		place[l] = symbolsUsed
		if count[l] > 0 {
			symbolsUsed += count[l]
			sum += count[l] << (maxCode - l)
			longest = l
		}
	}
	switch {
	case symbolsUsed == 0, symbolsUsed == 1 && longest == 1:
		for i := range 1 << width {
			table[i] = entryOther
		}
	case sum != 1<<maxCode:
		return false
	}
	for s, l := range lengths {
		if l != 0 {
			d.sorted[place[l&maxCode]] = uint16(s)
			place[l&maxCode]++
		}
	}
	d.fillTable(table, symbols, &count, width, uint(longest))
	return true
}

// fillTable writes a complete code, or one of a single symbol, into a table.
// The primary part is made by doubling: entries of shorter codes repeat.
func (d *Decoder) fillTable(table, symbols []uint32, count *[maxCode + 1]int, width, longest uint) {
	code, next := uint(0), 0 // code has its first bit lowest
	for l := uint(1); l <= width; l++ {
		half := 1 << (l - 1)
		copy(table[half:2*half], table[:half])
		for range count[l] {
			table[code] = entry(symbols[d.sorted[next]], l)
			next++
			code = after(code, l)
		}
	}
	if longest <= width {
		return
	}
	d.fillSecond(table, symbols, count, width, longest, code, next)
}

// fillSecond writes the codes that are longer than width.
func (d *Decoder) fillSecond(table, symbols []uint32, count *[maxCode + 1]int, width, longest, code uint, next int) {
	prefix, start, size := ^uint(0), 0, uint(0)
	end := 1 << width
	for l := width + 1; l <= longest; l++ {
		for left := count[l]; left > 0; left-- {
			if p := code & (1<<width - 1); p != prefix {
				prefix, start = p, end
				// As wide as the codes with this prefix need.
				size = l - width
				for room := left; room < 1<<size && width+size < longest; {
					size++
					room = room<<1 + count[width+size]
				}
				end = start + 1<<size
				table[prefix] = entryOther | entrySub | uint32(start)<<16 | uint32(size)<<8 | uint32(width)
			}
			e := entry(symbols[d.sorted[next]], l-width)
			for i := code >> width; i < 1<<size; i += 1 << (l - width) {
				table[start+int(i)] = e
			}
			next++
			code = after(code, l)
		}
	}
}

// after is the code of l bits that follows, first bit lowest. Behind the last
// one it is 0.
func after(code, l uint) uint {
	// Adding one at the last bit, which is the highest, carries downwards.
	ones := bits.LeadingZeros64(^uint64(code << (64 - l)))
	code &= 1<<(l-uint(min(ones, int(l)))) - 1
	if ones < int(l) {
		code |= 1 << (l - 1 - uint(ones))
	}
	return code
}

// fixTables makes the tables of fixed codes, RFC 1951 section 3.2.6.
func (d *Decoder) fixTables() {
	l := d.lengths[:]
	for i := range maxLitlen {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	d.build(d.litlen[:], litlenSymbols[:], l[:maxLitlen], litlenBits)
	for i := range maxDist {
		l[i] = 5
	}
	d.build(d.dist[:], distSymbols[:], l[:maxDist], distBits)
	d.fixed = true
}

// preOrder is the order in which lengths of the code of code lengths stand.
var preOrder = [numPre]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readTables reads the head of a block with codes of its own, RFC 1951 section
// 3.2.7.
func (d *Decoder) readTables() error {
	if !d.need(14) {
		return ErrTruncated
	}
	litlens, dists, pres := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if litlens > numLitlen || dists > numDist {
		return ErrCorrupt
	}
	var lengths [numPre]uint8
	for i := range pres {
		if !d.need(3) {
			return ErrTruncated
		}
		lengths[preOrder[i]] = uint8(d.take(3))
	}
	if !d.build(d.pre[:], preSymbols[:], lengths[:], preBits) {
		return ErrCorrupt
	}
	if err := d.readLengths(litlens + dists); err != nil {
		return err
	}
	d.fixed = false
	if !d.build(d.litlen[:], litlenSymbols[:], d.lengths[:litlens], litlenBits) ||
		!d.build(d.dist[:], distSymbols[:], d.lengths[litlens:litlens+dists], distBits) {
		return ErrCorrupt
	}
	return nil
}

// readLengths reads the n lengths of both codes.
func (d *Decoder) readLengths(n int) error {
	for i := 0; i < n; {
		d.fill()
		e := d.pre[d.buf&(1<<preBits-1)]
		if e&entryOther != 0 {
			return ErrCorrupt
		}
		// A code takes 7 bits at most, and 7 more say how often.
		used, symbol := uint(e&entryBits), e>>16
		extra, least, value := uint(0), 1, uint8(symbol)
		switch symbol {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			extra, least, value = 2, 3, d.lengths[i-1]
		case 17:
			extra, least, value = 3, 3, 0
		case 18:
			extra, least, value = 7, 11, 0
		}
		if d.n < used+extra {
			return ErrTruncated
		}
		d.drop(used)
		times := least + int(d.take(extra))
		if i+times > n {
			return ErrCorrupt
		}
		for range times {
			d.lengths[i] = value
			i++
		}
	}
	return nil
}
