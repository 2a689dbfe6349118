package qcow2

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// benchVariants are images as qemu-img writes them.
var benchVariants = []struct {
	name    string
	options []string
}{
	{"plain 64 KiB", nil},
	{"plain 2 MiB", []string{"cluster_size=2M"}},
	{"plain 4 KiB", []string{"cluster_size=4k"}},
	{"zlib 64 KiB", []string{"-c"}},
	{"zlib 2 MiB", []string{"cluster_size=2M", "-c"}},
	{"zstd 64 KiB", []string{"compression_type=zstd", "-c"}},
	{"zstd 2 MiB", []string{"cluster_size=2M,compression_type=zstd", "-c"}},
	{"extended plain 64 KiB", []string{"extended_l2=on"}},
	{"extended sparse 64 KiB", []string{"extended_l2=on"}},
	{"extended zlib 128 KiB", []string{"extended_l2=on,cluster_size=128k", "-c"}},
}

// words returns n bytes that deflate to about two fifths, as programs and
// their data do.
func words(n int) []byte {
	rng := rand.New(rand.NewPCG(8, 8))
	var vocabulary [4096][]byte
	for i := range vocabulary {
		vocabulary[i] = make([]byte, 2+rng.IntN(9))
		for j := range vocabulary[i] {
			vocabulary[i][j] = byte(1 + rng.IntN(255))
		}
	}
	p := make([]byte, 0, n+16)
	for len(p) < n {
		// Squaring makes some words common.
		f := rng.Float64()
		p = append(p, vocabulary[int(f*f*4096)]...)
	}
	return p[:n]
}

// benchImage returns an image in memory, so that disks are not measured.
func benchImage(b *testing.B, name string, options []string) []byte {
	b.Helper()
	raw := filepath.Join(b.TempDir(), "disk.raw")
	data := words(benchBytes)
	if strings.Contains(name, "sparse") {
		// Each cluster is one half data and one half hole, in pieces of 4 KiB.
		for at := 4 << 10; at < len(data); at += 8 << 10 {
			clear(data[at : at+4<<10])
		}
	}
	if err := os.WriteFile(raw, data, 0o600); err != nil {
		b.Fatal(err)
	}
	image, err := os.ReadFile(imgtest.Convert(b, raw, "raw", "qcow2", options...))
	if err != nil {
		b.Fatal(err)
	}
	return image
}

// BenchmarkRead reads whole images in units of 1 MiB, and the compressed ones
// in small pieces, by the own data path and through the module.
func BenchmarkRead(b *testing.B) {
	for _, v := range benchVariants {
		b.Run(v.name, func(b *testing.B) {
			image := benchImage(b, v.name, v.options)
			for _, by := range []struct {
				name   string
				format formats.Format
			}{{"own", Format{}}, {"library", Witness{}}} {
				d := formattest.OpenBytes(by.format, bytes.NewReader(image), int64(len(image)))(b)
				b.Run(by.name, func(b *testing.B) { formattest.BenchmarkRead(b, d) })
				if len(v.options) > 0 && v.options[len(v.options)-1] == "-c" {
					b.Run(by.name+" small", func(b *testing.B) { benchSmall(b, d) })
				}
			}
		})
	}
}

// benchSmall reads the begin of a disk, more than is cached, in pieces of 16 KiB.
func benchSmall(b *testing.B, d formats.Disk) {
	const length, piece = 8 << 20, 16 << 10
	buf := make([]byte, piece)
	b.SetBytes(length)
	b.ReportAllocs()
	for b.Loop() {
		for off := int64(0); off < length; off += piece {
			if _, err := d.ReadAt(buf, off); err != nil {
				b.Fatal(err)
			}
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

// BenchmarkWalk walks the extents of a sparse image and validates it: 1 TiB with
// every L2 table there, and 8 TiB with every sixteenth.
func BenchmarkWalk(b *testing.B) {
	for name, c := range map[string]struct{ size, step int64 }{"1 TiB": {1 << 40, 1 << 29}, "8 TiB": {8 << 40, 8 << 30}} {
		var runs []imgtest.Run
		for off := int64(0); off < c.size; off += c.step {
			runs = append(runs, imgtest.Run{Off: off, Len: 64 << 10, Kind: imgtest.Text})
		}
		p := plan(b, 16, imgtest.New(c.size, 1, runs...))
		image := make([]byte, p.data)
		imgtest.ReadFull(b, p, image, 0)
		file := headOnly{bytes.NewReader(image)}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := formattest.OpenBytes(Format{}, file, p.Size())(b)
				if n, err := formats.DataBytes(d); err != nil || n != int64(len(runs))<<16 {
					b.Fatal(n, err)
				}
				if _, err := d.(formats.Validator).Validate(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// headOnly is a file of which only the begin is ever read.
type headOnly struct{ *bytes.Reader }

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
