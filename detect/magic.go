package detect

import (
	"bytes"
	"strings"

	"ingest/formats"
)

// A kind says what a claim stands for.
type kind uint8

const (
	diskKind   kind = iota // a disk format
	layerKind              // a compressed file or an archive
	luksKind               // an encrypted volume
	volumeKind             // a volume manager's own structure
	isoKind                // an ISO 9660 or UDF image
)

// A claim is one format that the file may be of.
type claim struct {
	name      formats.Name
	what      string // for people, with article
	kind      kind
	subformat string
	container string // Glance's container_format, "" means bare
	offset    int64
	value     string
	remedy    string // "" means the code's own
	// plain is true if an honest file of this format never has a boot
	// signature at the end of its first sector.
	plain  bool
	reader formats.Format // nil if it is not read
}

// A magic recognises one format. find returns the host offset and the bytes as
// found.
type magic struct {
	claim
	find func(w window) (off int64, value string, ok bool)
}

// Remedies that are more precise than that of the code.
const (
	remedyQemu    = "Convert it with `qemu-img convert -O qcow2` and import the result."
	remedyDMG     = "Convert it on a Mac with `hdiutil convert -format UDTO`, and import the result."
	remedyEWF     = "Export a raw image with `ewfexport`, and import that."
	remedyUnpack  = "Unpack the archive and import the disk image inside it."
	remedyOVA     = "Unpack it with `tar -xf`, and import each disk (.vmdk) inside it."
	remedyDocker  = "A container image is no disk: build a disk image from it first."
	remedyVolume  = "Export the virtual machine's disk from the datastore, and import that."
	remedyLUKS    = "Decrypt the disk before importing it (`cryptsetup reencrypt --decrypt`)."
	remedyPloop   = "Export the disk as one file with the product's own tool, or convert it with `qemu-img convert -O qcow2`."
	remedyAndroid = "Convert it with `simg2img` and import the result."
	remedyWIM     = "Apply it to a disk with `wimapply` or DISM, and import that disk."
	remedyBundle  = "Unbundle the parts with `ec2-unbundle`, and import the file system image that results as ami."
	remedyOVFOnly = "Import the disk files that the descriptor names, or the whole machine's OVA unpacked."
)

// head returns a finder of fixed bytes in the head.
func head(off int, magics ...string) func(window) (int64, string, bool) {
	return func(w window) (int64, string, bool) {
		for _, m := range magics {
			if w.at(off, m) {
				return int64(off), m, true
			}
		}
		return 0, "", false
	}
}

// tail returns a finder of fixed bytes that stand back bytes before the end.
func tail(magic string, backs ...int) func(window) (int64, string, bool) {
	return func(w window) (int64, string, bool) {
		for _, back := range backs {
			if w.fromEnd(back, magic) {
				return w.size - int64(back), magic, true
			}
		}
		return 0, "", false
	}
}

// magics returns the detector's own table. It repeats the plain magics of the
// formats that are read, so that a reader that is stricter in Match than other
// programs (a version that it does not know) still refuses the file in Open
// instead of letting it pass as raw.
func magics() []magic {
	disk := func(name formats.Name, what, remedy string, find func(window) (int64, string, bool)) magic {
		return magic{claim{name: name, what: what, kind: diskKind, remedy: remedy, plain: true}, find}
	}
	free := func(name formats.Name, what, remedy string, find func(window) (int64, string, bool)) magic {
		return magic{claim{name: name, what: what, kind: diskKind, remedy: remedy}, find}
	}
	ovf := disk("ovf", "an OVF descriptor without its disks", remedyOVFOnly, findOVF)
	ovf.container = "ovf"
	return append([]magic{
		disk(formats.QCOW1, "a qcow version 1 image", remedyQemu, findQCOW(true)),
		disk(formats.QCOW2, "a qcow2 image", remedyQemu, findQCOW(false)),
		disk(formats.VMDK, "a VMDK", remedyQemu, head(0, "KDMV", "COWD", "\xbe\xba\xfe\xca\x00\x00\x00\x00")),
		disk(formats.VMDK, "a VMDK descriptor", remedyQemu, findDescriptor),
		disk(formats.VHD, "a VHD", remedyQemu, head(0, "conectix")),
		disk(formats.VHD, "a VHD", remedyQemu, tail("conectix", 512, 511)),
		disk(formats.VHDX, "a VHDX", remedyQemu, head(0, "vhdxfile")),
		disk(formats.VDI, "a VirtualBox VDI", remedyQemu, head(64, "\x7f\x10\xda\xbe")),
		disk(formats.QED, "a QED image", remedyQemu, head(0, "QED\x00")),
		free(formats.Parallels, "a Parallels image", remedyQemu, head(0, "WithoutFreeSpace", "WithouFreSpacExt")),
		disk(formats.Parallels, "a Parallels disk descriptor", remedyPloop, findText("<parallels_disk_image")),
		free(formats.DMG, "an Apple DMG", remedyDMG, tail("koly", 512)),
		free(formats.DMG, "an encrypted Apple DMG", remedyDMG, head(0, "encrcdsa")),
		free(formats.DMG, "an Apple sparse image", remedyDMG, head(0, "sprs\x00")),
		free("cloop", "a cloop image", remedyQemu, findCloop),
		disk("bochs", "a Bochs image", remedyQemu, head(0, "Bochs Virtual HD Image")),
		free("asif", "an Apple sparse image (ASIF)", remedyDMG, head(0, "shdw")),
		free("ewf", "a forensic image (E01)", remedyEWF, head(0, "EVF\x09\x0d\x0a\xff\x00", "EVF2\x0d\x0a\x81\x00", "LVF\x09\x0d\x0a\xff\x00")),
		free("aff", "a forensic image (AFF)", remedyEWF, head(0, "AFF10\x0d\x0a\x00")),
		free("android-sparse", "an Android sparse image", remedyAndroid, head(0, "\x3a\xff\x26\xed\x01\x00")),
		free("wim", "a Windows image (WIM)", remedyWIM, head(0, "MSWIM\x00\x00\x00")),
		disk("ami-bundle", "the manifest of a bundled AMI, without its parts", remedyBundle, findText("<manifest>", "<bundler>")),
		ovf,
		{claim{name: formats.LUKS, what: "a LUKS volume", kind: luksKind, remedy: remedyLUKS}, findLUKS},
		{claim{name: "vmfs", what: "a VMFS datastore", kind: volumeKind, remedy: remedyVolume}, findVMFS},
		{claim{name: formats.ISO, what: "an ISO 9660 image", kind: isoKind}, findISO},
	}, layers()...)
}

