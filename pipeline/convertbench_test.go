package pipeline

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/raw"
	"ingest/formats/readers"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/stores"
)

// benchBytes is the size of the disk that BenchmarkConvert converts.
const benchBytes = 32 << 20

// benchTargets are what is written.
var benchTargets = []struct {
	name   string
	target contract.TargetSpec
}{
	{"raw", contract.TargetSpec{Format: "raw"}},
	{"qcow2", contract.TargetSpec{Format: "qcow2", Compression: "none"}},
	{"qcow2-zlib", contract.TargetSpec{Format: "qcow2", Compression: "zlib"}},
	{"qcow2-zstd", contract.TargetSpec{Format: "qcow2", Compression: "zstd"}},
	{"vmdk-stream", contract.TargetSpec{Format: "vmdk"}},
	{"vmdk-sparse", contract.TargetSpec{Format: "vmdk", Options: map[string]string{"subformat": "monolithicSparse"}}},
	{"vhd", contract.TargetSpec{Format: "vhd"}},
	{"vhdx", contract.TargetSpec{Format: "vhdx"}},
	{"vdi", contract.TargetSpec{Format: "vdi"}},
	{"gce", contract.TargetSpec{Format: "gce", Options: map[string]string{"align": "512"}}},
}

// benchSources are what is read, with the options that qemu-img makes it with.
var benchSources = []struct {
	name, format string
	options      []string
}{
	{"qcow2", "qcow2", nil},
	{"qcow2-zlib", "qcow2", []string{"-c"}},
	{"qcow2-zstd", "qcow2", []string{"compression_type=zstd", "-c"}},
	{"vmdk-stream", "vmdk", []string{"subformat=streamOptimized"}},
	{"vmdk-sparse", "vmdk", []string{"subformat=monolithicSparse"}},
	{"vhd", "vpc", []string{"subformat=dynamic,force_size=on"}},
	{"vhdx", "vhdx", nil},
	{"vdi", "vdi", nil},
}

// BenchmarkConvert converts a disk in memory into a store that keeps nothing: into every
// format from raw, out of every format into raw, and, as `engine`, from nowhere to nowhere.
// The bytes are those of programs. `make bench` compares it with its baseline.
func BenchmarkConvert(b *testing.B) {
	data := programBytes(b)
	p := &Pipeline{}
	b.Run("engine/digest", func(b *testing.B) { benchEngine(b, p, data, true) })
	b.Run("engine/plain", func(b *testing.B) { benchEngine(b, p, data, false) })
	for _, t := range benchTargets {
		target, err := CheckTarget(t.target)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("write/"+t.name, func(b *testing.B) {
			benchWrite(b, p, func() formats.Disk { return raw.New(inMemory{bytes.NewReader(data)}, benchBytes) }, target)
		})
	}
	path := filepath.Join(b.TempDir(), "disk.raw")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	target, err := CheckTarget(contract.TargetSpec{Format: "raw"})
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range benchSources {
		b.Run("read/"+s.name, func(b *testing.B) {
			image, err := os.ReadFile(imgtest.Convert(b, path, "raw", s.format, s.options...))
			if err != nil {
				b.Fatal(err)
			}
			// Opened again each time: nothing is cached from the time before.
			benchWrite(b, p, func() formats.Disk { return openBench(b, s.format, image) }, target)
		})
	}
}

// benchEngine copies from memory to nowhere.
func benchEngine(b *testing.B, p *Pipeline, data []byte, digest bool) {
	defer benchCPU(b)()
	for b.Loop() {
		e := p.engine()
		if digest {
			e.Digest = content.New(benchBytes)
		}
		err := e.Run(b.Context(), raw.New(inMemory{bytes.NewReader(data)}, benchBytes), 0, benchBytes, nil, func(*transfer.Unit) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// benchWrite converts disks into nowhere.
func benchWrite(b *testing.B, p *Pipeline, open func() formats.Disk, target contract.TargetSpec) {
	defer benchCPU(b)()
	for b.Loop() {
		disk := open()
		if _, err := p.Write(b.Context(), disk, target, nowhere{}, nil); err != nil {
			b.Fatal(err)
		}
		if err := disk.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchCPU reports the processor time of each turn too: less of it than of the clock's is
// what other programs have of the machine.
func benchCPU(b *testing.B) func() {
	b.SetBytes(benchBytes)
	b.ReportAllocs()
	now := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := now()
	return func() { b.ReportMetric(float64(now()-before)/float64(b.N), "cpu-ns/op") }
}

// openBench opens an image with the format that qemu-img calls by that name.
func openBench(b *testing.B, format string, image []byte) formats.Disk {
	head, tail := image[:min(len(image), formats.HeadLen)], image[max(0, len(image)-formats.TailLen):]
	for _, f := range readers.All() {
		if f.Name() == formats.Raw || !f.Match(head, tail, int64(len(image))).OK {
			continue
		}
		d, err := f.Open(bytes.NewReader(image), int64(len(image)), formats.DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	b.Fatalf("no reader for %s", format)
	return nil
}

// programBytes are the toolchain's own programs: the same for everybody who builds with it.
func programBytes(b *testing.B) []byte {
	out, err := exec.Command("go", "env", "GOROOT", "GOTOOLDIR").Output()
	if err != nil {
		b.Fatal(err)
	}
	dirs := strings.Fields(string(out))
	var data []byte
	for _, path := range []string{filepath.Join(dirs[0], "bin", "go"), filepath.Join(dirs[1], "compile")} {
		p, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		data = append(data, p...)
	}
	for len(data) < benchBytes {
		data = append(data, data...)
	}
	return data[:benchBytes]
}

// inMemory is a source that knows that it has no holes.
type inMemory struct{ *bytes.Reader }

func (m inMemory) NextData(off int64) (start, end int64, err error) { return off, m.Size(), nil }

// nowhere is an upload that keeps nothing.
type nowhere struct{ stores.Upload }

func (nowhere) WriteAt(p []byte, _ int64) (int, error)   { return len(p), nil }
func (nowhere) Checkpoint(context.Context, []byte) error { return nil }
func (nowhere) Note() []byte                             { return nil }
func (nowhere) ID() string                               { return "nowhere" }
