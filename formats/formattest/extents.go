package formattest

import (
	"io"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// checkExtents holds the extents against the guest bytes and the file.
func checkExtents(t *testing.T, s Spec, d formats.Disk) {
	var off int64
	var prev formats.Extent
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Off != off || e.Len <= 0 {
			t.Fatalf("extent %+v does not follow offset %d", e, off)
		}
		if off > 0 && prev.State == e.State && prev.Compressed == e.Compressed && joins(prev, e) {
			t.Errorf("extents %+v and %+v are one", prev, e)
		}
		if e.State != formats.Data && e.Compressed {
			t.Errorf("extent %+v is compressed and not data", e)
		}
		checkExtentAt(t, d, e)
		switch {
		case e.State != formats.Data:
			checkReadsZero(t, s.Want, e)
		case e.HostOff >= 0 && s.File != nil:
			checkHostBytes(t, s, e)
		}
		off, prev = e.End(), e
	}
	if off != d.Size() {
		t.Errorf("extents end at %d of %d", off, d.Size())
	}
}

// joins reports whether b continues a in the file, or neither has a place.
func joins(a, b formats.Extent) bool {
	if a.HostOff < 0 || b.HostOff < 0 {
		return a.HostOff == b.HostOff
	}
	return a.HostOff+a.Len == b.HostOff
}

// checkExtentAt asks for the extent at its begin, middle and last byte.
func checkExtentAt(t *testing.T, d formats.Disk, e formats.Extent) {
	t.Helper()
	for _, off := range []int64{e.Off, e.Off + e.Len/2, e.End() - 1} {
		got, err := d.ExtentAt(off)
		if err != nil {
			t.Fatalf("extent at %d: %v", off, err)
		}
		if got.Off > off || got.End() <= off || got.Len <= 0 {
			t.Fatalf("extent at %d is %+v and does not hold it", off, got)
		}
		if got.End() > d.Size() {
			t.Errorf("extent %+v passes the virtual size %d", got, d.Size())
		}
		if got.State != e.State || got.Compressed != e.Compressed {
			t.Errorf("extent at %d is %+v within %+v", off, got, e)
		}
	}
}

// checkReadsZero fails unless the expected guest bytes of e are zeros.
func checkReadsZero(t *testing.T, want imgtest.Content, e formats.Extent) {
	t.Helper()
	eachRun(t, want, e, func(off int64, p []byte) {
		if err := difference(make([]byte, len(p)), p, off); err != nil {
			t.Fatalf("%s extent %+v covers data: %v", e.State, e, err)
		}
	})
}

// checkHostBytes fails unless the file holds the guest bytes of e at its host
// offset.
func checkHostBytes(t *testing.T, s Spec, e formats.Extent) {
	t.Helper()
	host := make([]byte, chunkBytes)
	eachRun(t, s.Want, e, func(off int64, p []byte) {
		q := host[:len(p)]
		if n, err := s.File.ReadAt(q, e.HostOff+off-e.Off); n < len(q) {
			t.Fatalf("extent %+v is not in the file: read %d, %v", e, n, err)
		}
		if err := difference(q, p, off); err != nil {
			t.Fatalf("extent %+v has another host offset: %v", e, err)
		}
	})
}

// eachRun calls fn for the pieces of e where want may have data.
func eachRun(t *testing.T, want imgtest.Content, e formats.Extent, fn func(off int64, p []byte)) {
	t.Helper()
	buf := make([]byte, chunkBytes)
	for off := e.Off; off < e.End(); {
		start, end, err := want.NextData(off)
		if err != nil {
			t.Fatal(err)
		}
		if start == end || start >= e.End() {
			return
		}
		p := buf[:min(chunkBytes, end-start, e.End()-start)]
		if n, err := want.ReadAt(p, start); n < len(p) && err != io.EOF {
			t.Fatal(err)
		}
		fn(start, p)
		off = start + int64(len(p))
	}
}
