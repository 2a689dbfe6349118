package realimages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	"ingest/stores"
	"ingest/stores/fs"
)

// A real is a package's image and what it is.
type real struct {
	name, path, pkg string
	format          formats.Name
	contents        string // what is recognised on the disk
	size            int64  // virtual size, bytes; 0 if it differs between the package's versions
}

// forensics is packed; unpacked it has this many bytes.
const (
	forensics      = "/usr/share/forensics-samples/fs.multiple.xz"
	forensicsPkg   = "forensics-samples-multiple"
	forensicsBytes = 262_144_000
)

// images lists the real images. Each ISO is a hybrid: its first sector is that
// of a disk with partitions. GRUB's floppy image is one too.
func images() []real {
	const partitioned = "MBR partition table"
	return []real{
		{"grub-cdrom", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "grub-rescue-pc", formats.ISO, partitioned, 0},
		{"grub-floppy", "/usr/lib/grub-rescue/grub-rescue-floppy.img", "grub-rescue-pc", formats.ISO, partitioned, 0},
		{"memtest86+", "/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+", formats.ISO, partitioned, 0},
		{"ipxe", "/usr/lib/ipxe/ipxe.iso", "ipxe", formats.ISO, partitioned, 0},
		{"forensics", forensics, forensicsPkg, formats.Raw, partitioned, forensicsBytes},
	}
}

// open returns the path of the image's bytes, unpacked.
func (r real) open(t *testing.T) string {
	t.Helper()
	needFile(t, r.path, r.pkg)
	if !strings.HasSuffix(r.path, ".xz") {
		return r.path
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "unpacked"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(needProgram(t, "xz", "xz-utils"), "-dc", r.path) // keeps holes
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func newPipeline() *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Readers: readers.All(), Sources: sources.Set{file.New([]string{"/"})},
		OutputFormat: "qcow2", HashAlgo: "sha256", Verify: "full", Limits: formats.DefaultLimits(),
	}
}

func TestRealImagesAreWhatTheyAre(t *testing.T) {
	for _, r := range images() {
		t.Run(r.name, func(t *testing.T) {
			path := r.open(t)
			p := newPipeline()
			rep, err := p.Inspect(t.Context(), path, "")
			if err != nil {
				t.Fatal(err)
			}
			if rep.DiskFormat != r.format || rep.ContainerFormat != "bare" || rep.VirtualSize != fileSize(t, path) || (r.size != 0 && rep.VirtualSize != r.size) {
				t.Errorf("%s in %s of %d bytes, want %s of %d", rep.DiskFormat, rep.ContainerFormat, rep.VirtualSize, r.format, r.size)
			}
			if got := contents(rep); !strings.Contains(got, r.contents) {
				t.Errorf("contents %q, want %q", got, r.contents)
			}
			if _, err := p.Inspect(t.Context(), path, string(r.format)); err != nil {
				t.Errorf("declared as found: %v", err)
			}
			for _, wrong := range []formats.Name{formats.QCOW2, formats.Raw, formats.ISO, detect.AMI} {
				if wrong == r.format || r.format == formats.Raw && wrong == detect.AMI {
					continue // a root file system is what it is declared to be
				}
				if rep, err := p.Inspect(t.Context(), path, string(wrong)); err == nil {
					t.Errorf("declared as %s: taken as %s", wrong, rep.DiskFormat)
				}
			}
		})
	}
}

// contents returns what the report says is on the disk.
func contents(rep detect.Report) string {
	for _, f := range rep.Findings {
		if f.Code == errcode.Contents {
			return f.Evidence.Value
		}
	}
	return ""
}

// A copied is a format into which qemu-img copies each image.
type copied struct {
	qemu    string
	options []string
	format  formats.Name // as ingest calls it
	to      string       // what the copy is converted into
}

func copies() []copied {
	return []copied{
		{"vmdk", nil, formats.VMDK, "raw"},
		{"vmdk", []string{"subformat=streamOptimized"}, formats.VMDK, "qcow2"},
		{"vpc", []string{"force_size=on"}, formats.VHD, "qcow2"},
		{"vpc", fixedVHD(), formats.VHD, "raw"},
		{"vhdx", nil, formats.VHDX, "raw"},
		{"vdi", nil, formats.VDI, "qcow2"},
		{"qcow2", []string{"-c"}, formats.QCOW2, "raw"},
	}
}

func fixedVHD() []string { return []string{"subformat=fixed,force_size=on"} }

// TestRealImagesConvert converts each image, and its copies in other formats,
// into what ingest writes: always the same disk.
func TestRealImagesConvert(t *testing.T) {
	imgtest.NeedQemu(t)
	for _, r := range images() {
		t.Run(r.name, func(t *testing.T) {
			path := r.open(t)
			kept := convert(t, path, path, r.format, "")
			if kept.Target.Format != string(r.format) || kept.FileSize != fileSize(t, path) {
				t.Errorf("kept as %s of %d bytes", kept.Target.Format, kept.FileSize)
			}
			all := []pipeline.Conversion{convert(t, path, path, r.format, "raw"), convert(t, path, path, r.format, "qcow2")}
			for _, c := range copies() {
				if r.format == formats.ISO && slices.Equal(c.options, fixedVHD()) {
					continue // TestFixedVHDOfAnISO
				}
				all = append(all, convert(t, imgtest.Convert(t, path, "raw", c.qemu, c.options...), path, c.format, c.to))
			}
			for _, c := range all {
				if c.ContentDigest != kept.ContentDigest {
					t.Errorf("%s to %s: content digest %s, want %s", c.Source.DiskFormat, c.Target.Format, c.ContentDigest, kept.ContentDigest)
				}
			}
		})
	}
}

