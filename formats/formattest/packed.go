package formattest

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// Bounds on how many packed runs are looked at.
const (
	maxPacked   = 2000
	packedBatch = 1 << 20 // host bytes that are read at once
	fuzzPacked  = 200
	maxWindow   = 8 << 20 // of zstd; RFC 8878 section 3.1.1.1.2
)

// checkPacked holds the stored compressed bytes against what ReadAt shows.
func checkPacked(t *testing.T, s Spec, d formats.Disk) {
	left := maxPacked
	var packed []formats.Extent
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		r, ok := d.(formats.PackedReader)
		switch {
		case !ok && e.Compressed:
			t.Fatalf("extent %+v is compressed, and the disk does not give its bytes", e)
		case !ok:
			continue
		case !e.Compressed:
			checkNotPacked(t, r, e)
		case left > 0:
			n, err := packedExtent(s, d, r, e, left)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
			packed = append(packed, e)
		}
	}
	if r, ok := d.(formats.PackedReader); ok {
		checkOutside(t, d, r)
		if len(packed) > 0 {
			checkStreamLength(t, r, packed[0].Off)
			checkPackedConcurrent(t, s, packed)
		}
	}
}

// checkNotPacked fails the test if any of the extent is called packed.
func checkNotPacked(t *testing.T, r formats.PackedReader, e formats.Extent) {
	t.Helper()
	for _, off := range []int64{e.Off, e.Off + e.Len/2, e.End() - 1} {
		if p, ok, err := r.PackedAt(off); ok || err != nil {
			t.Fatalf("packed at %d, in %+v: %+v, %v, %v", off, e, p, ok, err)
		}
	}
}

// checkOutside asks for what lies outside the disk and outside the file.
func checkOutside(t *testing.T, d formats.Disk, r formats.PackedReader) {
	t.Helper()
	for _, off := range []int64{-1, d.Size(), d.Size() + 1<<20, 1<<63 - 1} {
		if _, ok, err := r.PackedAt(off); ok || err == nil {
			t.Errorf("packed at %d of %d: %v, %v, want an error", off, d.Size(), ok, err)
		}
	}
	file := d.Info().FileSize
	for _, off := range []int64{-1, -16, file - 15, file, file + 1, 1<<63 - 1} {
		if err := r.ReadHost(make([]byte, 16), off); err == nil {
			t.Errorf("read 16 bytes at host offset %d of %d: no error", off, file)
		}
	}
}

// checkStreamLength gives Stream other numbers of bytes than it wants.
func checkStreamLength(t *testing.T, r formats.PackedReader, off int64) {
	t.Helper()
	p, ok, err := r.PackedAt(off)
	if !ok || err != nil {
		t.Fatalf("packed at %d: %v, %v", off, ok, err)
	}
	for _, n := range []int64{0, p.HostLen - 1, p.HostLen + 1} {
		if _, err := r.Stream(p, make([]byte, n)); err == nil {
			t.Errorf("stream within %d bytes of %d: no error", n, p.HostLen)
		}
	}
}

