package formattest

import (
	"bytes"
	"context"
	"io"
	"runtime/metrics"
	"testing"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// FuzzLimits are the limits under which Fuzz opens an image.
func FuzzLimits() formats.Limits {
	return formats.Limits{
		VirtualSize:     1 << 42,
		TableBytes:      1 << 20,
		DescriptorBytes: 64 << 10,
		CacheBytes:      256 << 10,
		BlockBytes:      2 << 20,
		ExpansionRatio:  2000,
		RefcountBytes:   8 << 20,
		Snapshots:       65536,
		SnapshotBytes:   64 << 20,
	}
}

// Bounds on how much Fuzz does with one input.
const (
	fuzzExtents = 2000
	fuzzReads   = 24
	fuzzRead    = 96 << 10
	// fuzzAlloc is what Open may allocate beyond TableBytes, DescriptorBytes
	// and the file: strings, findings and what the test's own machinery does.
	fuzzAlloc = 4 << 20
)

// Fuzz opens data under FuzzLimits and uses what it gets: extents, reads and
// Validate. It fails the test on a panic, an allocation beyond the limits, an
// error without a code, or a disk that contradicts itself.
func Fuzz(t *testing.T, f formats.Format, data []byte) {
	t.Helper()
	lim := FuzzLimits()
	size := int64(len(data))
	r := bytes.NewReader(data)
	f.Match(data[:min(len(data), formats.HeadLen)], data[max(0, len(data)-formats.TailLen):], size)

	before := allocated()
	d, err := f.Open(r, size, lim)
	most := 2*(lim.TableBytes+lim.DescriptorBytes+lim.BlockBytes) + 4*size + fuzzAlloc
	if got := allocated() - before; got > most {
		t.Fatalf("open allocated %d bytes, at most %d are allowed", got, most)
	}
	if err != nil {
		hasCode(t, "open", err)
		return
	}
	defer d.Close()
	if d.Size() < 0 || d.Size() > lim.VirtualSize || d.Info().VirtualSize != d.Size() {
		t.Fatalf("virtual size %d, info says %d, limit %d", d.Size(), d.Info().VirtualSize, lim.VirtualSize)
	}
	if err := d.Info().Unreadable; err != nil {
		hasCode(t, "unreadable", err)
		return
	}
	valid := false
	if v, ok := d.(formats.Validator); ok {
		_, err := v.Validate(context.Background())
		hasCode(t, "validate", err)
		valid = err == nil
	}
	fuzzDisk(t, d, data, valid)
}

// fuzzDisk walks the disk's first extents and reads at their begins and ends.
func fuzzDisk(t *testing.T, d formats.Disk, data []byte, valid bool) {
	t.Helper()
	reads := 0
	for off, n := int64(0), 0; off < d.Size() && n < fuzzExtents; n++ {
		e, err := d.ExtentAt(off)
		if err != nil {
			hasCode(t, "extent", err)
			if valid {
				t.Fatalf("extent at %d of a valid disk: %v", off, err)
			}
			return
		}
		if e.Off > off || e.Len <= 0 || e.End() <= off || e.End() > d.Size() {
			t.Fatalf("extent at %d of %d is %+v", off, d.Size(), e)
		}
		if reads < fuzzReads && (e.State == formats.Data || n%64 == 0) {
			reads++
			fuzzExtent(t, d, data, e, off, valid)
			fuzzExtent(t, d, data, e, max(off, e.End()-fuzzRead), valid)
		}
		off = e.End()
	}
	buf := make([]byte, 1024)
	if n, err := d.ReadAt(buf, d.Size()); n != 0 || err != io.EOF {
		t.Fatalf("read at the end: %d, %v", n, err)
	}
	if n, err := d.ReadAt(buf, max(0, d.Size()-1)); err == nil || int64(n) > min(1, d.Size()) {
		t.Fatalf("read over the end: %d, %v", n, err)
	}
}

// fuzzExtent reads within one extent and holds the bytes against what the
// extent says.
func fuzzExtent(t *testing.T, d formats.Disk, data []byte, e formats.Extent, off int64, valid bool) {
	t.Helper()
	p := make([]byte, min(fuzzRead, e.End()-off))
	n, err := d.ReadAt(p, off)
	if n < len(p) {
		if err == nil {
			t.Fatalf("read %d bytes at %d: %d without an error", len(p), off, n)
		}
		hasCode(t, "read", err)
		if e.State != formats.Data || valid && !e.Compressed {
			t.Fatalf("read %d bytes at %d in %+v: %v", len(p), off, e, err)
		}
		return
	}
	if e.State != formats.Data {
		if !binio.IsZero(p) {
			t.Fatalf("extent %+v is not zero", e)
		}
		return
	}
	if e.HostOff >= 0 {
		host := e.HostOff + off - e.Off
		if host < 0 || host > int64(len(data)) {
			t.Fatalf("extent %+v lies outside a file of %d bytes and was read", e, len(data))
		}
		q := data[host:min(int64(len(data)), host+int64(len(p)))]
		if !bytes.Equal(p[:len(q)], q) {
			t.Fatalf("extent %+v has other bytes than its host offset", e)
		}
	}
	half := make([]byte, len(p)/2)
	if n, err := d.ReadAt(half, off); n < len(half) || !bytes.Equal(half, p[:n]) {
		t.Fatalf("second read at %d: %d, %v, or other bytes", off, n, err)
	}
}

// hasCode fails the test if err is not nil and carries no code of its own.
func hasCode(t *testing.T, what string, err error) {
	t.Helper()
	if code := errcode.Of(err); code == errcode.Internal || err != nil && !errcode.Known(code) {
		t.Fatalf("%s: error without a code: %v", what, err)
	}
}

// allocated returns how many bytes the process has allocated so far.
func allocated() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