// TestFixedVHDOfAnISO refuses a file that has an ISO image's bytes at its begin
// and a VHD's at its end: two programs would take it for two different disks.
func TestFixedVHDOfAnISO(t *testing.T) {
	imgtest.NeedQemu(t)
	src := imgtest.Convert(t, images()[0].open(t), "raw", "vpc", fixedVHD()...)
	for _, declared := range []formats.Name{"", formats.VHD, formats.ISO} {
		if rep, err := newPipeline().Inspect(t.Context(), src, string(declared)); errcode.Of(err) != errcode.FormatAmbiguous {
			t.Errorf("declared %q: %s, %v; want %s", declared, rep.DiskFormat, err, errcode.FormatAmbiguous)
		}
	}
}

// convert converts src and lets qemu-img compare the result with the raw disk.
func convert(t *testing.T, src, raw string, is formats.Name, to string) pipeline.Conversion {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "converted")
	out, err := newPipeline().ConvertTo(t.Context(), pipeline.ConvertRequest{
		URLs: []string{src}, Format: string(is), Target: contract.TargetSpec{Format: to}, Verify: true,
		Begin: func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
	}, func(string) {}, nil)
	if err != nil {
		t.Fatalf("%s to %s: %v", is, to, err)
	}
	if out.Source.DiskFormat != is || !out.Verified || out.VirtualSize != fileSize(t, raw) {
		t.Errorf("%s to %s: %s of %d bytes, verified %v, want %d bytes", is, to, out.Source.DiskFormat, out.VirtualSize, out.Verified, fileSize(t, raw))
	}
	qemu := "raw"
	if out.Target.Format == "qcow2" {
		qemu = "qcow2"
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", qemu, raw, dst)
	return out
}

// TestRealKernels takes kernels as such, and keeps their bytes.
func TestRealKernels(t *testing.T) {
	for _, r := range []real{
		{name: "ipxe", path: "/boot/ipxe.lkrn", pkg: "ipxe"},
		{name: "memtest86+", path: "/boot/memtest86+x64.bin", pkg: "memtest86+"},
	} {
		t.Run(r.name, func(t *testing.T) {
			path := r.open(t)
			rep, err := newPipeline().Inspect(t.Context(), path, "aki")
			if err != nil || rep.DiskFormat != detect.AKI || rep.ContainerFormat != "aki" {
				t.Fatalf("%s in %s, %v", rep.DiskFormat, rep.ContainerFormat, err)
			}
			if len(rep.Findings) != 1 || !strings.Contains(rep.Findings[0].Message, "HdrS") {
				t.Errorf("findings %+v, want the kernel's magic", rep.Findings)
			}
			if out := convert(t, path, path, detect.AKI, ""); out.Target.Format != "aki" || out.FileSize != fileSize(t, path) {
				t.Errorf("kept as %s of %d bytes", out.Target.Format, out.FileSize)
			}
		})
	}
}

// TestPackedDiskIsTheDiskWithin reads a real disk in its xz as it reads it unpacked.
func TestPackedDiskIsTheDiskWithin(t *testing.T) {
	packed := needFile(t, forensics, forensicsPkg)
	unpacked := real{path: forensics, pkg: forensicsPkg}.open(t)
	p := newPipeline()
	rep, err := p.Inspect(t.Context(), packed, "")
	if err != nil || rep.DiskFormat != formats.Raw || !slices.Equal(rep.Layers, []string{"xz"}) || rep.VirtualSize != forensicsBytes || rep.FileSize != fileSize(t, packed) {
		t.Fatalf("%+v, %v", rep, err)
	}
	var digests [2]string
	for i, path := range []string{packed, unpacked} {
		disk, _, err := p.OpenURL(t.Context(), path, "raw")
		if err != nil {
			t.Fatal(err)
		}
		if digests[i], _, err = p.Digest(t.Context(), disk.Disk, false, nil); err != nil {
			t.Error(err)
		}
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("content digest %s in xz, %s without", digests[0], digests[1])
	}
}

// TestPackedISOStaysAnISO keeps an ISO in gzip as the ISO that it is.
func TestPackedISOStaysAnISO(t *testing.T) {
	iso := needFile(t, "/usr/lib/ipxe/ipxe.iso", "ipxe")
	packed := filepath.Join(t.TempDir(), "ipxe.iso.gz")
	out, err := exec.Command("gzip", "-c", iso).Output()
	if err != nil {
		t.Fatal(err)
	}
	write(t, packed, out)
	if got := convert(t, packed, iso, formats.ISO, ""); got.Target.Format != "iso" || got.FileSize != fileSize(t, iso) || !slices.Equal(got.Source.Layers, []string{"gzip"}) {
		t.Errorf("kept as %s of %d bytes, layers %v", got.Target.Format, got.FileSize, got.Source.Layers)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}
