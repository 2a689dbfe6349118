package main

import "encoding/binary"

// badVDI: offsets are those of VirtualBox's header (VDICore.h), as qemu-img
// writes it: the block map at 512.
func badVDI() []badImage {
	of := "qemu-dynamic.vdi"
	return []badImage{
		{"vdi", "version-2", of, "IMG_VDI_HEADER", "version 2.0", le32(68, 0x00020000)},
		{"vdi", "differencing", of, "IMG_VDI_DIFFERENCING", "image type 4: only what changed against a parent", le32(76, 4)},
		{"vdi", "link-uuid", of, "IMG_VDI_DIFFERENCING", "it is linked to another image", le64(424, 1)},
		{"vdi", "block-size-odd", of, "IMG_VDI_HEADER", "blocks of 3 MiB", le32(376, 3<<20)},
		{"vdi", "blocks-4Gi", of, "IMG_VDI_HEADER", "more blocks than the map can hold", le32(384, 1<<32-1)},
		{"vdi", "map-past-end", of, "IMG_TRUNCATED", "the block map lies behind the end", le32(340, 0xFFFFFE00)},
		{"vdi", "map-odd", of, "IMG_TABLE_BOUNDS", "the block map is not on a sector border", le32(340, 513)},
		{"vdi", "size-2-63", of, "IMG_VIRTUAL_SIZE_TOO_LARGE", "a virtual size of 2^63", le64(368, 1<<63)},
		{"vdi", "size-zero", of, "IMG_VIRTUAL_SIZE_ZERO", "a disk of zero bytes", le64(368, 0)},
		{"vdi", "two-blocks-in-one-place", of, "IMG_ALIASED_BLOCKS", "two blocks of the guest share one of the file", func(p []byte) []byte {
			copy(p[512+4:512+8], p[512:512+4])
			return p
		}},
		{"vdi", "block-above-allocated", of, "IMG_TABLE_BOUNDS", "a block lies behind those that were allocated", le32(512, 1000)},
		{"vdi", "truncated", of, "IMG_TRUNCATED", "the last third is missing", cut(2, 3)},
	}
}

// badParallels: offsets are those of the Parallels Expandable Image header
// (qemu docs/interop/parallels): the BAT begins at 64.
func badParallels() []badImage {
	of := "qemu.hds"
	return []badImage{
		{"ploop", "version-3", of, "IMG_PARALLELS_HEADER", "version 3", le32(16, 3)},
		{"ploop", "cluster-zero", of, "IMG_PARALLELS_HEADER", "clusters of zero bytes", le32(28, 0)},
		{"ploop", "cluster-2T", of, "IMG_PARALLELS_HEADER", "clusters of 2 TiB", le32(28, 1<<32-1)},
		{"ploop", "table-16G", of, "IMG_TRUNCATED", "a BAT of 16 GiB", le32(32, 1<<32-1)},
		{"ploop", "table-short", of, "IMG_PARALLELS_HEADER", "the BAT covers less than the disk", le32(32, 1)},
		{"ploop", "size-zero", of, "IMG_VIRTUAL_SIZE_ZERO", "a disk of zero bytes", le64(36, 0)},
		{"ploop", "size-2-63", of, "IMG_VIRTUAL_SIZE_TOO_LARGE", "a virtual size of 2^63", le64(36, 1<<54)},
		{"ploop", "in-use-mark", of, "IMG_PARALLELS_HEADER", "an unknown in-use mark", le32(44, 1)},
		{"ploop", "data-past-end", of, "IMG_TRUNCATED", "the data area lies behind the end", le32(48, 0xFFFFF800)},
		{"ploop", "cluster-past-end", of, "IMG_TRUNCATED", "a cluster lies behind the end", le32(64, 1<<32-1)},
		{"ploop", "two-clusters-in-one-place", of, "IMG_ALIASED_BLOCKS", "two clusters of the guest share one of the file", func(p []byte) []byte {
			copy(p[64+4:64+8], p[64:64+4])
			return p
		}},
		{"ploop", "truncated", of, "IMG_TRUNCATED", "the last third is missing", cut(2, 3)},
	}
}

