package deflate

import (
	"io"
	"os"
	"testing"

	kflate "github.com/klauspost/compress/flate"
)

// BenchmarkRaw compresses clusters of 64 KiB, each by itself, of a program, or of
// the file that INGEST_BENCH_CLUSTERS names.
func BenchmarkRaw(b *testing.B) {
	const cluster = 64 << 10
	p := program(b, 64*cluster)
	if name := os.Getenv("INGEST_BENCH_CLUSTERS"); name != "" {
		var err error
		if p, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
		p = p[:len(p)/cluster*cluster]
	}
	bench := func(name string, compress func(p []byte) int) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = 0
				for i := 0; i < len(p); i += cluster {
					n += min(cluster, compress(p[i:i+cluster]))
				}
			}
			b.ReportMetric(float64(n)*100/float64(len(p)), "%size")
		})
	}
	for _, c := range []struct {
		name   string
		window int
		effort Effort
	}{
		{"4 KiB fast", SmallWindow, Fast}, {"4 KiB good", SmallWindow, Good},
		{"32 KiB fast", MaxWindow, Fast}, {"32 KiB good", MaxWindow, Good},
	} {
		e := New(c.window, c.effort)
		var z []byte
		bench(c.name, func(p []byte) int {
			z, _ = e.Raw(z[:0], p, 2*cluster)
			return len(z)
		})
	}
	for _, c := range []struct {
		name string
		make func() (*kflate.Writer, error)
	}{
		{"4 KiB klauspost", func() (*kflate.Writer, error) { return kflate.NewWriterWindow(io.Discard, SmallWindow) }},
		{"32 KiB klauspost 1", func() (*kflate.Writer, error) { return kflate.NewWriter(io.Discard, 1) }},
		{"32 KiB klauspost 5", func() (*kflate.Writer, error) { return kflate.NewWriter(io.Discard, 5) }},
		{"32 KiB klauspost 6", func() (*kflate.Writer, error) { return kflate.NewWriter(io.Discard, 6) }},
	} {
		w, err := c.make()
		if err != nil {
			b.Fatal(err)
		}
		bench(c.name, func(p []byte) int {
			var n count
			w.Reset(&n)
			_, _ = w.Write(p)
			_ = w.Close()
			return int(n)
		})
	}
}

// A count counts what is written to it.
type count int

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}
