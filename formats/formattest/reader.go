package formattest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// A Spec is an image and the guest bytes that it holds.
type Spec struct {
	// Open returns the disk; each call opens it again over the same file.
	Open func(t testing.TB) formats.Disk
	// File is the image file, for the host offsets of extents. nil if there is
	// none.
	File io.ReaderAt
	// Want is what the guest must see, of exactly the disk's virtual size.
	Want imgtest.Content
}

// OpenBytes returns a Spec's Open for an image file of the given size.
func OpenBytes(f formats.Format, file io.ReaderAt, size int64) func(t testing.TB) formats.Disk {
	return func(t testing.TB) formats.Disk {
		t.Helper()
		d, err := f.Open(file, size, formats.DefaultLimits())
		if err != nil {
			t.Fatalf("open %s: %v", f.Name(), err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
}

// Vast returns a disk of size bytes, above 2 TiB, with a little data where
// counts of sectors outgrow 32 bits and their sign bit, in its first sectors and
// in its last.
func Vast(size int64) *imgtest.Disk {
	const around = 70_001
	return imgtest.New(size, 51,
		imgtest.Run{Off: 0, Len: 4096, Kind: imgtest.Text},
		imgtest.Run{Off: 1<<40 - around, Len: 2*around + 1, Kind: imgtest.Noise},
		imgtest.Run{Off: 2<<40 - around, Len: 2*around + 1, Kind: imgtest.Noise},
		imgtest.Run{Off: size - 1536, Len: 1536, Kind: imgtest.Text})
}

// VastSize is the virtual size of a disk that no 32-bit count of sectors
// reaches, and that is a multiple of a sector and of nothing larger.
const VastSize = 3<<40 + 512

// ReaderOfVast runs the suite over an image that qemu-img makes of a vast disk:
// format is its name, options are those of imgtest.Convert.
func ReaderOfVast(t *testing.T, f formats.Format, format string, options ...string) {
	t.Helper()
	want := Vast(VastSize)
	file := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, want), "raw", format, options...))
	Reader(t, Spec{Open: OpenBytes(f, file, file.Size()), File: file, Want: want})
}

// Bounds on how much Reader does with one image.
const (
	maxBorders   = 500
	randomReads  = 100
	goroutines   = 6
	maxRandomLen = 300_000
	wholeBytes   = 64 << 20 // disks up to this size are read whole
	chunkBytes   = 1 << 20
)

// Reader runs the suite.
func Reader(t *testing.T, s Spec) {
	t.Helper()
	d := s.Open(t)
	if d.Size() != s.Want.Size() {
		t.Fatalf("virtual size is %d, want %d", d.Size(), s.Want.Size())
	}
	if info := d.Info(); info.VirtualSize != d.Size() || info.Unreadable != nil {
		t.Fatalf("info says virtual size %d, unreadable %v; Size is %d", info.VirtualSize, info.Unreadable, d.Size())
	}
	t.Run("extents", func(t *testing.T) { checkExtents(t, s, d) })
	t.Run("all", func(t *testing.T) { checkAll(t, s, d) })
	t.Run("borders", func(t *testing.T) { checkBorders(t, s, d) })
	t.Run("end", func(t *testing.T) { checkEnd(t, s, d) })
	t.Run("random", func(t *testing.T) { checkRandom(t, s, d, 1, randomReads) })
	t.Run("packed", func(t *testing.T) { checkPacked(t, s, d) })
	t.Run("concurrent", func(t *testing.T) { checkConcurrent(t, s, s.Open(t)) })
	t.Run("validate", func(t *testing.T) {
		v, ok := d.(formats.Validator)
		if !ok {
			t.Skip("the disk has no Validate")
		}
		if findings, err := v.Validate(t.Context()); err != nil {
			t.Errorf("a good image is refused: %v (findings %v)", err, findings)
		}
	})
	t.Run("close", func(t *testing.T) {
		d := s.Open(t)
		for i := range 2 {
			if err := d.Close(); err != nil {
				t.Errorf("close number %d: %v", i+1, err)
			}
		}
	})
}

// checkAll reads the whole disk, or of a large one what either side calls data.
func checkAll(t *testing.T, s Spec, d formats.Disk) {
	if d.Size() > wholeBytes {
		imgtest.EqualDisk(t, d, s.Want)
		return
	}
	for off := int64(0); off < d.Size(); off += chunkBytes {
		checkRead(t, s, d, off, min(chunkBytes, d.Size()-off))
	}
}

