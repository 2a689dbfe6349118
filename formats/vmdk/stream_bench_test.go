package vmdk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// A flatDisk is a disk of given bytes, all data.
type flatDisk struct{ *bytes.Reader }

func (d flatDisk) Close() error       { return nil }
func (d flatDisk) Info() formats.Info { return formats.Info{Format: formats.Raw} }
func (d flatDisk) ExtentAt(int64) (formats.Extent, error) {
	return formats.Extent{Len: d.Size(), HostOff: -1}, nil
}

// sink counts an encoder's output.
type sink struct {
	discard
	end int64
}

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	s.end = max(s.end, off+int64(len(p)))
	return len(p), nil
}

// material returns bytes as systems hold them: this test's own program, and
// model text.
func material(b *testing.B) map[string][]byte {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 16<<20)
	imgtest.ReadFull(b, imgtest.New(16<<20, 1, imgtest.Run{Off: 0, Len: 16 << 20, Kind: imgtest.Text}), text, 0)
	return map[string][]byte{"program": program, "text": text}
}

// BenchmarkStream encodes with every level and tells how large the output is
// compared to qemu-img's.
func BenchmarkStream(b *testing.B) {
	for name, data := range material(b) {
		raw := filepath.Join(b.TempDir(), "disk.raw")
		if err := os.WriteFile(raw, data, 0o600); err != nil {
			b.Fatal(err)
		}
		theirs := imgtest.OpenFile(b, imgtest.Convert(b, raw, "raw", "vmdk", "subformat=streamOptimized")).Size()
		for level := MinCompressionLevel; level <= 6; level++ {
			b.Run(fmt.Sprintf("%s/level %d", name, level), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				var s sink
				for b.Loop() {
					s = sink{}
					if _, err := (Stream{CompressionLevel: level}).Encode(b.Context(), &s, flatDisk{bytes.NewReader(data)}, formats.Checkpoint{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.end)*100/float64(theirs), "%ofqemu")
			})
		}
	}
}
