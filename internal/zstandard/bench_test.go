package zstandard

import (
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkFrame compresses clusters of 64 KiB, each by itself, of a program, or of
// the file that INGEST_BENCH_CLUSTERS names.
func BenchmarkFrame(b *testing.B) {
	const cluster = 64 << 10
	p := program(b, 64*cluster)
	if name := os.Getenv("INGEST_BENCH_CLUSTERS"); name != "" {
		var err error
		if p, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
		p = p[:len(p)/cluster*cluster]
	}
	bench := func(name string, compress func(dst, p []byte) []byte) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			buf := make([]byte, 0, 2*cluster)
			n := 0
			for b.Loop() {
				n = 0
				for i := 0; i < len(p); i += cluster {
					n += min(cluster, len(compress(buf, p[i:i+cluster])))
				}
			}
			b.ReportMetric(float64(n)*100/float64(len(p)), "%size")
		})
	}
	e := New()
	bench("ours", func(dst, p []byte) []byte {
		z, _ := e.Frame(dst, p, 2*cluster)
		return z
	})
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithWindowSize(cluster))
		if err != nil {
			b.Fatal(err)
		}
		bench("klauspost "+level.String(), func(dst, p []byte) []byte { return w.EncodeAll(p, dst) })
	}
}
