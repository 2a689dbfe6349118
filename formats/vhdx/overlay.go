package vhdx

import (
	"io"
	"sort"

	"ingest/internal/binio"
)

// An image is the file as it is once its log has been replayed.
type image struct {
	r    io.ReaderAt
	size int64     // bytes of the file itself
	end  int64     // bytes after the replay, >= size; what is between reads as zeros
	over *replayed // nil if there is no log
}

// A patch replaces the bytes [off, end) of the file.
type patch struct {
	off, end int64
	page     []byte // end-off bytes; nil for zeros
}

// A replayed log is what it writes: patches, ascending, not overlapping.
type replayed struct {
	patches []patch
}

// add appends a patch that lies behind all others.
func (o *replayed) add(p patch) {
	if n := len(o.patches); n > 0 && p.page == nil && o.patches[n-1].page == nil && o.patches[n-1].end == p.off {
		o.patches[n-1].end = p.end
		return
	}
	o.patches = append(o.patches, p)
}

// end returns where the last patch ends.
func (o *replayed) end() int64 {
	if len(o.patches) == 0 {
		return 0
	}
	return o.patches[len(o.patches)-1].end
}

// first returns the index of the first patch that ends behind off.
func (o *replayed) first(off int64) int {
	return sort.Search(len(o.patches), func(i int) bool { return o.patches[i].end > off })
}

// touches reports whether a patch replaces any byte of [off, end).
func (o *replayed) touches(off, end int64) bool {
	if o == nil {
		return false
	}
	i := o.first(off)
	return i < len(o.patches) && o.patches[i].off < end
}

// apply replaces what the patches replace in p, which was read at off.
func (o *replayed) apply(p []byte, off int64) {
	end := off + int64(len(p))
	for i := o.first(off); i < len(o.patches) && o.patches[i].off < end; i++ {
		x := o.patches[i]
		from, to := max(x.off, off), min(x.end, end)
		if x.page == nil {
			clear(p[from-off : to-off])
		} else {
			copy(p[from-off:to-off], x.page[from-x.off:])
		}
	}
}

// ReadAt reads the file through the overlay.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	if off >= m.end {
		return 0, io.EOF
	}
	q := p[:min(int64(len(p)), m.end-off)]
	stored := q[:max(0, min(int64(len(q)), m.size-off))]
	if len(stored) > 0 {
		if err := binio.ReadFull(m.r, stored, off); err != nil {
			return 0, err
		}
	}
	clear(q[len(stored):])
	if m.over != nil {
		m.over.apply(q, off)
	}
	if len(q) < len(p) {
		return len(q), io.EOF
	}
	return len(q), nil
}
