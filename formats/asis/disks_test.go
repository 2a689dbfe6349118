package asis_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/vmdk"
	"ingest/internal/imgtest"
)

// TestDisks converts what qemu-img has compressed into what is compressed alike, and
// holds it against qemu-img, and its streams against those of the source.
func TestDisks(t *testing.T) {
	const size = 12<<20 + 512
	disk := imgtest.New(size, 7,
		imgtest.Run{Off: 0, Len: 3 << 20, Kind: imgtest.Text}, imgtest.Run{Off: 3 << 20, Len: 1 << 20, Kind: imgtest.Noise},
		imgtest.Run{Off: 6<<20 + 4096, Len: 2 << 20, Kind: imgtest.Text}, imgtest.Run{Off: size - 70_000, Len: 70_000, Kind: imgtest.Text})
	raw := imgtest.WriteRaw(t, disk)
	zlib := imgtest.Convert(t, raw, "raw", "qcow2", "-c")
	zst := imgtest.Convert(t, raw, "raw", "qcow2", "-c", "compression_type=zstd")
	stream := imgtest.Convert(t, raw, "raw", "vmdk", "subformat=streamOptimized")
	tests := []struct {
		name   string
		source string
		format formats.Format
		target formats.Encoder
		to     formats.Format
		qemu   string
		passed bool // streams of the source are those of the target
	}{
		{"qcow2 zlib", zlib, qcow2.Format{}, qcow2.Encoder{Compression: qcow2.CompressionZlib}, qcow2.Format{}, "qcow2", true},
		{"qcow2 zstd", zst, qcow2.Format{}, qcow2.Encoder{Compression: qcow2.CompressionZstd}, qcow2.Format{}, "qcow2", true},
		{"qcow2 zlib, other clusters", zlib, qcow2.Format{}, qcow2.Encoder{Compression: qcow2.CompressionZlib, ClusterBits: 17}, qcow2.Format{}, "qcow2", false},
		{"qcow2 zlib to zstd", zlib, qcow2.Format{}, qcow2.Encoder{Compression: qcow2.CompressionZstd}, qcow2.Format{}, "qcow2", false},
		{"qcow2 to VMDK", zlib, qcow2.Format{}, vmdk.Stream{}, vmdk.Format{}, "vmdk", true},
		{"VMDK", stream, vmdk.Format{}, vmdk.Stream{}, vmdk.Format{}, "vmdk", true},
		{"VMDK to qcow2, whose window is smaller", stream, vmdk.Format{}, qcow2.Encoder{Compression: qcow2.CompressionZlib}, qcow2.Format{}, "qcow2", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := open(t, tt.format, tt.source)
			path := filepath.Join(t.TempDir(), "out")
			out, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			sum, err := tt.target.Encode(t.Context(), sink{out}, src, formats.Checkpoint{})
			if err != nil {
				t.Fatal(err)
			}
			if err := out.Truncate(sum.FileSize); err != nil {
				t.Fatal(err)
			}
			imgtest.QemuImg(t, "compare", "-f", "raw", "-F", tt.qemu, raw, path)
			if tt.qemu == "qcow2" {
				imgtest.QemuImg(t, "check", "-f", "qcow2", path)
			}
			same, all := passed(t, src, open(t, tt.to, path))
			if all < 50 || tt.passed && same != all || !tt.passed && same != 0 {
				t.Errorf("%d of %d compressed clusters are the source's", same, all)
			}
		})
	}
}

// passed counts the compressed clusters of a target whose stream is in the source, and
// all that the source has compressed too. The last cluster of the disk, which the
// source has cut, is left out.
func passed(t *testing.T, src, dst formats.Disk) (same, all int) {
	t.Helper()
	s, d := src.(formats.PackedReader), dst.(formats.PackedReader)
	const step = 64 << 10
	for off := int64(0); off+step <= src.Size(); off += step {
		p, ok, err := d.PackedAt(off)
		q, had, err2 := s.PackedAt(off)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if !ok || !had {
			continue
		}
		b := bare(stored(t, s, q), q)
		if len(b) == 0 || int64(len(b)) > step-1024 { // noise, which is not kept as it is
			continue
		}
		all++
		if bytes.Contains(stored(t, d, p), b) && p.Size == q.Size {
			same++
		}
	}
	return same, all
}

func stored(t *testing.T, r formats.PackedReader, p formats.Packed) []byte {
	t.Helper()
	buf := make([]byte, p.HostLen)
	if err := r.ReadHost(buf, p.HostOff); err != nil {
		t.Fatal(err)
	}
	stream, err := r.Stream(p, buf)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// bare is most of a stream: no wrapper, and not what stands behind it.
func bare(stream []byte, p formats.Packed) []byte {
	head := 0
	if p.Codec == formats.CodecZlib {
		head = 2
	}
	return stream[head:max(head, len(stream)-600)]
}

func open(t *testing.T, f formats.Format, path string) formats.Disk {
	t.Helper()
	file := imgtest.OpenFile(t, path)
	d, err := f.Open(file, file.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

type sink struct{ *os.File }

func (sink) Checkpoint(context.Context, func() formats.Checkpoint) error { return nil }