// checkBorders reads over every border of extents, at odd lengths.
func checkBorders(t *testing.T, s Spec, d formats.Disk) {
	n := 0
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range [][2]int64{{1, 1}, {513, 700}, {4096, 4096}, {0, 66_000}} {
			off := max(0, e.Off-w[0])
			checkRead(t, s, d, off, min(e.Off+w[1], d.Size())-off)
		}
		if n++; n == maxBorders {
			break
		}
	}
}

// checkEnd holds reads at and past the end against the contract of
// io.ReaderAt.
func checkEnd(t *testing.T, s Spec, d formats.Disk) {
	size := d.Size()
	buf := make([]byte, 5000)
	for _, off := range []int64{size, size + 1, size + 1<<20, 1<<63 - 1} {
		if n, err := d.ReadAt(buf, off); n != 0 || err != io.EOF {
			t.Errorf("read at %d of %d: %d, %v, want 0, EOF", off, size, n, err)
		}
		if _, err := d.ExtentAt(off); err == nil {
			t.Errorf("extent at %d of %d: no error", off, size)
		}
	}
	if _, err := d.ReadAt(buf, -1); err == nil || err == io.EOF {
		t.Errorf("read at -1: %v, want an error", err)
	}
	if _, err := d.ExtentAt(-1); err == nil {
		t.Error("extent at -1: no error")
	}
	if n, err := d.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
	for _, left := range []int64{1, 511, 512, 513, 4999} {
		if left > size {
			continue
		}
		checkRead(t, s, d, size-left, left)
		n, err := d.ReadAt(buf, size-left)
		if int64(n) != left || err != io.EOF {
			t.Errorf("read %d bytes, %d before the end: %d, %v, want %d, EOF", len(buf), left, n, err, left)
		}
		want := make([]byte, left)
		imgtest.ReadFull(t, s.Want, want, size-left)
		if !bytes.Equal(buf[:n], want) {
			t.Errorf("the last %d bytes differ", left)
		}
	}
}

// checkRandom reads at random places, half of them near data.
func checkRandom(t *testing.T, s Spec, d formats.Disk, seed uint64, reads int) {
	if err := randomly(s, d, seed, reads); err != nil {
		t.Error(err)
	}
}

// checkConcurrent reads from several goroutines at once.
func checkConcurrent(t *testing.T, s Spec, d formats.Disk) {
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() { errs[i] = randomly(s, d, uint64(i)+100, randomReads/3) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func randomly(s Spec, d formats.Disk, seed uint64, reads int) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range reads {
		off := rng.Int64N(d.Size())
		if i%2 == 0 {
			if start, _, err := s.Want.NextData(off); err == nil && start < d.Size() {
				off = max(0, start-rng.Int64N(70_000))
			}
		}
		if _, err := d.ExtentAt(off); err != nil {
			return fmt.Errorf("extent at %d: %w", off, err)
		}
		if err := compare(s, d, off, min(1+rng.Int64N(maxRandomLen), d.Size()-off)); err != nil {
			return err
		}
	}
	return nil
}

// checkRead reads n bytes at off, which lie inside the disk.
func checkRead(t *testing.T, s Spec, d formats.Disk, off, n int64) {
	t.Helper()
	if err := compare(s, d, off, n); err != nil {
		t.Fatal(err)
	}
}

func compare(s Spec, d formats.Disk, off, n int64) error {
	got, want := bytes.Repeat([]byte{0xA5}, int(n)), make([]byte, n)
	if k, err := d.ReadAt(got, off); int64(k) != n || err != nil && err != io.EOF {
		return fmt.Errorf("read %d bytes at %d: %d, %v", n, off, k, err)
	}
	if k, err := s.Want.ReadAt(want, off); int64(k) != n {
		return fmt.Errorf("read %d expected bytes at %d: %d, %w", n, off, k, err)
	}
	return difference(got, want, off)
}

// difference returns an error that names the first byte where got, read at
// off, is not want.
func difference(got, want []byte, off int64) error {
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("read %d bytes at %d: byte %d is %#02x, want %#02x", len(got), off, off+int64(i), got[i], want[i])
		}
	}
	return nil
}
