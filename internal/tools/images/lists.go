package main

import (
	"encoding/binary"
	"hash/crc32"
)

// A goodImage is one way in which qemu-img writes the disk.
type goodImage struct {
	name, qemu, format, subformat string
	args                          []string
}

func goodImages() []goodImage {
	return []goodImage{
		{"qemu-raw.raw", "raw", "raw", "", nil},
		{"qemu-v3.qcow2", "qcow2", "qcow2", "v3", nil},
		{"qemu-v2.qcow2", "qcow2", "qcow2", "v2", []string{"-o", "compat=0.10"}},
		{"qemu-zlib.qcow2", "qcow2", "qcow2", "v3", []string{"-c"}},
		{"qemu-zstd.qcow2", "qcow2", "qcow2", "v3", []string{"-c", "-o", "compression_type=zstd"}},
		{"qemu-extended-l2.qcow2", "qcow2", "qcow2", "v3", []string{"-o", "extended_l2=on,cluster_size=128k"}},
		{"qemu-cluster-512.qcow2", "qcow2", "qcow2", "v3", []string{"-o", "cluster_size=512"}},
		{"qemu-cluster-2M.qcow2", "qcow2", "qcow2", "v3", []string{"-o", "cluster_size=2M"}},
		{"qemu-monolithicSparse.vmdk", "vmdk", "vmdk", "monolithicSparse", []string{"-o", "subformat=monolithicSparse"}},
		{"qemu-streamOptimized.vmdk", "vmdk", "vmdk", "streamOptimized", []string{"-o", "subformat=streamOptimized"}},
		{"qemu-fixed.vhd", "vpc", "vhd", "fixed", []string{"-o", "subformat=fixed,force_size=on"}},
		{"qemu-dynamic.vhd", "vpc", "vhd", "dynamic", []string{"-o", "subformat=dynamic,force_size=on"}},
		{"qemu-dynamic.vhdx", "vhdx", "vhdx", "dynamic", []string{"-o", "subformat=dynamic,block_size=1M"}},
		{"qemu-fixed.vhdx", "vhdx", "vhdx", "fixed", []string{"-o", "subformat=fixed,block_size=1M"}},
		{"qemu-dynamic.vdi", "vdi", "vdi", "dynamic", []string{"-o", "static=off"}},
		{"qemu-static.vdi", "vdi", "vdi", "static", []string{"-o", "static=on"}},
		{"qemu.hds", "parallels", "ploop", "v2", nil},
		{"qemu-dynamic-chs.vhd", "vpc", "vhd", "dynamic", []string{"-o", "subformat=dynamic"}},
	}
}

// A badImage is a good one with an illness.
type badImage struct {
	format, name, of, code, illness string
	change                          func([]byte) []byte
}

// put32 and put64 change one big-endian field (qcow2, VHD).
func put32(off int, v uint32) func([]byte) []byte {
	return func(p []byte) []byte { binary.BigEndian.PutUint32(p[off:], v); return p }
}

func put64(off int, v uint64) func([]byte) []byte {
	return func(p []byte) []byte { binary.BigEndian.PutUint64(p[off:], v); return p }
}

// le32 and le64 change one little-endian field (VMDK).
func le32(off int, v uint32) func([]byte) []byte {
	return func(p []byte) []byte { binary.LittleEndian.PutUint32(p[off:], v); return p }
}

func le64(off int, v uint64) func([]byte) []byte {
	return func(p []byte) []byte { binary.LittleEndian.PutUint64(p[off:], v); return p }
}

// all applies several changes.
func all(changes ...func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte {
		for _, c := range changes {
			p = c(p)
		}
		return p
	}
}

// text writes a string.
func text(off int, s string) func([]byte) []byte {
	return func(p []byte) []byte { copy(p[off:], s); return p }
}

// cut keeps the first part.
func cut(num, den int) func([]byte) []byte {
	return func(p []byte) []byte { return p[:len(p)*num/den] }
}

func badImages() []badImage {
	out := badQCOW2()
	for _, more := range [][]badImage{badVMDK(), badVHD(), badVHDX(), badVDI(), badParallels()} {
		out = append(out, more...)
	}
	return out
}

