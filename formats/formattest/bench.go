package formattest

import (
	"testing"

	"ingest/formats"
)

// BenchmarkRead reads the data extents of a disk in pieces of 1 MiB and
// reports guest bytes a second.
func BenchmarkRead(b *testing.B, d formats.Disk) {
	b.Helper()
	n, err := formats.DataBytes(d)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(n)
	b.ReportAllocs()
	buf := make([]byte, chunkBytes)
	for b.Loop() {
		for off := int64(0); off < d.Size(); off += chunkBytes {
			if _, err := formats.ReadData(d, buf[:min(chunkBytes, d.Size()-off)], off); err != nil {
				b.Fatal(err)
			}
		}
	}
}
