package detect

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

const (
	gzipHead = "\x1f\x8b\x08\x00"
	xzHead   = "\xfd7zXZ\x00"
	zstdHead = "\x28\xb5\x2f\xfd"
	lz4Head  = "\x02\x21\x4c\x18"
	bzHead   = "BZh91AY&SY"
	cpioHead = "070701"
)

// TestDeclaredParts accepts a file as the part of a machine that it is declared
// to be, unless it is of a format that contradicts.
func TestDeclaredParts(t *testing.T) {
	d := New(readers())
	ext := file(mib, 1080, "\x53\xef")
	for _, c := range []struct {
		name     string
		bytes    []byte
		declared formats.Name
		says     string // in the last finding's message
	}{
		{"root file system", ext, AMI, "ext2/3/4"},
		{"disk with partitions", file(mib, 446, mbr), AMI, "MBR partition table"},
		{"in capitals", ext, "AMI", "ext2/3/4"},
		{"zeros", file(mib), AMI, "no partition table or file system"},
		{"bzImage", file(mib, 0, "MZ", 510, "\x55\xaa", 0x202, "HdrS"), AKI, "HdrS"},
		{"ELF kernel", file(mib, 0, "\x7fELF\x02\x01\x01"), AKI, "ELF program"},
		{"arm64 kernel", file(mib, 0x38, "ARM\x64"), AKI, "arm64"},
		{"vmlinuz in gzip", file(mib, 0, gzipHead), AKI, "gzip"},
		{"unheard of kernel", file(1000, 0, "?"), AKI, "taken as declared"},
		{"cpio", file(1000, 0, cpioHead), ARI, "cpio archive"},
		{"cpio with checksums", file(1000, 0, "070702"), ARI, "cpio archive with checksums"},
		{"cpio in gzip", file(1000, 0, gzipHead), ARI, "gzip"},
		{"cpio in xz", file(1000, 0, xzHead), ARI, "xz"},
		{"cpio in zstd", file(1000, 0, zstdHead), ARI, "zstd"},
		{"cpio in lz4", file(1000, 0, lz4Head), ARI, "lz4"},
		{"cpio in bzip2", file(1000, 0, bzHead), ARI, "bzip2"},
		{"page", file(1000, 0, "<html>"), ARI, "HTML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, disk, err := d.Detect(context.Background(), bytes.NewReader(c.bytes), int64(len(c.bytes)), options(c.declared))
			checkReport(t, rep, disk, err)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			want := formats.Name(strings.ToLower(string(c.declared)))
			if rep.DiskFormat != want || rep.ContainerFormat != string(want) || disk.Info().Format != want {
				t.Errorf("disk format %q, container format %q, disk %q, want %q", rep.DiskFormat, rep.ContainerFormat, disk.Info().Format, want)
			}
			if len(rep.Findings) != 1 || rep.Findings[0].Code != errcode.Contents || !strings.Contains(rep.Findings[0].Message, c.says) {
				t.Errorf("findings %+v, want one that says %q", rep.Findings, c.says)
			}
			imgtest.Equal(t, disk, bytes.NewReader(c.bytes), int64(len(c.bytes)))
			if nested, err := NestedCheck(disk); err != nil || len(nested) != 0 {
				t.Errorf("nested: %+v, %v", nested, err)
			}
		})
	}
}

func TestPartsThatAreSomethingElse(t *testing.T) {
	d := New(readers())
	for _, c := range []struct {
		name  string
		bytes []byte
		names []formats.Name
		code  errcode.Code
	}{
		{"qcow2", file(mib, 0, qcow2Head), []formats.Name{AMI, AKI, ARI}, errcode.FormatMismatch},
		{"VMDK descriptor", []byte(vmdkText), []formats.Name{AMI, AKI, ARI}, errcode.FormatMismatch},
		{"fixed VHD", file(mib, -512, "conectix"), []formats.Name{AMI, AKI, ARI}, errcode.FormatMismatch},
		{"ISO", file(mib, 32768, pvd), []formats.Name{AMI, AKI, ARI}, errcode.FormatMismatch},
		{"LUKS", file(mib, 0, "LUKS\xba\xbe\x00\x02"), []formats.Name{AMI, AKI, ARI}, errcode.LUKSUndeclared},
		{"zip", zipOf("c"), []formats.Name{AMI, AKI, ARI}, errcode.FormatNotAllowed},
		{"tar", file(2048, 0, "vmlinuz", 257, "ustar"), []formats.Name{AMI, AKI, ARI}, errcode.FormatNotAllowed},
		{"gzip", file(1000, 0, gzipHead), []formats.Name{AMI}, errcode.FormatNotAllowed},
		{"gzip and fixed VHD", file(mib, 0, gzipHead, -512, "conectix"), []formats.Name{AMI, AKI, ARI}, errcode.FormatAmbiguous},
		{"gzip and MBR", file(mib, 0, gzipHead, 446, mbr), []formats.Name{AKI, ARI}, errcode.FormatAmbiguous},
		{"kernel and zip", append(file(mib, 0x202, "HdrS"), zipOf("c")...), []formats.Name{AKI}, errcode.FormatNotAllowed},
		{"nothing", nil, []formats.Name{AMI, AKI, ARI}, errcode.Empty},
	} {
		for _, declared := range c.names {
			t.Run(c.name+" as "+string(declared), func(t *testing.T) {
				if rep, err := detectBytes(t, d, c.bytes, declared); errcode.Of(err) != c.code {
					t.Errorf("got %q, %v; want %s", rep.DiskFormat, err, c.code)
				}
			})
		}
	}
}

// TestPartsAreNeverGuessed keeps a kernel or a ramdisk that nobody declares what
// any file is: raw, or an outer layer.
func TestPartsAreNeverGuessed(t *testing.T) {
	d := New(readers())
	if rep, err := detectBytes(t, d, file(mib, 0x202, "HdrS"), ""); err != nil || rep.DiskFormat != formats.Raw || rep.ContainerFormat != "bare" {
		t.Errorf("kernel: %q in %q, %v", rep.DiskFormat, rep.ContainerFormat, err)
	}
	if rep, err := detectBytes(t, d, file(mib, 0, gzipHead), ""); errcode.Of(err) != errcode.FormatNotAllowed {
		t.Errorf("gzip: %q, %v", rep.DiskFormat, err)
	}
}

// TestOnlyKernelsAndRamdisksHaveOddSizes keeps the warning about unaligned sizes
// for what is a disk.
func TestOnlyKernelsAndRamdisksHaveOddSizes(t *testing.T) {
	d := New([]formats.Format{raw.Format{}})
	for declared, want := range map[formats.Name]bool{AMI: true, AKI: false, ARI: false, formats.Raw: true} {
		rep, err := detectBytes(t, d, file(1000), declared)
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, f := range rep.Findings {
			got = got || f.Code == errcode.SizeUnaligned
		}
		if got != want {
			t.Errorf("%s of 1000 bytes: warned %v, want %v", declared, got, want)
		}
	}
}

// TestPartsKeepTheirHoles reads the extents of a sparse root file system.
func TestPartsKeepTheirHoles(t *testing.T) {
	path := imgtest.WriteRaw(t, imgtest.New(16<<20, 1, imgtest.Run{Off: 8 << 20, Len: 1 << 20, Kind: imgtest.Noise}))
	rep, disk, err := detectFile(t, path, AMI)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if rep.AllocatedSize != 1<<20 {
		t.Errorf("allocated size %d, want %d", rep.AllocatedSize, 1<<20)
	}
}