// badQCOW2: offsets are those of the qcow2 header (qemu docs/interop/qcow2).
func badQCOW2() []badImage {
	of := "qemu-v3.qcow2"
	return []badImage{
		{"qcow2", "backing-file", of, "IMG_QCOW2_BACKING_FILE", "the header names a backing file of the host",
			all(put64(8, 0x2000), put32(16, 11), text(0x2000, "/etc/passwd"))},
		{"qcow2", "backing-json", of, "IMG_QCOW2_BACKING_FILE", "the backing file is a json: pseudo-protocol",
			all(put64(8, 0x2000), put32(16, 56), text(0x2000, `json:{"driver":"file","filename":"/etc/hostname","x":""}`))},
		{"qcow2", "data-file", of, "IMG_QCOW2_DATA_FILE", "incompatible bit 2: the data is in another file", put64(72, 1<<2)},
		{"qcow2", "encrypted-aes", of, "IMG_QCOW2_ENCRYPTED", "crypt_method 1", put32(32, 1)},
		{"qcow2", "encrypted-luks", of, "IMG_QCOW2_ENCRYPTED", "crypt_method 2", put32(32, 2)},
		{"qcow2", "corrupt-bit", of, "IMG_QCOW2_CORRUPT", "incompatible bit 1: marked as corrupt", put64(72, 1<<1)},
		{"qcow2", "unknown-feature", of, "IMG_QCOW2_FEATURE", "incompatible bit 17", put64(72, 1<<17)},
		{"qcow2", "version-4", of, "IMG_QCOW2_VERSION", "version 4", put32(4, 4)},
		{"qcow2", "cluster-bits-62", of, "IMG_QCOW2_CLUSTER_BITS", "clusters of 4 EiB", put32(20, 62)},
		{"qcow2", "cluster-bits-8", of, "IMG_QCOW2_CLUSTER_BITS", "clusters of 256 bytes", put32(20, 8)},
		{"qcow2", "l1-size-huge", of, "IMG_TABLE_BOUNDS", "an L1 table of 32 GiB", put32(36, 0xffffffff)},
		{"qcow2", "l1-offset-past-end", of, "IMG_TRUNCATED", "the L1 table lies behind the end", put64(40, 1<<40)},
		{"qcow2", "l1-offset-unaligned", of, "IMG_TABLE_BOUNDS", "the L1 table is not on a cluster border", put64(40, 0x30200)},
		{"qcow2", "size-2-63", of, "IMG_VIRTUAL_SIZE_TOO_LARGE", "a virtual size of 2^63", put64(24, 1<<63)},
		{"qcow2", "truncated", of, "IMG_TRUNCATED", "the last third is missing", cut(2, 3)},
		{"qcow2", "header-only", of, "IMG_TRUNCATED", "only the first 4 KiB are there", func(p []byte) []byte { return p[:4096] }},
	}
}

// badVMDK: offsets are those of the sparse extent header (VMware Virtual Disk
// Format 5.0).
func badVMDK() []badImage {
	of, stream := "qemu-monolithicSparse.vmdk", "qemu-streamOptimized.vmdk"
	return []badImage{
		{"vmdk", "descriptor-only", of, "IMG_VMDK_DESCRIPTOR_ONLY", "the text file without the disk", func([]byte) []byte {
			return []byte("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\n" +
				"# Extent description\nRW 6147 VMFS \"disk-flat.vmdk\"\n\n# The Disk Data Base\nddb.adapterType = \"lsilogic\"\n")
		}},
		{"vmdk", "version-9", of, "IMG_VMDK_HEADER", "version 9", le32(4, 9)},
		{"vmdk", "capacity-huge", of, "IMG_VIRTUAL_SIZE_TOO_LARGE", "capacity 0xFFFFFFFF0001 sectors", le64(12, 0xFFFFFFFF0001)},
		{"vmdk", "grain-size-odd", of, "IMG_VMDK_HEADER", "a grain of 100 sectors", le64(20, 100)},
		{"vmdk", "grain-directory-past-end", of, "IMG_TRUNCATED", "the grain directory lies behind the end", le64(56, 1<<40)},
		{"vmdk", "parent", of, "IMG_VMDK_PARENT", "the descriptor has a parent", replace("parentCID=ffffffff", "parentCID=12345678")},
		{"vmdk", "extent-path", of, "IMG_VMDK_SUBFORMAT", "the descriptor says monolithicFlat", replace(`createType="monolithicSparse"`, `createType="monolithicFlat"  `)},
		{"vmdk", "text-mode-transfer", of, "IMG_VMDK_HEADER", "the line ends within the header are changed", text(73, "\n \n\n")},
		{"vmdk", "truncated", of, "IMG_TRUNCATED", "the last fifth is missing", cut(4, 5)},
		{"vmdk", "stream-truncated", stream, "IMG_TRUNCATED", "half of the stream is missing", cut(1, 2)},
	}
}

