package detect

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
)

func tarOf(t *testing.T, format tar.Format, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Size: 3, Mode: 0o644, Format: format}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "abc")
	}
	w.Close()
	return b.Bytes()
}

// oldTar is a header of the oldest form, without a magic.
func oldTar(t *testing.T) []byte {
	p := tarOf(t, tar.FormatUSTAR, "disk.raw")
	clear(p[257:512])
	copy(p[148:], "        ")
	sum := 0
	for _, b := range p[:512] {
		sum += int(b)
	}
	copy(p[148:], []byte{'0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	return p
}

func gzipOf(p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(p)
	w.Close()
	return b.Bytes()
}

func zipOf(comment string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create("disk.raw")
	io.WriteString(f, "abc")
	w.SetComment(comment)
	w.Close()
	return b.Bytes()
}

// TestMagics tells every format of the table by its magic alone. Only raw is
// read here, so that every claim is refused as what it is.
func TestMagics(t *testing.T) {
	for _, c := range []struct {
		name   string
		bytes  []byte
		format formats.Name
		code   errcode.Code
	}{
		{"qcow1", file(mib, 0, "QFI\xfb\x00\x00\x00\x01"), formats.QCOW1, errcode.FormatNotAllowed},
		{"qcow2 v2", file(mib, 0, "QFI\xfb\x00\x00\x00\x02"), formats.QCOW2, errcode.FormatNotAllowed},
		{"qcow2 of a version to come", file(mib, 0, "QFI\xfb\x00\x00\x00\x04"), formats.QCOW2, errcode.FormatNotAllowed},
		{"qcow2, four bytes", []byte("QFI\xfb"), formats.QCOW2, errcode.FormatNotAllowed},
		{"vmdk", file(mib, 0, "KDMV\x01\x00\x00\x00"), formats.VMDK, errcode.FormatNotAllowed},
		{"vmdk cowd", file(mib, 0, "COWD\x01\x00\x00\x00"), formats.VMDK, errcode.FormatNotAllowed},
		{"vmdk sesparse", file(mib, 0, "\xbe\xba\xfe\xca\x00\x00\x00\x00"), formats.VMDK, errcode.FormatNotAllowed},
		{"vmdk text", []byte(vmdkText), formats.VMDK, errcode.FormatNotAllowed},
		{"vmdk text without its first line", []byte("#!x\r\n \r\n# y\r\nVersion=3\r\n"), formats.VMDK, errcode.FormatNotAllowed},
		{"vhd dynamic", file(mib, 0, "conectix", -512, "conectix"), formats.VHD, errcode.FormatNotAllowed},
		{"vhd without its end", file(mib, 0, "conectix"), formats.VHD, errcode.FormatNotAllowed},
		{"vhd fixed", file(mib+512, -512, "conectix"), formats.VHD, errcode.FormatNotAllowed},
		{"vhd fixed of 511 bytes", file(mib+511, -511, "conectix"), formats.VHD, errcode.FormatNotAllowed},
		{"vhd fixed with partitions", file(mib+512, 446, mbr, -512, "conectix"), formats.VHD, errcode.FormatNotAllowed},
		{"vhdx", file(mib, 0, "vhdxfile"), formats.VHDX, errcode.FormatNotAllowed},
		{"vdi", file(mib, 64, "\x7f\x10\xda\xbe"), formats.VDI, errcode.FormatNotAllowed},
		{"qed", file(mib, 0, "QED\x00"), formats.QED, errcode.FormatNotAllowed},
		{"parallels v1", file(mib, 0, "WithoutFreeSpace"), formats.Parallels, errcode.FormatNotAllowed},
		{"parallels v2", file(mib, 0, "WithouFreSpacExt"), formats.Parallels, errcode.FormatNotAllowed},
		{"parallels descriptor", []byte("<?xml version='1.0'?>\n<Parallels_disk_image Version=\"1.0\">"), formats.Parallels, errcode.FormatNotAllowed},
		{"dmg", file(mib, -512, "koly"), formats.DMG, errcode.FormatNotAllowed},
		{"dmg with partitions", file(mib, 446, mbr, -512, "koly"), formats.DMG, errcode.FormatNotAllowed},
		{"cloop", file(mib, 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount"), "cloop", errcode.FormatNotAllowed},
		{"bochs", file(mib, 0, "Bochs Virtual HD Image\x00"), "bochs", errcode.FormatNotAllowed},
		{"asif", file(mib, 0, "shdw"), "asif", errcode.FormatNotAllowed},
		{"e01", file(mib, 0, "EVF\x09\x0d\x0a\xff\x00"), "ewf", errcode.FormatNotAllowed},
		{"ex01", file(mib, 0, "EVF2\x0d\x0a\x81\x00"), "ewf", errcode.FormatNotAllowed},
		{"l01", file(mib, 0, "LVF\x09\x0d\x0a\xff\x00"), "ewf", errcode.FormatNotAllowed},
		{"aff", file(mib, 0, "AFF10\x0d\x0a\x00"), "aff", errcode.FormatNotAllowed},
		{"android sparse", file(mib, 0, "\x3a\xff\x26\xed\x01\x00\x00\x00\x1c\x00"), "android-sparse", errcode.FormatNotAllowed},
		{"wim", file(mib, 0, "MSWIM\x00\x00\x00"), "wim", errcode.FormatNotAllowed},
		{"encrypted dmg", file(mib, 0, "encrcdsa\x00\x00\x00\x02"), formats.DMG, errcode.FormatNotAllowed},
		{"apple sparse image", file(mib, 0, "sprs\x00\x00\x00\x03"), formats.DMG, errcode.FormatNotAllowed},
		{"ami bundle", []byte("<?xml version=\"1.0\"?><manifest><version>2007-10-10</version><bundler><name>ec2-ami-tools</name>"), "ami-bundle", errcode.FormatNotAllowed},
		{"ovf", []byte("<?xml version=\"1.0\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\">"), "ovf", errcode.FormatNotAllowed},
		{"luks1", file(mib, 0, "LUKS\xba\xbe\x00\x01"), formats.LUKS, errcode.LUKSUndeclared},
		{"luks2", file(mib, 0, "LUKS\xba\xbe\x00\x02", 0x4000, "SKUL\xba\xbe\x00\x02"), formats.LUKS, errcode.LUKSUndeclared},
		{"luks2, second header", file(mib, 0x8000, "SKUL\xba\xbe\x00\x02"), formats.LUKS, errcode.LUKSUndeclared},
		{"luks2, second header at 64 KiB", file(mib, 0x10000, "SKUL\xba\xbe\x00\x02"), formats.LUKS, errcode.LUKSUndeclared},
		{"vmfs", file(2*mib, mib, "\x0d\xd0\x01\xc0"), "vmfs", errcode.FormatNotAllowed},
		{"tar ustar", tarOf(t, tar.FormatUSTAR, "disk.raw"), "tar", errcode.FormatNotAllowed},
		{"tar gnu", tarOf(t, tar.FormatGNU, "disk.raw"), "tar", errcode.FormatNotAllowed},
		{"tar without a magic", oldTar(t), "tar", errcode.FormatNotAllowed},
		{"ova", tarOf(t, tar.FormatUSTAR, "machine.OVF", "machine-disk1.vmdk"), "ova", errcode.FormatNotAllowed},
		{"docker", tarOf(t, tar.FormatUSTAR, "manifest.json", "layer.tar"), "docker", errcode.FormatNotAllowed},
		{"gzip", gzipOf(make([]byte, 100)), "gzip", errcode.FormatNotAllowed},
		{"xz", file(mib, 0, "\xfd7zXZ\x00"), "xz", errcode.FormatNotAllowed},
		{"zstd", file(mib, 0, "\x28\xb5\x2f\xfd"), "zstd", errcode.FormatNotAllowed},
		{"zstd behind a skippable frame", file(mib, 0, "\x5e\x2a\x4d\x18"), "zstd", errcode.FormatNotAllowed},
		{"bzip2", file(mib, 0, "BZh9\x31\x41\x59\x26\x53\x59"), "bzip2", errcode.FormatNotAllowed},
		{"bzip2, empty", file(14, 0, "BZh1\x17\x72\x45\x38\x50\x90"), "bzip2", errcode.FormatNotAllowed},
		{"lz4", file(mib, 0, "\x04\x22\x4d\x18"), "lz4", errcode.FormatNotAllowed},
		{"lz4 legacy", file(mib, 0, "\x02\x21\x4c\x18"), "lz4", errcode.FormatNotAllowed},
		{"zip", zipOf(""), "zip", errcode.FormatNotAllowed},
		{"zip with a comment", append(file(mib), zipOf("a comment")...), "zip", errcode.FormatNotAllowed},
		{"zip behind something", append(file(mib), zipOf("")...), "zip", errcode.FormatNotAllowed},
		{"lzip", file(mib, 0, "LZIP\x01"), "lzip", errcode.FormatNotAllowed},
		{"lzop", file(mib, 0, "\x89LZO\x00\x0d\x0a\x1a\x0a"), "lzop", errcode.FormatNotAllowed},
		{"rar", file(mib, 0, "Rar!\x1a\x07\x01\x00"), "rar", errcode.FormatNotAllowed},
		{"7z", file(mib, 0, "7z\xbc\xaf\x27\x1c"), "7z", errcode.FormatNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, err := detectBytes(t, New([]formats.Format{raw.Format{}}), c.bytes, "")
			if errcode.Of(err) != c.code || rep.DiskFormat != c.format {
				t.Errorf("got %q, %v; want %q, %s", rep.DiskFormat, err, c.format, c.code)
			}
		})
	}
}

// TestNotMagic holds bytes that are close to a magic, and are raw.
func TestNotMagic(t *testing.T) {
	d := New([]formats.Format{raw.Format{}})
	var badComment [22]byte
	copy(badComment[:], eocd)
	binary.LittleEndian.PutUint16(badComment[20:], 1)
	for name, p := range map[string][]byte{
		"zeros":                            file(mib),
		"one byte":                         {0},
		"QFI at 1":                         file(mib, 1, qcow2Head),
		"conectix at 513 from the end":     file(mib, -513, "conectix"),
		"koly at 0":                        file(mib, 0, "koly"),
		"shell script":                     file(mib, 0, "#!/bin/sh\necho hello\n"),
		"text with a version":              file(mib, 0, "name=x\nversion=1\n"),
		"text with version 4":              file(mib, 0, "# x\nversion=4\n"),
		"bzip2 without a block":            file(mib, 0, "BZh9 is a word"),
		"EOCD that does not reach the end": append(file(mib), append([]byte(eocd), 0, 0)...),
		"EOCD that reaches too far":        append(file(mib), badComment[:]...),
		"tar with a wrong checksum":        file(mib, 0, "name", 148, "000123\x00 "),
		"CD001 without its sequence":       file(mib, 32768+2048, pvd),
		"vmfs one byte late":               file(2*mib, mib+1, "\x0d\xd0\x01\xc0"),
		"vmfs cut":                         file(mib+3, mib, "\x0d\xd0\x01\xc0"),
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := detectBytes(t, d, p, formats.Raw)
			if err != nil || rep.DiskFormat != formats.Raw || rep.VirtualSize != int64(len(p)) || rep.AllocatedSize != -1 {
				t.Errorf("got %q of %d bytes (allocated %d), %v", rep.DiskFormat, rep.VirtualSize, rep.AllocatedSize, err)
			}
		})
	}
}

func TestPolyglots(t *testing.T) {
	sector := func(text string) string { return text + strings.Repeat("\x00", 446-len(text)) + mbr }
	for _, c := range []struct {
		name  string
		bytes []byte
		both  [2]string // named in the evidence
	}{
		{"qcow2 and iso", file(mib, 0, qcow2Head, 32768, pvd), [2]string{"qcow2", "iso"}},
		{"vhdx and iso", file(mib, 0, "vhdxfile", 32768, pvd), [2]string{"vhdx", "iso"}},
		{"qcow2 and tar", file(mib, 0, qcow2Head, 257, "ustar"), [2]string{"qcow2", "tar"}},
		{"qcow2 and fixed vhd", file(mib, 0, qcow2Head, -512, "conectix"), [2]string{"qcow2", "vhd"}},
		{"vmdk and fixed vhd of 511 bytes", file(mib, 0, "KDMV", -511, "conectix"), [2]string{"vmdk", "vhd"}},
		{"iso and fixed vhd", file(mib, 32768, pvd, -512, "conectix"), [2]string{"iso", "vhd"}},
		{"luks and fixed vhd", file(mib, 0, "LUKS\xba\xbe\x00\x01", -512, "conectix"), [2]string{"luks", "vhd"}},
		{"qcow2 and dmg", file(mib, 0, qcow2Head, -512, "koly"), [2]string{"qcow2", "dmg"}},
		{"qcow2 and zip", file(mib, 0, qcow2Head, -22, eocd), [2]string{"qcow2", "zip"}},
		{"fixed vhd and zip", file(mib, -512, "conectix", -22, eocd), [2]string{"vhd", "zip"}},
		{"gzip and iso", file(mib, 0, "\x1f\x8b\x08", 32768, pvd), [2]string{"gzip", "iso"}},
		{"vmdk and vdi", file(mib, 0, "KDMV", 64, "\x7f\x10\xda\xbe"), [2]string{"vmdk", "vdi"}},
		{"qcow2 and vmfs", file(2*mib, 0, qcow2Head, mib, "\x0d\xd0\x01\xc0"), [2]string{"qcow2", "vmfs"}},
		{"text vmdk and boot sector", file(mib, 0, sector(vmdkText)), [2]string{"vmdk", "MBR"}},
		{"text vmdk and boot signature", file(mib, 0, vmdkText, 510, "\x55\xaa"), [2]string{"vmdk", "boot sector"}},
		{"short text vmdk and boot signature", file(512, 0, vmdkText, 510, "\x55\xaa"), [2]string{"vmdk", "boot sector"}},
		{"qcow2 and mbr", file(mib, 0, sector(qcow2Head)), [2]string{"qcow2", "MBR"}},
		{"qcow2 and gpt", file(mib, 0, qcow2Head, 512, "EFI PART"), [2]string{"qcow2", "GPT"}},
		{"luks and mbr", file(mib, 0, sector("LUKS\xba\xbe\x00\x02")), [2]string{"luks", "MBR"}},
		{"second luks header and mbr", file(mib, 446, mbr, 0x4000, "SKUL\xba\xbe"), [2]string{"luks", "MBR"}},
		{"tar and boot signature", append(file(512, 0, "x", 257, "ustar", 510, "\x55\xaa"), make([]byte, 1024)...), [2]string{"tar", "boot sector"}},
		{"zip behind a disk with partitions", append(file(mib, 446, mbr), zipOf("")...), [2]string{"zip", "MBR"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, declared := range []formats.Name{"", formats.Raw, formats.QCOW2, formats.VHD} {
				rep, err := detectBytes(t, New([]formats.Format{raw.Format{}}), c.bytes, declared)
				if errcode.Of(err) != errcode.FormatAmbiguous || rep.DiskFormat != "" {
					t.Fatalf("declared %q: got %q, %v; want %s", declared, rep.DiskFormat, err, errcode.FormatAmbiguous)
				}
				e, _ := errcode.As(err)
				for _, name := range c.both {
					if !strings.Contains(e.Evidence.Value, name) {
						t.Errorf("evidence %q does not name %s", e.Evidence.Value, name)
					}
				}
			}
		})
	}
}

// TestISO accepts what burns and boots: with or without a partition table.
func TestISO(t *testing.T) {
	for name, p := range map[string][]byte{
		"plain":                     file(mib, 32768, pvd),
		"behind a boot record":      file(mib, 32768, "\x00BOOT2\x01", 32768+2048, pvd),
		"udf":                       file(mib, 32768, "\x00BEA01\x01", 32768+2048, "\x00NSR03\x01", 32768+4096, "\x00TEA01\x01"),
		"isohybrid with mbr":        file(mib, 446, mbr, 32768, pvd),
		"isohybrid with gpt":        file(mib, 446, mbr, 512, "EFI PART", 32768, pvd),
		"isohybrid with backup gpt": file(mib, 446, mbr, 512, "EFI PART", 32768, pvd, -512, "EFI PART"),
	} {
		t.Run(name, func(t *testing.T) {
			d := New([]formats.Format{raw.Format{}})
			for _, declared := range []formats.Name{"", formats.ISO} {
				rep, err := detectBytes(t, d, p, declared)
				if err != nil || rep.DiskFormat != formats.ISO || rep.VirtualSize != mib {
					t.Errorf("declared %q: got %q of %d bytes, %v", declared, rep.DiskFormat, rep.VirtualSize, err)
				}
			}
			if _, err := detectBytes(t, d, p, formats.Raw); errcode.Of(err) != errcode.FormatMismatch {
				t.Errorf("declared raw: got %v, want %s", err, errcode.FormatMismatch)
			}
		})
	}
}
