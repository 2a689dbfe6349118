package pipeline_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// A variant is one way in which qemu-img writes a format.
type variant struct {
	name, format string
	options      []string
}

func variants() []variant {
	return []variant{
		{"raw", "raw", nil},
		{"qcow2 v3", "qcow2", nil},
		{"qcow2 v2", "qcow2", []string{"compat=0.10"}},
		{"qcow2 zlib", "qcow2", []string{"-c"}},
		{"qcow2 zstd", "qcow2", []string{"-c", "compression_type=zstd"}},
		{"vmdk sparse", "vmdk", []string{"subformat=monolithicSparse"}},
		{"vmdk stream", "vmdk", []string{"subformat=streamOptimized"}},
		{"vhdx", "vhdx", []string{"block_size=1M"}},
		{"vdi", "vdi", nil},
		{"parallels", "parallels", nil},
		{"vhd dynamic", "vpc", []string{"subformat=dynamic", "force_size=on"}},
		{"vhd fixed", "vpc", []string{"subformat=fixed", "force_size=on"}},
	}
}

func targets() []contract.TargetSpec {
	with := func(k, v string) map[string]string { return map[string]string{k: v} }
	return []contract.TargetSpec{
		{Format: "raw"},
		{Format: "qcow2"},
		{Format: "qcow2", Compression: "zlib"},
		{Format: "qcow2", Compression: "zstd"},
		{Format: "qcow2", Options: with("cluster_size", "4K")},
		{Format: "vmdk"},
		{Format: "vmdk", Options: with("subformat", "monolithicSparse")},
		{Format: "vhd"},
		{Format: "azure"},
		{Format: "vhdx"},
		{Format: "vdi"},
		{Format: "gce", Options: with("align", "1M")},
		{Format: "ova"},
	}
}

// describe names a target in a test's name.
func describe(t contract.TargetSpec) string {
	name := t.Format + " " + t.Compression
	for k, v := range t.Options {
		name += " " + k + "=" + v
	}
	return name
}

// TestEverySourceToEveryTarget imports one disk in every format into every
// target: the stored image is the same disk to qemu-img, and the content digest
// is one and the same throughout.
func TestEverySourceToEveryTarget(t *testing.T) {
	for _, disk := range []imgtest.Case{
		{Name: "mixed", Disk: mixed()},
		{Name: "empty", Disk: imgtest.New(8<<20+512, 1)},
		{Name: "full", Disk: imgtest.New(5<<20, 1, imgtest.Run{Len: 5 << 20, Kind: imgtest.Noise})},
	} {
		t.Run(disk.Name, func(t *testing.T) { matrix(t, disk.Disk, variants(), targets()) })
	}
}

// TestBeyond4GiB does the same where 32 bits end. Hashing gigabytes of zeros is
// all that it costs, so a few pairs stand for all.
func TestBeyond4GiB(t *testing.T) {
	disk := imgtest.New(4<<30+64<<20+1536, 3,
		imgtest.Run{Off: 4<<30 - 4096, Len: 8192, Kind: imgtest.Text},
		imgtest.Run{Off: 4<<30 + 64<<20 + 1024, Len: 512, Kind: imgtest.Noise})
	matrix(t, disk, variants()[:2], targets()[:1])
	matrix(t, disk, variants()[1:8], targets()[1:3])
}

// matrix imports the disk from every variant into every target.
func matrix(t *testing.T, disk *imgtest.Disk, from []variant, to []contract.TargetSpec) {
	t.Helper()
	rawPath := imgtest.WriteRaw(t, disk)
	digest := ""
	for _, v := range from {
		src := rawPath
		if v.format != "raw" {
			src = imgtest.Convert(t, rawPath, "raw", v.format, v.options...)
		}
		for _, target := range to {
			t.Run(v.name+" to "+describe(target), func(t *testing.T) {
				got := importAndCompare(t, src, rawPath, target)
				if digest == "" {
					digest = got
				}
				if got != digest {
					t.Errorf("content digest %s, want %s", got, digest)
				}
			})
		}
	}
}

// importAndCompare imports src and lets qemu-img compare the stored image with
// the raw disk. It returns the content digest.
func importAndCompare(t *testing.T, src, rawPath string, target contract.TargetSpec) string {
	t.Helper()
	p, _ := newPipeline(t, filepath.Dir(src))
	j := newJob(src, target)
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	out := objectFile(t, p, j, "."+j.target.Format)
	compareStored(t, rawPath, out, j.target.Format)
	if fileSize(t, out) < 256<<20 {
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if got := hex.EncodeToString(sum[:]); got != j.checksummed.HashValue || j.checksummed.HashAlgo != "sha256" {
			t.Errorf("stored digest %s:%s, the bytes have %s", j.checksummed.HashAlgo, j.checksummed.HashValue, got)
		}
	}
	if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Key: j.key, Success: true}); err != nil {
		t.Fatal(err)
	}
	empty(t, p.StagingDir)
	return j.converted.ContentDigest
}

// attachable returns the image file that a hypervisor takes, and its format as
// qemu calls it: what is packed is unpacked by tar.
func attachable(t *testing.T, out, format string) (string, string) {
	t.Helper()
	member, flags := "", ""
	switch format {
	case "vhd":
		return out, "vpc"
	case "gce":
		member, flags, format = "disk.raw", "-xSzf", "raw"
	case "ova":
		member, flags, format = "machine-disk1.vmdk", "-xf", "vmdk"
	default:
		return out, format
	}
	dir := t.TempDir()
	if b, err := exec.Command("tar", flags, out, "-C", dir, member).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, b)
	}
	return filepath.Join(dir, member), format
}

// compareStored lets qemu-img compare what is stored with the raw disk, which it
// finds equal if the longer one is zeros beyond.
func compareStored(t *testing.T, rawPath, out, format string) {
	t.Helper()
	out, format = attachable(t, out, format)
	if format != "raw" && format != "vpc" { // those have nothing that qemu-img could check
		imgtest.QemuImg(t, "check", "-q", "-f", format, out)
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", format, rawPath, out)
}

// TestRawOutputIsQemusRawOutput compares the bytes of our raw output with
// those of `qemu-img convert -O raw`, for every format.
func TestRawOutputIsQemusRawOutput(t *testing.T) {
	rawPath := imgtest.WriteRaw(t, mixed())
	for _, v := range variants()[1:] {
		t.Run(v.name, func(t *testing.T) {
			src := imgtest.Convert(t, rawPath, "raw", v.format, v.options...)
			want := imgtest.Convert(t, src, v.format, "raw")
			p, _ := newPipeline(t, filepath.Dir(src))
			j := newJob(src, contract.TargetSpec{Format: "raw"})
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(b)
			if got := hex.EncodeToString(sum[:]); got != j.checksummed.HashValue {
				t.Errorf("our raw output has SHA-256 %s, qemu-img's %s", j.checksummed.HashValue, got)
			}
		})
	}
}
