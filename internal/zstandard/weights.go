package zstandard

// describe writes the tree (RFC 8878 section 4.2.1), unless it cannot be written.
func (l *literalWriter) describe(w *bitWriter, last int, long uint8) bool {
	var weights [256]uint8
	var counts [16]uint32
	n := last // the last weight follows from the others
	for s, length := range l.lengths[:n] {
		if length > 0 {
			length = long + 1 - length
		}
		weights[s] = length
		counts[length&15]++
	}
	start := w.pos
	if l.fseWeights(w, weights[:n], counts[:maxHuffman+1]) {
		if size := w.pos - start - 1; size < maxPlain && (size <= (n+1)/2 || n > maxPlain) {
			w.out[start] = byte(size)
			return true
		}
	}
	w.pos = start
	if n > maxPlain {
		return false
	}
	w.put(uint64(127+n), 8)
	for i := 0; i < n; i += 2 {
		w.put(uint64(weights[i])<<4|uint64(weights[i+1]), 8)
	}
	return true
}

// fseWeights writes weights by FSE, with two states in turns (RFC 8878 section
// 4.2.1.2), behind a byte for the size.
func (l *literalWriter) fseWeights(w *bitWriter, p []uint8, counts []uint32) bool {
	kinds, largest := 0, uint32(0)
	for _, c := range counts {
		if c > 0 {
			kinds++
		}
		largest = max(largest, c)
	}
	if kinds < 2 || largest < 2 {
		return false
	}
	t := &l.weights
	t.normalize(counts, uint32(len(p)), optimalLog(uint32(len(p)), maxHuffman, maxWeightLog))
	t.build()
	w.pos++
	t.describe(w)
	w.align()
	var states [2]uint32
	for i := len(p) - 1; i >= 0; i-- {
		s := states[i&1]
		if s == 0 {
			states[i&1] = t.first(p[i])
			continue
		}
		f := t.transforms[p[i]&63]
		out := (s + f.bits) >> 16
		w.put(uint64(s)&(1<<(out&31)-1), uint(out))
		states[i&1] = uint32(t.states[(int32(s>>(out&31))+f.find)&(1<<maxLog-1)])
	}
	size := uint64(1)<<t.log - 1
	w.put(uint64(states[1])&size, t.log)
	w.put(uint64(states[0])&size, t.log)
	w.finish()
	return true
}
