package s3

import (
	"cmp"
	"slices"
)

// A run is the bytes [Off, End).
type run struct {
	Off int64 `json:"off"`
	End int64 `json:"end"`
}

// runs is a set of bytes: ascending, apart from each other.
type runs []run

// add returns the set with [off, end) in it.
func (r runs) add(off, end int64) runs {
	if off >= end {
		return r
	}
	i, _ := slices.BinarySearchFunc(r, off, func(a run, t int64) int { return cmp.Compare(a.End, t) })
	j := i
	for j < len(r) && r[j].Off <= end {
		off, end = min(off, r[j].Off), max(end, r[j].End)
		j++
	}
	return slices.Replace(r, i, j, run{off, end})
}

// whole reports whether the set is [off, end).
func (r runs) whole(off, end int64) bool {
	return len(r) == 1 && r[0].Off <= off && r[0].End >= end
}

// bytes is how many the set has.
func (r runs) bytes() int64 {
	var n int64
	for _, x := range r {
		n += x.End - x.Off
	}
	return n
}

// cut returns the set in pieces of up to n bytes.
func (r runs) cut(n int64) []runs {
	var out []runs
	var one runs
	left := n
	for _, x := range r {
		for x.Off < x.End {
			k := min(x.End-x.Off, left)
			one = append(one, run{x.Off, x.Off + k})
			x.Off += k
			if left -= k; left == 0 {
				out, one, left = append(out, one), nil, n
			}
		}
	}
	if len(one) > 0 {
		out = append(out, one)
	}
	return out
}
