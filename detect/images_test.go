package detect

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/vhd"
	"ingest/formats/vmdk"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// readers are all formats that ingest reads.
func readers() []formats.Format {
	return []formats.Format{raw.Format{}, qcow2.Format{}, vmdk.Format{}, vhd.Format{}}
}

const guestSize = 6 << 20

// guest writes a raw disk with a partition table, text, noise and holes.
func guest(t *testing.T) string {
	t.Helper()
	path := imgtest.WriteRaw(t, imgtest.New(guestSize, 7,
		imgtest.Run{Off: 0, Len: 64 << 10, Kind: imgtest.Zero},
		imgtest.Run{Off: 1 << 20, Len: 1 << 20, Kind: imgtest.Text},
		imgtest.Run{Off: 3 << 20, Len: 1 << 20, Kind: imgtest.Noise}))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(mbr), 446); err != nil {
		t.Fatal(err)
	}
	return path
}

func detectFile(t *testing.T, path string, declared formats.Name) (Report, formats.Disk, error) {
	t.Helper()
	f := imgtest.OpenFile(t, path)
	rep, disk, err := New(readers()).Detect(context.Background(), f, f.Size(), options(declared))
	checkReport(t, rep, disk, err)
	return rep, disk, err
}

// TestQemuImages detects what qemu-img makes of one disk, opens what is read,
// and compares the bytes.
func TestQemuImages(t *testing.T) {
	src := guest(t)
	want := imgtest.OpenFile(t, src)
	for _, c := range []struct {
		name      string
		qemu      string // qemu's name of the format
		options   []string
		format    formats.Name
		subformat string
		code      errcode.Code
	}{
		{"raw", "raw", nil, formats.Raw, "", ""},
		{"qcow2", "qcow2", nil, formats.QCOW2, "v3", ""},
		{"qcow2 v2", "qcow2", []string{"compat=0.10"}, formats.QCOW2, "v2", ""},
		{"qcow2 zlib", "qcow2", []string{"-c"}, formats.QCOW2, "v3", ""},
		{"qcow2 zstd", "qcow2", []string{"-c", "compression_type=zstd"}, formats.QCOW2, "v3", ""},
		{"qcow2 512-byte clusters", "qcow2", []string{"cluster_size=512"}, formats.QCOW2, "v3", ""},
		{"qcow1", "qcow", nil, formats.QCOW1, "", errcode.FormatNotAllowed},
		{"vmdk monolithicSparse", "vmdk", nil, formats.VMDK, "monolithicSparse", ""},
		{"vmdk streamOptimized", "vmdk", []string{"subformat=streamOptimized"}, formats.VMDK, "streamOptimized", ""},
		{"vmdk monolithicFlat", "vmdk", []string{"subformat=monolithicFlat"}, formats.VMDK, "descriptor", errcode.VMDKDescriptorOnly},
		{"vmdk twoGbMaxExtentFlat", "vmdk", []string{"subformat=twoGbMaxExtentFlat"}, formats.VMDK, "descriptor", errcode.VMDKDescriptorOnly},
		{"vmdk twoGbMaxExtentSparse", "vmdk", []string{"subformat=twoGbMaxExtentSparse"}, formats.VMDK, "descriptor", errcode.VMDKDescriptorOnly},
		{"vpc dynamic", "vpc", []string{"force_size=on"}, formats.VHD, "dynamic", ""},
		{"vpc fixed", "vpc", []string{"subformat=fixed,force_size=on"}, formats.VHD, "fixed", ""},
		{"vhdx dynamic", "vhdx", nil, formats.VHDX, "", errcode.FormatNotAllowed},
		{"vhdx fixed", "vhdx", []string{"subformat=fixed"}, formats.VHDX, "", errcode.FormatNotAllowed},
		{"vdi", "vdi", nil, formats.VDI, "", errcode.FormatNotAllowed},
		{"vdi static", "vdi", []string{"static=on"}, formats.VDI, "", errcode.FormatNotAllowed},
		{"qed", "qed", nil, formats.QED, "", errcode.FormatNotAllowed},
		{"parallels", "parallels", nil, formats.Parallels, "", errcode.FormatNotAllowed},
		{"luks", "luks", []string{"--object", "secret,id=s,data=abc", "key-secret=s,iter-time=10"}, formats.LUKS, "", errcode.LUKSUndeclared},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := convert(t, src, c.qemu, c.options)
			rep, disk, err := detectFile(t, path, "")
			if errcode.Of(err) != c.code || rep.DiskFormat != c.format || (c.subformat != "" && rep.Subformat != c.subformat) {
				t.Fatalf("got %q (%s), %v; want %q (%s), %q", rep.DiskFormat, rep.Subformat, err, c.format, c.subformat, c.code)
			}
			if disk == nil {
				return
			}
			defer disk.Close()
			if rep.VirtualSize != guestSize || disk.Size() != guestSize {
				t.Errorf("virtual size %d, disk %d, want %d", rep.VirtualSize, disk.Size(), guestSize)
			}
			if rep.AllocatedSize < 2<<20 || rep.AllocatedSize >= 5<<20 {
				t.Errorf("allocated size %d, want a little more than the 2 MiB of data", rep.AllocatedSize)
			}
			imgtest.Equal(t, disk, want, guestSize)
			if nested, err := NestedCheck(disk); err != nil || len(nested) != 0 {
				t.Errorf("nested: %+v, %v", nested, err)
			}
			if _, d, err := detectFile(t, path, rep.DiskFormat); err != nil {
				t.Errorf("declared as found: %v", err)
			} else {
				d.Close()
			}
		})
	}
}

// convert converts with options that are either -o values or, with a dash,
// arguments, of which --object takes the next one.
func convert(t *testing.T, src, format string, options []string) string {
	t.Helper()
	if len(options) < 3 || options[0] != "--object" {
		return imgtest.Convert(t, src, "raw", format, options...)
	}
	path := filepath.Join(t.TempDir(), "image."+format)
	imgtest.QemuImg(t, "convert", "-f", "raw", "-O", format, options[0], options[1], "-o", options[2], src, path)
	return path
}

// TestQemuImageWithin puts one image inside another.
func TestQemuImageWithin(t *testing.T) {
	src := guest(t)
	for _, inner := range []string{"qcow2", "vmdk", "vpc", "vhdx", "vdi"} {
		t.Run(inner, func(t *testing.T) {
			path := imgtest.Convert(t, imgtest.Convert(t, src, "raw", inner), "raw", "qcow2")
			_, disk, err := detectFile(t, path, formats.QCOW2)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			nested, err := NestedCheck(disk)
			if err != nil || len(nested) != 1 || nested[0].Code != errcode.NestedFormat {
				t.Errorf("got %+v, %v; want one %s", nested, err, errcode.NestedFormat)
			}
		})
	}
}

// TestQemuPolyglots adds a second format to images that qemu-img made.
func TestQemuPolyglots(t *testing.T) {
	src := guest(t)
	fixed := imgtest.Convert(t, src, "raw", "vpc", "subformat=fixed,force_size=on")
	footer := make([]byte, 512)
	f := imgtest.OpenFile(t, fixed)
	if _, err := f.ReadAt(footer, f.Size()-512); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, qemu string
		options    []string
		off        int64 // -1: append
		bytes      string
	}{
		{"qcow2 and fixed VHD", "qcow2", nil, -1, string(footer)},
		{"qcow2 and zip", "qcow2", nil, -1, string(zipOf("hidden"))},
		{"VMDK and fixed VHD", "vmdk", nil, -1, string(footer)},
		{"text VMDK and boot sector", "vmdk", []string{"subformat=monolithicFlat"}, 446, mbr},
		{"qcow2 and ISO", "qcow2", []string{"cluster_size=64k"}, 32768, pvd},
		{"VDI and boot sector", "vdi", nil, 446, mbr},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := imgtest.Convert(t, src, "raw", c.qemu, c.options...)
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			off := c.off
			if off < 0 {
				if off, err = file.Seek(0, io.SeekEnd); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := file.WriteAt([]byte(c.bytes), off); err != nil {
				t.Fatal(err)
			}
			if rep, _, err := detectFile(t, path, ""); errcode.Of(err) != errcode.FormatAmbiguous {
				t.Errorf("got %q, %v; want %s", rep.DiskFormat, err, errcode.FormatAmbiguous)
			}
		})
	}
}

// TestQemuImageThatNamesFiles refuses images that are part of a disk.
func TestQemuImageThatNamesFiles(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", base, "4M")
	overlay := filepath.Join(dir, "overlay.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
	external := filepath.Join(dir, "external.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data.raw"), external, "4M")
	for path, want := range map[string]errcode.Code{overlay: errcode.QCOW2BackingFile, external: errcode.QCOW2DataFile} {
		rep, _, err := detectFile(t, path, "")
		if errcode.Of(err) != want || rep.VirtualSize != 4<<20 {
			t.Errorf("%s: got %v with a virtual size of %d, want %s with the header's facts", filepath.Base(path), err, rep.VirtualSize, want)
		}
	}
}
