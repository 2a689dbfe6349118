package filesystem

import (
	"encoding/binary"
	"fmt"
)

func probeNTFS(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 512)
	if err != nil || p == nil {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	if string(p[3:11]) == "-FVE-FS-" {
		return Volume{Kind: BitLocker, Unlistable: "it is encrypted"}, true, nil
	}
	sector := uint64(le.Uint16(p[11:]))
	if string(p[3:11]) != "NTFS    " || !pow2(sector, 256, 4096) {
		return Volume{}, false, nil
	}
	out := Volume{Kind: NTFS, Unlistable: notRead(NTFS)}
	if id := le.Uint64(p[72:]); id != 0 {
		out.UUID = fmt.Sprintf("%016X", id)
	}
	out.Size = product(le.Uint64(p[40:]), sector)
	// Above 128, the byte is the negative of a power of two.
	per := uint64(p[13])
	if per > 128 {
		per = 1 << min(256-per, 16)
	}
	if !pow2(per, 1, 1<<16) {
		return out, true, nil
	}
	cluster := per * sector
	out.BlockSize = int64(cluster)
	record := int64(1024)
	if n := int8(p[64]); n > 0 {
		record = product(uint64(n), cluster)
	} else if n < 0 && n >= -16 {
		record = 1 << -n
	}
	if record >= 512 && record <= 64<<10 && int64(cluster) <= 2<<20 {
		out.Label, err = v.ntfsLabel(product(le.Uint64(p[48:]), cluster), record)
	}
	return out, true, err
}

// ntfsLabel reads the label from the attribute $VOLUME_NAME (0x60) of the fourth file
// record, $Volume, of the master file table.
func (v *view) ntfsLabel(mft, record int64) (string, error) {
	if mft < 0 || mft > v.size {
		return "", nil
	}
	p, err := v.bytes(mft+3*record, record)
	if err != nil || p == nil || string(p[:4]) != "FILE" {
		return "", err
	}
	le := binary.LittleEndian
	for at := int(le.Uint16(p[20:])); at+24 <= len(p); {
		kind, n := le.Uint32(p[at:]), int(le.Uint32(p[at+4:]))
		if kind == 0xffffffff || n < 24 || n > len(p)-at {
			return "", nil
		}
		if kind == 0x60 && p[at+8] == 0 {
			length, begin := int(le.Uint32(p[at+16:])), int(le.Uint16(p[at+20:]))
			if begin > n || length > n-begin {
				return "", nil
			}
			return text16(p[at+begin : at+begin+length]), nil
		}
		at += n
	}
	return "", nil
}

func probeExFAT(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 512)
	if err != nil || p == nil || string(p[3:11]) != "EXFAT   " {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	sector, per := p[108], p[109]
	if sector < 9 || sector > 12 || per > 25-sector {
		return Volume{}, false, nil
	}
	out := Volume{Kind: ExFAT, UUID: dosID(le.Uint32(p[100:])), BlockSize: 1 << (sector + per), Unlistable: notRead(ExFAT)}
	out.Size = product(le.Uint64(p[72:]), 1<<sector)
	root := int64(le.Uint32(p[96:])) - 2
	heap := int64(le.Uint32(p[88:])) << sector
	if root < 0 {
		return out, true, nil
	}
	// 2^32 clusters of 2^25 bytes still fit.
	dir, err := v.bytes(heap+root*out.BlockSize, min(out.BlockSize, 4096))
	if err != nil {
		return out, false, err
	}
	for at := 0; at+32 <= len(dir); at += 32 {
		if n := int(dir[at+1]); dir[at] == 0x83 && n <= 11 { // Volume Label entry, section 7.3
			out.Label = text16(dir[at+2 : at+2+2*n])
		}
	}
	return out, true, nil
}

// probeFAT believes a BIOS parameter block whose fields agree; the name in it is only
// a hint, as the specification says.
func probeFAT(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 512)
	if err != nil || p == nil {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	sector, per, reserved, fats := uint64(le.Uint16(p[11:])), uint64(p[13]), uint64(le.Uint16(p[14:])), uint64(p[16])
	jump := p[0] == 0xeb || p[0] == 0xe9
	media := p[21] == 0xf0 || p[21] >= 0xf8
	if !jump || !media || !pow2(sector, 512, 4096) || !pow2(per, 1, 128) || reserved == 0 || fats == 0 || fats > 2 {
		return Volume{}, false, nil
	}
	total, fat := uint64(le.Uint16(p[19:])), uint64(le.Uint16(p[22:]))
	if total == 0 {
		total = uint64(le.Uint32(p[32:]))
	}
	ebpb := 36
	if fat == 0 {
		fat, ebpb = uint64(le.Uint32(p[36:])), 64
	}
	rootSectors := (uint64(le.Uint16(p[17:]))*32 + sector - 1) / sector
	meta := reserved + fats*fat + rootSectors
	if fat == 0 || total <= meta {
		return Volume{}, false, nil
	}
	out := Volume{BlockSize: int64(per * sector), Size: product(total, sector)}
	switch clusters := (total - meta) / per; {
	case ebpb == 64:
		out.Kind = FAT32
	case clusters < 4085:
		out.Kind = FAT12
	default:
		out.Kind = FAT16
	}
	if sig := p[ebpb+2]; sig == 0x28 || sig == 0x29 {
		out.UUID = dosID(le.Uint32(p[ebpb+3:]))
		if sig == 0x29 {
			out.Label = text(p[ebpb+7 : ebpb+18])
		}
	}
	if out.Label == "NO NAME" {
		out.Label = ""
	}
	return out, true, nil
}
