package detect_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A piece is what one format is recognised by. Two that need no byte in common
// can stand in one file.
type piece struct {
	name   string
	format formats.Name // "" of what is no format but a disk's content
	off    int          // from the end if negative
	bytes  string
}

const polyglotBytes = 2<<20 + 512

func (p piece) at() int {
	if p.off < 0 {
		return polyglotBytes + p.off
	}
	return p.off
}

func (p piece) overlaps(q piece) bool {
	return p.at() < q.at()+len(q.bytes) && q.at() < p.at()+len(p.bytes)
}

// The contents that may stand beside a format. The table has one entry.
const (
	table      = "\x80\x00\x02\x00\x83\xff\xff\xff\x00\x08\x00\x00\x00\x10\x00\x00"
	mbrPiece   = "MBR"
	gptPiece   = "GPT"
	backupGPT  = "backup GPT"
	endOfZip   = "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	descriptor = "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"/etc/passwd\" 0\n"
)

func pieces() []piece {
	return []piece{
		{"qcow2", formats.QCOW2, 0, "QFI\xfb\x00\x00\x00\x03"},
		{"qcow1", formats.QCOW1, 0, "QFI\xfb\x00\x00\x00\x01"},
		{"sparse VMDK", formats.VMDK, 0, "KDMV\x01\x00\x00\x00"},
		{"COWD", formats.VMDK, 0, "COWD\x01\x00\x00\x00"},
		{"seSparse", formats.VMDK, 0, "\xbe\xba\xfe\xca\x00\x00\x00\x00"},
		{"text VMDK", formats.VMDK, 0, descriptor},
		{"dynamic VHD", formats.VHD, 0, "conectix"},
		{"VHDX", formats.VHDX, 0, "vhdxfile"},
		{"VDI", formats.VDI, 64, "\x7f\x10\xda\xbe"},
		{"QED", formats.QED, 0, "QED\x00"},
		{"Parallels", formats.Parallels, 0, "WithouFreSpacExt"},
		{"Parallels descriptor", formats.Parallels, 0, "<?xml version='1.0'?>\n<Parallels_disk_image Version=\"1.0\">"},
		{"cloop", "cloop", 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0"},
		{"Bochs", "bochs", 0, "Bochs Virtual HD Image\x00"},
		{"ASIF", "asif", 0, "shdw"},
		{"E01", "ewf", 0, "EVF\x09\x0d\x0a\xff\x00"},
		{"OVF", "ovf", 0, "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\">"},
		{"LUKS", formats.LUKS, 0, "LUKS\xba\xbe\x00\x01"},
		{"second LUKS2 header", formats.LUKS, 0x4000, "SKUL\xba\xbe\x00\x02"},
		{"gzip", "gzip", 0, "\x1f\x8b\x08"},
		{"xz", "xz", 0, "\xfd7zXZ\x00"},
		{"zstd", "zstd", 0, "\x28\xb5\x2f\xfd"},
		{"bzip2", "bzip2", 0, "BZh9\x31\x41\x59\x26\x53\x59"},
		{"lz4", "lz4", 0, "\x04\x22\x4d\x18"},
		{"7z", "7z", 0, "7z\xbc\xaf\x27\x1c"},
		{"zip", "zip", 0, "PK\x03\x04"},
		{"tar", "tar", 257, "ustar"},
		{"ISO", formats.ISO, 32768, "\x01CD001\x01"},
		{"VMFS", "vmfs", 1 << 20, "\x0d\xd0\x01\xc0"},
		{"fixed VHD", formats.VHD, -512, "conectix"},
		{"fixed VHD of 511 bytes", formats.VHD, -511, "conectix"},
		{"DMG", formats.DMG, -512, "koly"},
		{"zip behind", "zip", -22, endOfZip},
		{mbrPiece, "", 446, table + strings.Repeat("\x00", 48) + "\x55\xaa"},
		{gptPiece, "", 512, "EFI PART"},
		{backupGPT, "", -512, "EFI PART"},
	}
}

// named returns the piece of a name.
func named(name string) piece {
	all := pieces()
	return all[slices.IndexFunc(all, func(p piece) bool { return p.name == name })]
}

// together returns whether a file with both pieces is ambiguous.
func together(a, b piece) bool {
	switch {
	case a.format == b.format:
		return false // one format twice, or contents alone
	case a.format != "" && b.format != "":
		return true
	case a.format == "":
		a, b = b, a
	}
	// b is what a disk begins or ends with. A backup GPT ends every disk with
	// a GPT, and so the file of many a container, whose last block is the
	// disk's.
	if b.name == backupGPT {
		return false
	}
	switch a.name {
	case "ISO": // an isohybrid
		return false
	case "fixed VHD", "fixed VHD of 511 bytes", "DMG", "VMFS": // the first sectors are the guest's
		return false
	}
	return true
}

func polyglot(all ...piece) grown {
	b := make([]byte, polyglotBytes)
	for _, p := range all {
		copy(b[p.at():], p.bytes)
	}
	return grown{b, polyglotBytes}
}

// TestPolyglotMatrix makes each pair of formats that can stand in one file.
func TestPolyglotMatrix(t *testing.T) {
	pairs, refused := 0, 0
	all := pieces()
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.overlaps(b) {
				continue
			}
			pairs++
			g := polyglot(a, b)
			want := together(a, b)
			if want {
				refused++
			}
			for _, declared := range []formats.Name{"", formats.Raw, a.format, b.format} {
				rep, err := whole(t, g, declared)
				if got := errcode.Of(err) == errcode.FormatAmbiguous; got != want {
					t.Errorf("%s and %s, declared %q: %q, %v; want ambiguous: %v", a.name, b.name, declared, rep.DiskFormat, err, want)
				}
				if want {
					requireRefusal(t, rep, errcode.FormatAmbiguous)
				}
			}
			agree(t, g, a.format)
		}
	}
	t.Logf("%d pairs, %d of them ambiguous", pairs, refused)
	if refused < 150 {
		t.Errorf("only %d pairs are refused", refused)
	}
}

