package s3

import "ingest/internal/errcode"

// A layout says where each part lies. Parts are numbered from 0 here, from 1 in
// the protocol.
type layout []step

// A step is a run of parts of one size.
type step struct {
	count int
	size  int64 // bytes of one part
}

// growing is the layout where the final size is not known: small parts, so that
// little is in memory and little is sent again after a crash, and larger ones
// behind them, so that 10,000 are enough for 719 GiB.
func growing() layout {
	return layout{
		{4000, 8 << 20}, // to 31 GiB
		{2000, 32 << 20},
		{2000, 64 << 20},
		{1000, 128 << 20}, // to 344 GiB
		{500, 256 << 20},
		{500, 512 << 20},
	}
}

// even is the layout of parts of one size.
func even(size int64) layout { return layout{{maxParts, size}} }

// layoutFor returns the layout of an upload of size bytes, -1 if unknown.
func layoutFor(size, fixed int64) layout {
	if fixed > 0 {
		return even(fixed)
	}
	l := growing()
	if size <= l.max() {
		return l
	}
	part := (size + maxParts - 1) / maxParts
	return even((part + 1<<20 - 1) &^ (1<<20 - 1))
}

// max is the largest object.
func (l layout) max() int64 {
	var sum int64
	for _, s := range l {
		sum += int64(s.count) * s.size
	}
	return sum
}

// at returns the part that holds off, and where it begins and ends.
func (l layout) at(off int64) (n int, start, end int64, err error) {
	for _, s := range l {
		if run := int64(s.count) * s.size; off-start < run {
			i := (off - start) / s.size
			start += i * s.size
			return n + int(i), start, start + s.size, nil
		}
		n += s.count
		start += int64(s.count) * s.size
	}
	return 0, 0, 0, errcode.New(errcode.NoSpace, "offset %d lies behind the largest object of %d bytes", off, l.max())
}

// sizeOf returns the bytes of a whole part.
func (l layout) sizeOf(n int) int64 {
	for _, s := range l {
		if n < s.count {
			return s.size
		}
		n -= s.count
	}
	return 0
}

// bounds returns where a part begins and ends.
func (l layout) bounds(n int) (start, end int64) {
	for _, s := range l {
		if n < s.count {
			start += int64(n) * s.size
			return start, start + s.size
		}
		start += int64(s.count) * s.size
		n -= s.count
	}
	return start, start
}
