package s3

import (
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// TestCRC64 compares with the standard library, and with the check value of the
// specification.
func TestCRC64(t *testing.T) {
	if got := crc64nvme([]byte("123456789")); got != 0xae8b14860a799888 {
		t.Errorf("the checksum of 123456789 is %#x", got)
	}
	tab := crc64.MakeTable(nvme)
	r := rand.New(rand.NewPCG(5, 6))
	all := content(0, 200<<10)
	sizes := []int{0, 1, 7, 8, 9, 4*crcBytes - 1, 4 * crcBytes, 4*crcBytes + 1, 8 * crcBytes, len(all)}
	for range 200 {
		sizes = append(sizes, r.IntN(len(all)))
	}
	for _, n := range sizes {
		off := r.IntN(len(all) - n + 1)
		p := all[off : off+n]
		if got, want := crc64nvme(p), crc64.Checksum(p, tab); got != want {
			t.Fatalf("%d bytes: %#x, want %#x", n, got, want)
		}
	}
}

func BenchmarkCRC64(b *testing.B) {
	p := content(0, 8<<20)
	b.Run("here", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			crc64nvme(p)
		}
	})
	b.Run("library", func(b *testing.B) {
		tab := crc64.MakeTable(nvme)
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			crc64.Checksum(p, tab)
		}
	})
}
