package boottest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/formats/readers"
	"ingest/formats/transfer"
	"ingest/formats/writers"
	"ingest/internal/imgtest"
)

// slowEnv is the environment variable that has the slow tests run.
const slowEnv = "INGEST_SLOW"

// slow skips a test, and says so, unless slow ones are asked for.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv(slowEnv) == "" {
		message := fmt.Sprintf("NOT TESTED: %s takes minutes and runs with %s=1 only", t.Name(), slowEnv)
		fmt.Fprintln(os.Stderr, message)
		t.Skip(message)
	}
}

// written are the writers and settings that real disks are booted from.
var written = []struct {
	name    string
	given   map[string]string
	qemu    string
	options []string
}{
	{"raw", nil, "raw", nil},
	{"qcow2", nil, "qcow2", nil},
	{"qcow2", map[string]string{"compression": "zlib"}, "qcow2", nil},
	{"qcow2", map[string]string{"compression": "zstd"}, "qcow2", nil},
	{"vmdk", map[string]string{"subformat": "streamOptimized"}, "vmdk", nil},
	{"vmdk", map[string]string{"subformat": "monolithicSparse"}, "vmdk", nil},
	{"vhd", map[string]string{"subformat": "dynamic"}, "vpc", []string{"force_size_calc=current_size"}},
	{"vhd", map[string]string{"subformat": "fixed"}, "vpc", []string{"force_size_calc=current_size"}},
	{"vhdx", nil, "vhdx", nil},
	{"vdi", nil, "vdi", nil},
}

// eachWritten converts the raw disk in every way and calls fn for each image.
func eachWritten(t *testing.T, disk string, fn func(t *testing.T, path, qemu string, options []string)) {
	t.Helper()
	for _, c := range written {
		t.Run(fmt.Sprintf("%s %v", c.name, c.given), func(t *testing.T) {
			f := imgtest.OpenFile(t, disk)
			fn(t, convert(t, c.name, c.given, raw.New(f, f.Size())), c.qemu, c.options)
		})
	}
}

// convert writes the disk to a file.
func convert(t *testing.T, name string, given map[string]string, src formats.Disk) string {
	t.Helper()
	w, ok := writers.Find(name)
	if !ok {
		t.Fatalf("no writer %s", name)
	}
	made, err := w.Make(given, transfer.Engine{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if !made.Plans(src.Info()) {
		sum, err := made.Encoder.Encode(t.Context(), fileSink{out}, src, formats.Checkpoint{})
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Truncate(sum.FileSize); err != nil {
			t.Fatal(err)
		}
		return out.Name()
	}
	p, err := made.Planner.Plan(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, io.NewSectionReader(p, 0, p.Size())); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// fileSink is a file that takes an encoder's output.
type fileSink struct{ *os.File }

func (fileSink) Checkpoint(context.Context, func() formats.Checkpoint) error { return nil }

// TestBootLoadersBoot boots ISO images that Debian packages hold, and that are
// disks too, after conversion: GRUB reads its modules and menu from the disk.
func TestBootLoadersBoot(t *testing.T) {
	slow(t)
	for _, c := range []struct{ name, path, pkg, says string }{
		{"GRUB", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "grub-rescue-pc", "GNU GRUB  version"},
		{"iPXE", "/usr/lib/ipxe/ipxe.iso", "ipxe", "Open Source Network Boot Firmware"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(c.path); err != nil {
				t.Fatalf("%v: run scripts/setup or install %s", err, c.pkg)
			}
			eachWritten(t, c.path, func(t *testing.T, path, qemu string, options []string) {
				BootUntil(t, path, qemu, "ide", c.says, options...)
			})
		})
	}
}

// TestLinuxBoots boots a Linux from its own ext4 file system, which it mounts and
// reads, after conversion; and after conversion back from each of qemu-img's
// formats.
func TestLinuxBoots(t *testing.T) {
	slow(t)
	disk := linuxDisk(t)
	boot := func(t *testing.T, path, qemu string, options []string) {
		BootUntil(t, path, qemu, "virtio", "INGEST LINUX OK", options...)
	}
	eachWritten(t, disk, boot)
	for _, c := range qemuImages {
		if c.format == "qed" {
			continue
		}
		t.Run("from qemu-img's "+c.name, func(t *testing.T) {
			src := openAny(t, imgtest.Convert(t, disk, "raw", c.format, c.options...))
			boot(t, convert(t, "qcow2", map[string]string{"compression": "zstd"}, src), "qcow2", nil)
		})
	}
}

// openAny opens an image file with ingest's own reader.
func openAny(t *testing.T, path string) formats.Disk {
	t.Helper()
	f := imgtest.OpenFile(t, path)
	head, tail := make([]byte, formats.HeadLen), make([]byte, formats.TailLen)
	imgtest.ReadFull(t, f, head, 0)
	imgtest.ReadFull(t, f, tail, f.Size()-formats.TailLen)
	for _, format := range readers.All() {
		if !format.Match(head, tail, f.Size()).OK {
			continue
		}
		d, err := format.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	t.Fatalf("nobody reads %s", path)
	return nil
}