// replace changes the first place of a text for one of the same length.
func replace(old, with string) func([]byte) []byte {
	return func(p []byte) []byte {
		for i := range p {
			if i+len(old) <= len(p) && string(p[i:i+len(old)]) == old {
				copy(p[i:], with)
				return p
			}
		}
		panic("images: " + old + " is not in the file")
	}
}

// badVHD: offsets are those of the footer and of the dynamic header (Virtual
// Hard Disk Image Format Specification 1.0).
func badVHD() []badImage {
	dyn, fixed := "qemu-dynamic.vhd", "qemu-fixed.vhd"
	return []badImage{
		{"vhd", "differencing", dyn, "IMG_VHD_DIFFERENCING", "disk type 4: only what changed against a parent", footers(func(f []byte) { f[63] = 4 })},
		{"vhd", "saved-state", dyn, "IMG_VHD_SAVED_STATE", "the machine is in saved state", footers(func(f []byte) { f[84] = 1 })},
		{"vhd", "footer-checksum", fixed, "IMG_VHD_CHECKSUM", "the footer's checksum is wrong", func(p []byte) []byte { p[len(p)-512+64] ^= 0xff; return p }},
		{"vhd", "header-checksum", dyn, "IMG_VHD_CHECKSUM", "the dynamic header's checksum is wrong", func(p []byte) []byte { p[512+36] ^= 0xff; return p }},
		{"vhd", "fixed-short", fixed, "IMG_VHD_SIZE_MISMATCH", "a fixed disk without its first MiB", func(p []byte) []byte { return p[1<<20:] }},
		{"vhd", "type-9", dyn, "IMG_VHD_HEADER", "disk type 9", footers(func(f []byte) { f[63] = 9 })},
		{"vhd", "size-beyond-table", dyn, "IMG_VHD_SIZE_MISMATCH", "the disk is larger than its block table", footers(func(f []byte) { binary.BigEndian.PutUint64(f[48:], 1<<35) })},
		{"vhd", "table-huge", dyn, "IMG_TABLE_BOUNDS", "0x40000001 table entries", header(func(h []byte) { binary.BigEndian.PutUint32(h[28:], 0x40000001) })},
		{"vhd", "block-size-odd", dyn, "IMG_VHD_HEADER", "blocks of 3 MiB", header(func(h []byte) { binary.BigEndian.PutUint32(h[32:], 3<<20) })},
		{"vhd", "block-past-end", dyn, "IMG_TRUNCATED", "the first block lies behind the end", put32(1536, 0x00ffffff)},
	}
}

// footers changes both copies of a dynamic disk's footer and mends checksums.
func footers(change func([]byte)) func([]byte) []byte {
	return func(p []byte) []byte {
		for _, f := range [][]byte{p[:512], p[len(p)-512:]} {
			change(f)
			checksum(f, 64)
		}
		return p
	}
}

// header changes the dynamic header and mends its checksum.
func header(change func([]byte)) func([]byte) []byte {
	return func(p []byte) []byte {
		h := p[512 : 512+1024]
		change(h)
		checksum(h, 36)
		return p
	}
}

// checksum is the one's complement of the sum of all other bytes.
func checksum(p []byte, at int) {
	binary.BigEndian.PutUint32(p[at:], 0)
	var s uint32
	for _, b := range p {
		s += uint32(b)
	}
	binary.BigEndian.PutUint32(p[at:], ^s)
}

// crc32c is the checksum of VHDX.
func crc32c(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }
