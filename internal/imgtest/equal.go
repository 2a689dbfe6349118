package imgtest

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
)

// compareBytes is how many bytes are compared at a time.
const compareBytes = 1 << 20

// Equal fails the test unless got has the same first size bytes as want. If
// both are formats.DataFinders, only what either calls data is read.
func Equal(t testing.TB, got, want io.ReaderAt, size int64) {
	t.Helper()
	a, b := make([]byte, compareBytes), make([]byte, compareBytes)
	for off := int64(0); off < size; {
		start, ok := nextOfBoth(t, got, want, off, size)
		if !ok {
			return
		}
		n := min(compareBytes, size-start)
		ReadFull(t, got, a[:n], start)
		ReadFull(t, want, b[:n], start)
		if !bytes.Equal(a[:n], b[:n]) {
			i := firstDifference(a[:n], b[:n])
			t.Fatalf("guest byte %d (0x%x) is %#02x, want %#02x", start+int64(i), start+int64(i), a[i], b[i])
		}
		off = start + n
	}
}

// nextOfBoth returns the first offset at or after off where one of the two has
// data.
func nextOfBoth(t testing.TB, a, b io.ReaderAt, off, size int64) (int64, bool) {
	t.Helper()
	fa, ok1 := a.(formats.DataFinder)
	fb, ok2 := b.(formats.DataFinder)
	if !ok1 || !ok2 {
		return off, true
	}
	next := size
	for _, f := range []formats.DataFinder{fa, fb} {
		start, end, err := f.NextData(off)
		if err != nil {
			t.Fatalf("next data at %d: %v", off, err)
		}
		if start < end {
			next = min(next, start)
		}
	}
	return next, next < size
}

// EqualDisk fails the test unless the disk has exactly want's size and bytes.
// What both call a hole or zeros is not read.
func EqualDisk(t testing.TB, got formats.Disk, want Content) {
	t.Helper()
	if got.Size() != want.Size() {
		t.Fatalf("virtual size is %d, want %d", got.Size(), want.Size())
	}
	Equal(t, diskFinder{got}, want, want.Size())
}

// Content is the bytes that a disk is expected to hold. *Disk and *File are.
type Content interface {
	io.ReaderAt
	formats.DataFinder
	Size() int64
}

var (
	_ Content = (*Disk)(nil)
	_ Content = (*File)(nil)
)

// diskFinder makes a DataFinder of a disk's extents.
type diskFinder struct{ formats.Disk }

// NextData returns the disk's first data extent at or after off.
func (d diskFinder) NextData(off int64) (int64, int64, error) {
	for e, err := range formats.Extents(d.Disk, off, d.Size()) {
		if err != nil {
			return 0, 0, err
		}
		if e.State == formats.Data {
			return e.Off, e.End(), nil
		}
	}
	return d.Size(), d.Size(), nil
}

// ReadFull fills p from off or fails the test.
func ReadFull(t testing.TB, r io.ReaderAt, p []byte, off int64) {
	t.Helper()
	if n, err := r.ReadAt(p, off); n < len(p) {
		t.Fatalf("read %d bytes at %d: got %d, %v", len(p), off, n, err)
	}
}

// firstDifference returns the first index where a and b differ.
func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
