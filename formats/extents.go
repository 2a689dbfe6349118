package formats

import (
	"fmt"
	"io"
	"iter"
)

// Extents walks the extents of [off, end), clipped to it and merged, so that
// neighbours differ in state, compression, or host contiguity of plain data.
// It is the one place where clipping and merging happen. It ends after the
// first error.
func Extents(d Disk, off, end int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var run Extent
		for off < end {
			e, err := extentAt(d, off, end)
			if err != nil {
				yield(Extent{}, err)
				return
			}
			off = e.End()
			if run.Len > 0 && follows(run, e) {
				run.Len += e.Len
				continue
			}
			if run.Len > 0 && !yield(run, nil) {
				return
			}
			run = e
		}
		if run.Len > 0 {
			yield(run, nil)
		}
	}
}

// extentAt asks the disk and clips the answer to [off, end).
func extentAt(d Disk, off, end int64) (Extent, error) {
	e, err := d.ExtentAt(off)
	if err != nil {
		return Extent{}, err
	}
	if e.Off > off || e.Len <= 0 || e.Len <= off-e.Off {
		return Extent{}, fmt.Errorf("extent at %d: driver answered [%d, +%d)", off, e.Off, e.Len)
	}
	skip := off - e.Off
	e.Off, e.Len = off, e.Len-skip
	if e.State != Data || e.Compressed {
		e.HostOff = -1
	} else if e.HostOff >= 0 {
		e.HostOff += skip
	}
	e.Len = min(e.Len, end-off)
	return e, nil
}

// follows reports whether b continues a.
func follows(a, b Extent) bool {
	if a.State != b.State || a.Compressed != b.Compressed {
		return false
	}
	if a.HostOff < 0 || b.HostOff < 0 {
		return a.HostOff == b.HostOff
	}
	return a.HostOff+a.Len == b.HostOff
}

// ReadData fills p with the guest bytes at off like ReadAt, but asks the disk
// only for its data extents and clears the rest. It reports whether there was
// any data.
func ReadData(d Disk, p []byte, off int64) (bool, error) {
	any := false
	for e, err := range Extents(d, off, off+int64(len(p))) {
		if err != nil {
			return any, err
		}
		q := p[e.Off-off : e.End()-off]
		if e.State != Data {
			clear(q)
			continue
		}
		any = true
		n, err := d.ReadAt(q, e.Off)
		if n < len(q) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return any, fmt.Errorf("read %d bytes at guest offset %d: %w", len(q), e.Off, err)
		}
	}
	return any, nil
}

// DataBytes counts the guest bytes of a disk that are stored as data.
func DataBytes(d Disk) (int64, error) {
	var n int64
	for e, err := range Extents(d, 0, d.Size()) {
		if err != nil {
			return 0, err
		}
		if e.State == Data {
			n += e.Len
		}
	}
	return n, nil
}