// checkPackedConcurrent checks some of the compressed extents from several
// goroutines at once, of a disk that has read nothing yet.
func checkPackedConcurrent(t *testing.T, s Spec, packed []formats.Extent) {
	t.Helper()
	d := s.Open(t)
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			_, errs[i] = packedExtent(s, d, d.(formats.PackedReader), packed[i*len(packed)/goroutines], 20)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// packedExtent checks at most n packed runs of a compressed extent, reading
// neighbours together. It returns how many there were.
func packedExtent(s Spec, d formats.Disk, r formats.PackedReader, e formats.Extent, n int) (int, error) {
	done := 0
	for off := e.Off; off < e.End() && done < n; {
		runs, host, err := packedRuns(d, r, off, e.End())
		if err != nil {
			return done, err
		}
		stored := make([]byte, host.Len())
		if err := r.ReadHost(stored, host.Off); err != nil {
			return done, fmt.Errorf("read [%d, %d) of the file: %w", host.Off, host.End, err)
		}
		if s.File != nil {
			want := make([]byte, host.Len())
			if k, err := s.File.ReadAt(want, host.Off); k < len(want) || !bytes.Equal(stored, want) {
				return done, fmt.Errorf("[%d, %d) is not what the file holds: %d, %v", host.Off, host.End, k, err)
			}
		}
		for _, p := range runs {
			if err := checkRun(d, r, p, stored[p.HostOff-host.Off:][:p.HostLen]); err != nil {
				return done, err
			}
		}
		done += len(runs)
		off = runs[len(runs)-1].Off + runs[len(runs)-1].Len
	}
	return done, nil
}

// packedRuns returns the packed runs from off on, the begin of one, that can be
// read at once, and the host range that holds them.
func packedRuns(d formats.Disk, r formats.PackedReader, off, end int64) ([]formats.Packed, formats.Range, error) {
	var runs []formats.Packed
	var host formats.Range
	for off < end && len(runs) < 64 {
		p, ok, err := r.PackedAt(off)
		if err != nil || !ok {
			return nil, host, fmt.Errorf("packed at %d of a compressed extent: %v, %w", off, ok, err)
		}
		if err := soundRun(d, r, p, off, end); err != nil {
			return nil, host, err
		}
		both := formats.Range{Off: p.HostOff, End: p.HostEnd()}
		if len(runs) > 0 {
			both = formats.Range{Off: min(host.Off, both.Off), End: max(host.End, both.End)}
			if both.Len() > packedBatch {
				break
			}
		}
		runs, host, off = append(runs, p), both, p.Off+p.Len
	}
	return runs, host, nil
}

// soundRun holds the figures of a packed run, whose first byte is at off, against
// each other.
func soundRun(d formats.Disk, r formats.PackedReader, p formats.Packed, off, end int64) error {
	switch {
	case p.Off != off || p.Size <= 0 || p.Off%p.Size != 0 || p.Len != min(p.Size, d.Size()-p.Off) || p.Off+p.Len > end:
		return fmt.Errorf("packed at %d is %+v, in a compressed extent that ends at %d of %d", off, p, end, d.Size())
	case p.HostOff < 0 || p.HostLen <= 0 || p.HostEnd() > d.Info().FileSize:
		return fmt.Errorf("packed at %d is %+v, in a file of %d bytes", off, p, d.Info().FileSize)
	case p.Codec == formats.CodecNone || p.Window > 30:
		return fmt.Errorf("packed at %d is %+v", off, p)
	}
	for _, at := range []int64{off + p.Len/2, off + p.Len - 1} {
		if q, ok, err := r.PackedAt(at); q != p || !ok || err != nil {
			return fmt.Errorf("packed at %d is %+v, %v, %v, within %+v", at, q, ok, err, p)
		}
	}
	return nil
}

// checkRun decodes a run by other means than the disk's.
func checkRun(d formats.Disk, r formats.PackedReader, p formats.Packed, stored []byte) error {
	stream, err := r.Stream(p, stored)
	if err != nil {
		return fmt.Errorf("stream of %+v: %w", p, err)
	}
	got, err := inflate(p, stream)
	if err != nil || int64(len(got)) < p.Len || int64(len(got)) > p.Size {
		return fmt.Errorf("decode %+v: %d bytes, %w", p, len(got), err)
	}
	want := make([]byte, p.Len)
	if n, err := d.ReadAt(want, p.Off); int64(n) < p.Len {
		return fmt.Errorf("read %d bytes at %d: %d, %w", p.Len, p.Off, n, err)
	}
	return difference(got[:p.Len], want, p.Off)
}

// inflate decodes a stream to p.Size bytes at most.
func inflate(p formats.Packed, stream []byte) ([]byte, error) {
	var r io.Reader
	switch p.Codec {
	case formats.CodecDeflate:
		r = flate.NewReader(bytes.NewReader(stream))
	case formats.CodecZlib:
		z, err := zlib.NewReader(bytes.NewReader(stream))
		if err != nil {
			return nil, err
		}
		r = z
	case formats.CodecZstd:
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.DecodeAll(stream, make([]byte, 0, p.Size))
	default:
		return nil, fmt.Errorf("codec %s", p.Codec)
	}
	// What follows a raw stream is not the run's; the checksum of zlib is.
	got, err := io.ReadAll(io.LimitReader(r, p.Size))
	if err != nil || p.Codec != formats.CodecZlib {
		return got, err
	}
	if n, err := io.Copy(io.Discard, r); n > 0 || err != nil {
		return got, fmt.Errorf("%d bytes behind the run: %w", n, err)
	}
	return got, nil
}

// FuzzPacked opens data under FuzzLimits and asks for the stored bytes of its
// compressed extents. It fails the test on a panic, an error without a code,
// figures that contradict each other, and streams that decode to other bytes
// than ReadAt gives.
func FuzzPacked(t *testing.T, f formats.Format, data []byte) {
	t.Helper()
	d, err := f.Open(bytes.NewReader(data), int64(len(data)), FuzzLimits())
	if err != nil || d.Info().Unreadable != nil {
		return
	}
	defer d.Close()
	r := d.(formats.PackedReader)
	for off, n := int64(0), 0; off < d.Size() && n < fuzzPacked; n++ {
		e, err := d.ExtentAt(off)
		if err != nil {
			return
		}
		p, ok, err := r.PackedAt(off)
		hasCode(t, "packed", err)
		if err == nil && ok != e.Compressed {
			t.Fatalf("packed at %d in %+v: %v", off, e, ok)
		}
		if !ok {
			off = e.End()
			continue
		}
		if err := soundRun(d, r, p, p.Off, d.Size()); err != nil {
			t.Fatal(err)
		}
		fuzzRun(t, d, r, p)
		off = p.Off + p.Len
	}
}

// fuzzRun decodes a run if that can be done, and then holds it against ReadAt if
// that can.
func fuzzRun(t *testing.T, d formats.Disk, r formats.PackedReader, p formats.Packed) {
	t.Helper()
	stored := make([]byte, p.HostLen)
	if err := r.ReadHost(stored, p.HostOff); err != nil {
		t.Fatalf("read %+v: %v", p, err)
	}
	stream, err := r.Stream(p, stored)
	hasCode(t, "stream", err)
	if err != nil {
		return
	}
	got, err := inflate(p, stream)
	if err != nil || int64(len(got)) < p.Len {
		return
	}
	want := make([]byte, p.Len)
	if n, err := d.ReadAt(want, p.Off); int64(n) < p.Len {
		hasCode(t, "read", err)
		return
	}
	if err := difference(got[:p.Len], want, p.Off); err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
}

// PackedCost returns how many allocations it takes on average to get the stream
// of each of the disk's packed runs, once all tables have been read.
func PackedCost(t *testing.T, d formats.Disk) float64 {
	t.Helper()
	imgtest.CountsAllocations(t)
	r := d.(formats.PackedReader)
	stored := make([]byte, 4<<20)
	off, runs := int64(0), 0
	walk := func() {
		p, ok, err := r.PackedAt(off)
		if err != nil {
			t.Fatal(err)
		}
		if off += 512; ok {
			runs++
			if err := r.ReadHost(stored[:p.HostLen], p.HostOff); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Stream(p, stored[:p.HostLen]); err != nil {
				t.Fatal(err)
			}
			off = p.Off + p.Len
		}
		if off >= d.Size() {
			off = 0
		}
	}
	cost := testing.AllocsPerRun(1000, walk)
	if runs == 0 {
		t.Fatal("no run is packed")
	}
	return cost
}