// findQCOW finds the magic that both qcow formats share; the version tells them
// apart (qcow2.txt, header bytes 4 to 7).
func findQCOW(one bool) func(window) (int64, string, bool) {
	return func(w window) (int64, string, bool) {
		if !w.at(0, "QFI\xfb") || (w.be32(4) == 1) != one {
			return 0, "", false
		}
		return 0, string(w.head[:min(8, len(w.head))]), true
	}
}

// findDescriptor finds the text of a VMDK: by its usual first line, or as qemu
// does, by a version of 1 to 3 behind nothing but comments and blank lines.
func findDescriptor(w window) (int64, string, bool) {
	t := w.text(textProbe)
	const usual = "# disk descriptorfile"
	if strings.HasPrefix(t, usual) {
		return 0, string(w.head[:len(usual)]), true
	}
	for off := 0; off < len(t); {
		line, _, _ := strings.Cut(t[off:], "\n")
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#':
		case text == "version=1" || text == "version=2" || text == "version=3":
			return 0, text, true
		default:
			return 0, "", false
		}
		off += len(line) + 1
	}
	return 0, "", false
}

// findCloop finds the shell script that a cloop image begins with: versions
// differ in wording, but all name the module in the first 128 bytes.
func findCloop(w window) (int64, string, bool) {
	if t := w.text(128); strings.HasPrefix(t, "#!/bin/sh") && strings.Contains(t, "cloop") {
		return 0, "#!/bin/sh", true
	}
	return 0, "", false
}

// textProbe is how far into a text file its root element is looked for.
const textProbe = 2048

// findText finds an XML file by its root element, and others if it is a common
// one.
func findText(root string, others ...string) func(window) (int64, string, bool) {
	return func(w window) (int64, string, bool) {
		t := w.text(textProbe)
		ok := startsXML(t) && strings.Contains(t, root)
		for _, o := range others {
			ok = ok && strings.Contains(t, o)
		}
		if !ok {
			return 0, "", false
		}
		return 0, root, true
	}
}

func startsXML(t string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(t, "\xef\xbb\xbf"), " \t\r\n"), "<")
}

func findOVF(w window) (int64, string, bool) {
	t := w.text(textProbe)
	if !startsXML(t) || !strings.Contains(t, "schemas.dmtf.org/ovf/envelope") {
		return 0, "", false
	}
	return 0, "<Envelope", true
}

// findLUKS finds the primary header, or the secondary one of LUKS2, which
// stands at one of a few powers of two (LUKS2 On-Disk Format, 2.2).
func findLUKS(w window) (int64, string, bool) {
	if w.at(0, "LUKS\xba\xbe") {
		return 0, string(w.head[:min(8, len(w.head))]), true
	}
	for off := 0x4000; off+6 <= len(w.head); off *= 2 {
		if w.at(off, "SKUL\xba\xbe") {
			return int64(off), "SKUL\xba\xbe", true
		}
	}
	return 0, "", false
}

func findVMFS(w window) (int64, string, bool) {
	const lvm = "\x0d\xd0\x01\xc0"
	return volumeOff, lvm, bytes.Equal(w.volume, []byte(lvm))
}

// The volume recognition sequence: descriptors of 2048 bytes from byte 32768 on,
// each with an identifier at its byte 1 (ECMA-119 6.7.1, ECMA-167 2/9.1.2).
const (
	isoStart  = 32 << 10
	isoSector = 2 << 10
)

// findISO walks the sequence. It must begin at its place with an identifier that
// is known, and one in it must be that of ISO 9660 or UDF.
func findISO(w window) (int64, string, bool) {
	for off := isoStart + 1; off+5 <= len(w.head); off += isoSector {
		switch id := string(w.head[off : off+5]); id {
		case "CD001", "NSR02", "NSR03":
			return int64(off), id, true
		case "BEA01", "BOOT2", "TEA01", "CDW02":
		default:
			return 0, "", false
		}
	}
	return 0, "", false
}
