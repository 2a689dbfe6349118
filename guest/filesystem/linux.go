package filesystem

import (
	"encoding/binary"
	"fmt"
)

// Feature flags of ext2/3/4 (kernel documentation, "The Super Block").
const (
	extHasJournal   = 0x4  // compatible
	extJournalDev   = 0x8  // incompatible
	ext64Bit        = 0x80 // incompatible
	extIncompat4    = 0x40 | ext64Bit | 0x100 | 0x200 | 0x400 | 0x8000 | 0x10000
	extROCompat4    = 0x8 | 0x10 | 0x20 | 0x40 | 0x200 | extMetadataCsum
	extMetadataCsum = 0x400 // read-only compatible
)

func probeExt(v *view) (Volume, bool, error) {
	p, err := v.bytes(1024, 1024)
	if err != nil || p == nil {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	shift := le.Uint32(p[24:])
	if le.Uint16(p[56:]) != 0xef53 || shift > 6 {
		return Volume{}, false, nil
	}
	compat, incompat, ro := le.Uint32(p[92:]), le.Uint32(p[96:]), le.Uint32(p[100:])
	blocks := uint64(le.Uint32(p[4:]))
	if incompat&ext64Bit != 0 {
		blocks |= uint64(le.Uint32(p[336:])) << 32
	}
	out := Volume{UUID: uuid(p[104:]), Label: text(p[120:136]), BlockSize: 1024 << shift}
	out.Size = product(blocks, uint64(out.BlockSize))
	switch {
	case incompat&extIncompat4 != 0 || ro&extROCompat4 != 0:
		out.Kind = Ext4
	case compat&extHasJournal != 0 || incompat&extJournalDev != 0:
		out.Kind = Ext3
	default:
		out.Kind = Ext2
	}
	if ro&extMetadataCsum == 0 {
		out.Unlistable = "ext2, ext3 and ext4 without metadata checksums are not read"
	}
	return out, true, nil
}

func probeXFS(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 512)
	if err != nil || p == nil || string(p[:4]) != "XFSB" {
		return Volume{}, false, err
	}
	be := binary.BigEndian
	block := uint64(be.Uint32(p[4:]))
	if !pow2(block, 512, 65536) {
		return Volume{}, false, nil
	}
	return Volume{
		Kind: XFS, UUID: uuid(p[32:]), Label: text(p[108:120]), BlockSize: int64(block),
		Size: product(be.Uint64(p[8:]), block), Unlistable: notRead(XFS),
	}, true, nil
}

// btrfs has its first superblock at 64 KiB. Its size is that of this device: the
// file system may lie on several.
func probeBtrfs(v *view) (Volume, bool, error) {
	p, err := v.bytes(64<<10, 1024)
	if err != nil || p == nil || string(p[64:72]) != "_BHRfS_M" {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	return Volume{
		Kind: Btrfs, UUID: uuid(p[32:]), Label: text(p[299:555]), BlockSize: int64(le.Uint32(p[144:])),
		Size: product(le.Uint64(p[201+8:]), 1), Unlistable: notRead(Btrfs),
	}, true, nil
}

func probeSquashfs(v *view) (Volume, bool, error) {
	p, err := v.bytes(0, 96)
	if err != nil || p == nil || string(p[:4]) != "hsqs" {
		return Volume{}, false, err
	}
	le := binary.LittleEndian
	block := uint64(le.Uint32(p[12:]))
	if le.Uint16(p[28:]) != 4 || !pow2(block, 4096, 1<<20) {
		return Volume{}, false, nil
	}
	return Volume{Kind: Squashfs, BlockSize: int64(block), Size: product(le.Uint64(p[40:]), 1)}, true, nil
}

// probeSwap looks at the end of the first page, whose size is that of the machine
// which made it.
func probeSwap(v *view) (Volume, bool, error) {
	for _, page := range [...]int64{4096, 8192, 16384, 65536} {
		p, err := v.bytes(page-10, 10)
		if err != nil {
			return Volume{}, false, err
		}
		if string(p) != "SWAPSPACE2" {
			continue
		}
		h, err := v.bytes(1024, 64)
		if err != nil || h == nil {
			return Volume{}, false, err
		}
		le := binary.LittleEndian
		return Volume{
			Kind: Swap, UUID: uuid(h[12:]), Label: text(h[28:44]), BlockSize: page,
			Size: product(uint64(le.Uint32(h[4:]))+1, uint64(page)), Unlistable: "it holds no files",
		}, true, nil
	}
	return Volume{}, false, nil
}

// notRead says that a file system is only recognised.
func notRead(kind string) string { return fmt.Sprintf("%s is recognised, and not read", kind) }