// badVHDX: offsets are those of [MS-VHDX] section 2.
func badVHDX() []badImage {
	of := "qemu-dynamic.vhdx"
	return []badImage{
		{"vhdx", "header-checksums", of, "IMG_VHDX_CHECKSUM", "both headers are damaged", flip(64<<10+200, 128<<10+200)},
		{"vhdx", "no-header", of, "IMG_VHDX_HEADER", "neither header has its signature", all(text(64<<10, "dead"), text(128<<10, "dead"))},
		{"vhdx", "region-checksums", of, "IMG_VHDX_CHECKSUM", "both region tables are damaged", flip(192<<10+4000, 256<<10+4000)},
		{"vhdx", "log-invalid", of, "IMG_VHDX_LOG_INVALID", "the headers promise a log that is not there", vhdxHeaders(func(h []byte) { copy(h[48:64], "0123456789abcdef") })},
		{"vhdx", "metadata-magic", of, "IMG_VHDX_METADATA", "the metadata table has no signature", vhdxRegion(metadataRegion, func(m []byte) { copy(m, "METADATA") })},
		{"vhdx", "block-size-odd", of, "IMG_VHDX_METADATA", "blocks of 3 MiB", vhdxItem(0xCAA16737, func(v []byte) { binary.LittleEndian.PutUint32(v, 3<<20) })},
		{"vhdx", "sectors-520", of, "IMG_VHDX_METADATA", "sectors of 520 bytes", vhdxItem(0x8141BF1D, func(v []byte) { binary.LittleEndian.PutUint32(v, 520) })},
		{"vhdx", "size-2-52", of, "IMG_VIRTUAL_SIZE_TOO_LARGE", "a size that 32 bits cut to one block", vhdxItem(0x2FA54224, func(v []byte) { binary.LittleEndian.PutUint64(v, 1<<52+1<<20) })},
		{"vhdx", "size-zero", of, "IMG_VIRTUAL_SIZE_ZERO", "a disk of zero bytes", vhdxItem(0x2FA54224, func(v []byte) { clear(v) })},
		{"vhdx", "block-state-4", of, "IMG_TABLE_BOUNDS", "a block in a state that there is not", vhdxRegion(batRegion, func(b []byte) { b[16] = 4 })},
		{"vhdx", "block-past-end", of, "IMG_TRUNCATED", "a block lies behind the end", vhdxRegion(batRegion, func(b []byte) { binary.LittleEndian.PutUint64(b, 1<<40|6) })},
		{"vhdx", "two-blocks-in-one-place", of, "IMG_ALIASED_BLOCKS", "two blocks of the guest share one of the file", vhdxRegion(batRegion, func(b []byte) { copy(b[8:16], b[:8]) })},
		{"vhdx", "truncated", of, "IMG_TRUNCATED", "the last third is missing", cut(2, 3)},
	}
}

// The first words of the GUIDs of the regions.
const (
	batRegion      = 0x2DC27766
	metadataRegion = 0x8B7CA206
)

// flip damages bytes.
func flip(offs ...int) func([]byte) []byte {
	return func(p []byte) []byte {
		for _, off := range offs {
			p[off] ^= 0xff
		}
		return p
	}
}

// vhdxHeaders changes both headers and mends their checksums.
func vhdxHeaders(change func([]byte)) func([]byte) []byte {
	return func(p []byte) []byte {
		for _, off := range []int{64 << 10, 128 << 10} {
			h := p[off : off+4096]
			change(h)
			binary.LittleEndian.PutUint32(h[4:], 0)
			binary.LittleEndian.PutUint32(h[4:], crc32c(h))
		}
		return p
	}
}

// vhdxRegion changes the region whose GUID begins with the word.
func vhdxRegion(guid uint32, change func([]byte)) func([]byte) []byte {
	return func(p []byte) []byte {
		for e := p[192<<10+16:]; ; e = e[32:] {
			if binary.LittleEndian.Uint32(e) == guid {
				change(p[binary.LittleEndian.Uint64(e[16:]):])
				return p
			}
		}
	}
}

// vhdxItem changes the metadata item whose GUID begins with the word.
func vhdxItem(guid uint32, change func([]byte)) func([]byte) []byte {
	return vhdxRegion(metadataRegion, func(m []byte) {
		for e := m[32:]; ; e = e[32:] {
			if binary.LittleEndian.Uint32(e) == guid {
				off, n := binary.LittleEndian.Uint32(e[16:]), binary.LittleEndian.Uint32(e[20:])
				change(m[off : off+n])
				return
			}
		}
	})
}