// TestAllowedTogether holds the pairs that are one disk and nothing else.
func TestAllowedTogether(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		format formats.Name
	}{
		"isohybrid":                {[]string{"ISO", mbrPiece}, formats.ISO},
		"isohybrid with GPT":       {[]string{"ISO", mbrPiece, gptPiece, backupGPT}, formats.ISO},
		"disk with MBR":            {[]string{mbrPiece}, formats.Raw},
		"disk with GPT":            {[]string{mbrPiece, gptPiece, backupGPT}, formats.Raw},
		"disk with backup of GPT":  {[]string{backupGPT}, formats.Raw},
		"disk without any of that": {nil, formats.Raw},
	} {
		var all []piece
		for _, p := range c.pieces {
			all = append(all, named(p))
		}
		for _, declared := range []formats.Name{"", c.format} {
			rep, err := whole(t, polyglot(all...), declared)
			if err != nil || rep.DiskFormat != c.format {
				t.Errorf("%s, declared %q: %q, %v", name, declared, rep.DiskFormat, err)
			}
			agree(t, polyglot(all...), declared)
		}
	}
}

// TestThreeInOne adds a third format to a pair that is allowed.
func TestThreeInOne(t *testing.T) {
	iso, mbr := piece{"", formats.ISO, 32768, "\x01CD001\x01"}, piece{"", "", 446, named(mbrPiece).bytes}
	for _, p := range pieces() {
		if p.format == "" || p.format == formats.ISO || p.overlaps(mbr) || p.overlaps(iso) {
			continue
		}
		g := polyglot(iso, mbr, p)
		if rep, err := whole(t, g, formats.ISO); errcode.Of(err) != errcode.FormatAmbiguous {
			t.Errorf("isohybrid and %s: %q, %v", p.name, rep.DiskFormat, err)
		}
		agree(t, g, formats.ISO)
	}
}

