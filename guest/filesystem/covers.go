package filesystem

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// What covers a volume: encryption, volume managers, RAID.

func probeLUKS(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 512)
	if err != nil || p == nil || string(p[:6]) != "LUKS\xba\xbe" {
		return Volume{}, false, err
	}
	out := Volume{Kind: LUKS1, UUID: text(p[168:208]), Unlistable: "it is encrypted"}
	switch binary.BigEndian.Uint16(p[6:]) {
	case 1:
	case 2:
		out.Kind, out.Label = LUKS2, text(p[24:72])
	default:
		return Volume{}, false, nil
	}
	return out, true, nil
}

// probeLVM finds the label of a physical volume, which is in one of the first four
// sectors, and its header, which the label points to.
func probeLVM(v *view) (Volume, bool, error) {
	for sector := range int64(4) {
		p, err := v.bytes(sector*512, 512)
		if err != nil {
			return Volume{}, false, err
		}
		if p == nil || string(p[:8]) != "LABELONE" || string(p[24:32]) != "LVM2 001" {
			continue
		}
		out := Volume{Kind: LVM2, Unlistable: notRead("LVM2")}
		if at := binary.LittleEndian.Uint32(p[20:]); at <= 512-40 {
			out.UUID = lvmID(p[at : at+32])
			out.Size = product(binary.LittleEndian.Uint64(p[at+32:]), 1)
		}
		return out, true, nil
	}
	return Volume{}, false, nil
}

// lvmID writes the 32 characters of an id in LVM's groups.
func lvmID(p []byte) string {
	var parts []string
	for _, n := range [...]int{6, 4, 4, 4, 4, 4, 6} {
		parts = append(parts, clean(string(p[:n])))
		p = p[n:]
	}
	return strings.Join(parts, "-")
}

// probeMD finds a superblock of version 1.1 or 1.2. Those at the end of the volume
// (0.90, 1.0) leave its begin as the file system has it.
func probeMD(v *view) (Volume, bool, error) {
	for _, off := range [...]int64{0, 4096} {
		p, err := v.bytes(off, 256)
		if err != nil {
			return Volume{}, false, err
		}
		if p != nil && binary.LittleEndian.Uint32(p) == 0xa92b4efc && binary.LittleEndian.Uint32(p[4:]) == 1 {
			return Volume{Kind: MD, UUID: uuid(p[16:]), Label: text(p[32:64]), Unlistable: notRead("a RAID member")}, true, nil
		}
	}
	return Volume{}, false, nil
}

// The magic numbers of bcache, which early bcachefs has too, and of bcachefs.
const (
	bcacheMagic   = "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
	bcachefsMagic = "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"
)

// probeBcache finds the superblock of bcache or bcachefs, both in the ninth sector. That
// of bcache says so in its second word, where bcachefs has the rest of a checksum.
func probeBcache(v *view) (Volume, bool, error) {
	p, err := v.bytes(4096, 128)
	if err != nil || p == nil {
		return Volume{}, false, err
	}
	magic, le := string(p[24:40]), binary.LittleEndian
	switch {
	case magic == bcacheMagic && le.Uint64(p[8:]) == 8:
		return Volume{Kind: Bcache, UUID: uuid(p[40:]), Unlistable: notRead(Bcache)}, true, nil
	case magic == bcacheMagic || magic == bcachefsMagic:
		// user_uuid, label and block_size in sectors, of struct bch_sb.
		return Volume{Kind: Bcachefs, UUID: uuid(p[56:]), Label: text(p[72:104]), BlockSize: int64(le.Uint16(p[120:])) * 512, Unlistable: notRead(Bcachefs)}, true, nil
	}
	return Volume{}, false, nil
}

// probeZFS looks for an uberblock in the first two of the four labels, each of
// 256 KiB; the ring of uberblocks is a label's second half.
func probeZFS(v *view) (Volume, bool, error) {
	const label, ring, magic = 256 << 10, 128 << 10, 0x00bab10c
	for n := range int64(2) {
		p, err := v.bytes(n*label+ring, ring)
		if err != nil {
			return Volume{}, false, err
		}
		for i := 0; i+8 <= len(p); i += 1024 {
			if binary.LittleEndian.Uint64(p[i:]) == magic || binary.BigEndian.Uint64(p[i:]) == magic {
				return Volume{Kind: ZFS, Unlistable: notRead(ZFS)}, true, nil
			}
		}
	}
	return Volume{}, false, nil
}

// A Platform is one of the machines that a boot catalog serves.
type Platform string

// The platforms (El Torito 1.0, figure 2; UEFI 2.10, section 13.3.2.1).
const (
	PlatformBIOS Platform = "bios"
	PlatformUEFI Platform = "uefi"
)

func probeISO(v *view) (Volume, bool, error) {
	const first, sector = 32 << 10, 2048
	var out Volume
	// Volume descriptors end with one of type 255; an honest image has five or so.
	for i := range int64(32) {
		p, err := v.bytes(first+i*sector, sector)
		if err != nil || p == nil || string(p[1:6]) != "CD001" {
			return out, out.Kind != "", err
		}
		switch {
		case p[0] == 255:
			return out, out.Kind != "", nil
		case p[0] == 1 && out.Kind == "":
			le := binary.LittleEndian
			out.Kind, out.Label, out.UUID = ISO9660, text(p[40:72]), isoDate(p)
			out.BlockSize = int64(le.Uint16(p[128:]))
			out.Size = product(uint64(le.Uint32(p[80:])), uint64(out.BlockSize))
		case p[0] == 0 && strings.HasPrefix(string(p[7:39]), "EL TORITO SPECIFICATION"):
			if out.ElTorito, err = v.catalog(int64(binary.LittleEndian.Uint32(p[71:])) * sector); err != nil {
				return out, false, err
			}
		}
	}
	return out, out.Kind != "", nil
}

// isoDate writes the date of modification, or else of creation, as blkid does: it
// stands for a UUID.
func isoDate(p []byte) string {
	for _, at := range [...]int{830, 813} {
		d := p[at : at+16]
		if strings.Trim(string(d), "0\x00 ") == "" {
			continue
		}
		s := clean(string(d))
		if len(s) == 16 {
			return fmt.Sprintf("%s-%s-%s-%s-%s-%s-%s", s[:4], s[4:6], s[6:8], s[8:10], s[10:12], s[12:14], s[14:])
		}
	}
	return ""
}

// catalog reads the boot catalog: a validation entry, the initial entry, and sections
// with a header each (El Torito 1.0, section 2).
func (v *view) catalog(off int64) ([]Platform, error) {
	p, err := v.bytes(off, 2048)
	if err != nil || p == nil || p[0] != 1 || p[30] != 0x55 || p[31] != 0xaa {
		return nil, err
	}
	var bios, uefi bool
	note := func(id byte) {
		bios = bios || id == 0
		uefi = uefi || id == 0xef
	}
	if p[32] == 0x88 {
		note(p[1])
	}
	for at := 64; at+32 <= len(p) && (p[at] == 0x90 || p[at] == 0x91); {
		n := int(binary.LittleEndian.Uint16(p[at+2:]))
		if at+64 <= len(p) && n > 0 && p[at+32] == 0x88 {
			note(p[at+1])
		}
		if p[at] == 0x91 {
			break
		}
		at += 32 * (1 + n)
	}
	var out []Platform
	if bios {
		out = append(out, PlatformBIOS)
	}
	if uefi {
		out = append(out, PlatformUEFI)
	}
	return out, nil
}
