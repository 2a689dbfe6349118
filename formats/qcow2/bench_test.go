package qcow2

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

const benchBytes = 48 << 20

func benchDisk() *imgtest.Disk {
	return imgtest.New(2*benchBytes, 5, imgtest.Run{Off: 0, Len: benchBytes * 2 / 3, Kind: imgtest.Text},
		imgtest.Run{Off: benchBytes, Len: benchBytes / 3, Kind: imgtest.Noise})
}

// discard takes the output of an encoder.
type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (discard) Checkpoint(context.Context, func() formats.Checkpoint) error {
	return nil
}

// loaded is a disk in memory, so that the model's own cost is not measured.
func loaded(b *testing.B, bits int, compression string) formats.Disk {
	b.Helper()
	image := encode(b, Encoder{ClusterBits: bits, Compression: compression}, benchDisk(), nil).buf
	return formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(b)
}

func BenchmarkRead(b *testing.B) {
	for _, bits := range []int{12, 16, 21} {
		for _, comp := range compressions {
			b.Run(fmt.Sprintf("%d bits/%s", bits, comp), func(b *testing.B) {
				formattest.BenchmarkRead(b, loaded(b, bits, comp))
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, comp := range compressions {
		b.Run(comp, func(b *testing.B) {
			src := loaded(b, 16, CompressionNone)
			b.SetBytes(benchBytes)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (Encoder{Compression: comp}).Encode(b.Context(), discard{}, src, formats.Checkpoint{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlanRead(b *testing.B) {
	p := plan(b, 16, loaded(b, 16, CompressionNone))
	buf := make([]byte, 1<<20)
	b.SetBytes(benchBytes)
	b.ReportAllocs()
	for b.Loop() {
		for off := int64(0); off < p.Size(); off += int64(len(buf)) {
			if n, err := p.ReadAt(buf, off); n == 0 {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkPlan plans a disk of 1 TiB with a few gibibytes of data in pieces.
func BenchmarkPlan(b *testing.B) {
	var runs []imgtest.Run
	for off := int64(0); off < 1<<40; off += 1 << 30 {
		runs = append(runs, imgtest.Run{Off: off, Len: 4 << 20, Kind: imgtest.Noise})
	}
	disk := imgtest.New(1<<40, 1, runs...)
	b.ReportAllocs()
	for b.Loop() {
		plan(b, 16, disk)
	}
}