// TestHeadWaitsForTheTail leaves to the end what only the end tells.
func TestHeadWaitsForTheTail(t *testing.T) {
	tail := piece{"", formats.VHD, -512, "conectix"}
	for _, c := range []struct {
		declared formats.Name
		want     errcode.Code
	}{{"", ""}, {formats.Raw, ""}, {formats.VHD, ""}, {"vpc", ""}, {formats.DMG, ""}, {detect.AMI, ""}, {formats.QCOW2, errcode.FormatUnknown}, {formats.ISO, errcode.FormatUnknown}} {
		g := polyglot(tail)
		rep, err := judge(t, g.head(detect.HeadBytes), g.size, c.declared)
		if errcode.Of(err) != c.want {
			t.Errorf("declared %q: got %v, want %q", c.declared, err, c.want)
		}
		if last := rep.Checks[len(rep.Checks)-1]; err == nil && (last.Result != detect.Skip || last.Name != "whole file") {
			t.Errorf("declared %q: the report ends with %+v", c.declared, last)
		}
		if _, err := whole(t, g, c.declared); err == nil {
			t.Errorf("declared %q: accepted", c.declared)
		}
	}
}

// TestHeadOfAnImageOfSeveralFiles judges by magic alone: with its members, the
// header may be sound.
func TestHeadOfAnImageOfSeveralFiles(t *testing.T) {
	d := detect.New(readers.All())
	for _, c := range []struct {
		name     string
		g        grown
		declared formats.Name
		want     errcode.Code
	}{
		{"text VMDK", grown{[]byte(descriptor), 1 << 10}, formats.VMDK, ""},
		{"text VMDK with a boot sector", polyglot(named("text VMDK"), named(mbrPiece)), formats.VMDK, errcode.FormatAmbiguous},
		{"VHD declared VMDK", polyglot(named("dynamic VHD")), formats.VMDK, errcode.FormatMismatch},
		{"QED", polyglot(named("QED")), "", errcode.FormatNotAllowed},
	} {
		s := detect.Stream{Size: c.g.size, Declared: c.declared, Limits: formats.DefaultLimits(), Members: true}
		if _, err := d.Head(t.Context(), c.g.head(detect.HeadBytes), s); errcode.Of(err) != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestBackupGPTAtTheEndOfAContainer accepts images whose files end as their disks
// do.
func TestBackupGPTAtTheEndOfAContainer(t *testing.T) {
	const size = 4 << 20
	src := filepath.Join(t.TempDir(), "disk.raw")
	b := make([]byte, size)
	copy(b[446:], named(mbrPiece).bytes)
	copy(b[512:], "EFI PART")
	copy(b[size-512:], "EFI PART")
	if err := os.WriteFile(src, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, format := range []string{"qcow2", "vmdk", "vdi", "vhdx", "parallels"} {
		b, err := os.ReadFile(imgtest.Convert(t, src, "raw", format))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(b[len(b)-512:]), "EFI PART") {
			ends++
		}
		g := grown{b, int64(len(b))}
		if rep, err := whole(t, g, ""); err != nil {
			t.Errorf("%s: %q, %v", format, rep.DiskFormat, err)
		}
		agree(t, g, "")
	}
	if ends == 0 {
		t.Error("no file ends with the backup GPT")
	}
}

// TestHeadOfALayer leaves a layer to who takes it off, unless the file is something
// else besides.
func TestHeadOfALayer(t *testing.T) {
	d := detect.New(readers.All())
	for _, c := range []struct {
		name   string
		g      grown
		layers []formats.Name
		want   errcode.Code
	}{
		{"none is taken off", polyglot(named("gzip")), nil, errcode.FormatNotAllowed},
		{"it is taken off", polyglot(named("gzip")), []formats.Name{"xz", "gzip"}, ""},
		{"another is", polyglot(named("gzip")), []formats.Name{"xz"}, errcode.FormatNotAllowed},
		{"it is an ISO too", polyglot(named("gzip"), named("ISO")), []formats.Name{"gzip"}, errcode.FormatAmbiguous},
	} {
		for _, declared := range []formats.Name{"", formats.QCOW2} {
			s := detect.Stream{Size: c.g.size, Declared: declared, Limits: formats.DefaultLimits(), Layers: c.layers}
			if _, err := d.Head(t.Context(), c.g.head(detect.HeadBytes), s); errcode.Of(err) != c.want {
				t.Errorf("%s, declared %q: got %v, want %q", c.name, declared, err, c.want)
			}
		}
	}
}
