package s3

import (
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A layout says where each part lies. Parts are numbered from 0 here, from 1 in
// the protocol.
type layout []step

// A step is a run of parts of one size.
type step struct {
	Count int   `json:"count"`
	Size  int64 `json:"size"` // bytes of one part
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

// snug is growing for what is known to need no larger parts behind: a checkpoint puts
// what is new of the part that is begun below parts/, so that one that is larger than
// what is written between two is sent twice.
func snug(most int64) layout {
	l := layout{{5000, smallPart}} // to 39 GiB
	return append(l, step{5000, max(smallPart, wholeMiB(binio.DivCeil(max(most-l.max(), 1), 5000)))})
}

// Parts of a layout that is snug: to 78 GiB all are small, and to 195 GiB none is
// larger than those of growing.
const (
	smallPart = 8 << 20
	snugPart  = 32 << 20
)

// tall is growing for what does not fit there: an object that turns out to be small
// has small parts all the same, and of the largest ones as many are left that they
// need not be much larger than a 10,000th.
func tall(most int64) layout {
	l := layout{{1000, 8 << 20}, {1000, 64 << 20}} // to 70 GiB
	left := int64(maxParts - 2000)
	part := wholeMiB(binio.DivCeil(most-l.max(), left))
	if part > maxPart {
		return even(wholeMiB(binio.DivCeil(most, maxParts)))
	}
	return append(l, step{int(left), part})
}

func wholeMiB(n int64) int64 { return (n + 1<<20 - 1) &^ (1<<20 - 1) }

// layoutFor returns the layout of an upload of up to most bytes, -1 if nothing is
// known of its size.
func layoutFor(most, fixed int64) layout {
	if fixed > 0 {
		return even(fixed)
	}
	if l := snug(most); most >= 0 && l.sizeOf(maxParts-1) <= snugPart {
		return l
	}
	if l := growing(); most <= l.max() {
		return l
	}
	return tall(min(most, maxParts*maxPart))
}

// layout returns where the parts of the upload lie. An upload that was begun before
// its manifest told so has the layout of that time.
func (m *manifest) layout() layout {
	switch {
	case len(m.Layout) > 0:
		return m.Layout
	case m.PartSize == 0 && m.Size > growing().max():
		return even(wholeMiB(binio.DivCeil(m.Size, maxParts)))
	}
	return layoutFor(-1, m.PartSize)
}

// max is the largest object.
func (l layout) max() int64 {
	var sum int64
	for _, s := range l {
		sum += int64(s.Count) * s.Size
	}
	return sum
}

// at returns the part that holds off, and where it begins and ends.
func (l layout) at(off int64) (n int, start, end int64, err error) {
	for _, s := range l {
		if run := int64(s.Count) * s.Size; off-start < run {
			i := (off - start) / s.Size
			start += i * s.Size
			return n + int(i), start, start + s.Size, nil
		}
		n += s.Count
		start += int64(s.Count) * s.Size
	}
	return 0, 0, 0, errcode.New(errcode.ObjectTooLarge, "offset %d lies behind the largest object of %d bytes", off, l.max())
}

// sizeOf returns the bytes of a whole part.
func (l layout) sizeOf(n int) int64 {
	for _, s := range l {
		if n < s.Count {
			return s.Size
		}
		n -= s.Count
	}
	return 0
}

// bounds returns where a part begins and ends.
func (l layout) bounds(n int) (start, end int64) {
	for _, s := range l {
		if n < s.Count {
			start += int64(n) * s.Size
			return start, start + s.Size
		}
		start += int64(s.Count) * s.Size
		n -= s.Count
	}
	return start, start
}
