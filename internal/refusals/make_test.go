package refusals

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A made image yields a code that no listed one does.
type made struct {
	code errcode.Code
	make func(t *testing.T) []byte
	// options and readers, if set, replace the default ones.
	options detect.Options
	readers []formats.Format
	// told says that the code is a finding of an image that is not refused.
	told bool
}

// from returns a maker that changes a good image.
func from(path string, change func(b []byte) []byte) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return change(unpack(t, "good/"+path)) }
}

// set overwrites bytes.
func set(off int, p ...byte) func([]byte) []byte {
	return func(b []byte) []byte { copy(b[off:], p); return b }
}

// text replaces every occurrence of a text by one that is not longer.
func text(old, with string) func([]byte) []byte {
	return func(b []byte) []byte {
		with := append([]byte(with), bytes.Repeat([]byte(" "), len(old)-len(with))...)
		return bytes.ReplaceAll(b, []byte(old), with)
	}
}

func zeros(n int) func(*testing.T) []byte {
	return func(*testing.T) []byte { return make([]byte, n) }
}

func same(b []byte) []byte { return b }

func declared(n formats.Name) detect.Options {
	o := options(nil)
	o.Declared = n
	return o
}

func members(name string, size int64) detect.Options {
	o := options(nil)
	o.Members = []formats.Member{{Name: name, R: bytes.NewReader(make([]byte, size)), Size: size}}
	return o
}

const flat = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"disk-flat.vmdk\" 0\n"

// A crashing format stands for a bug that is not known yet.
type crashing struct{}

func (crashing) Name() formats.Name { return "crashing" }
func (crashing) Match(head, _ []byte, _ int64) formats.Match {
	return formats.Match{OK: bytes.HasPrefix(head, []byte("CRASH")), Value: "CRASH"}
}
func (crashing) Open(_ io.ReaderAt, size int64, _ formats.Limits) (formats.Disk, error) {
	return nil, []error{}[size]
}

// mades lists the images that are made, at least one for each code without a
// listed one.
func mades() []made {
	head := func(s string) func(*testing.T) []byte {
		return func(*testing.T) []byte { return set(0, []byte(s)...)(make([]byte, 1<<20)) }
	}
	return []made{
		{code: errcode.Empty, make: zeros(0)},
		{code: errcode.SizeUnaligned, make: zeros(1000), told: true},
		{code: errcode.Contents, make: zeros(1024), told: true},
		{code: errcode.FormatUnknown, make: zeros(1024), options: declared(formats.QCOW2)},
		{code: errcode.FormatMismatch, make: from("qemu-fixed.vhd.gz", same), options: declared(formats.Raw)},
		{code: errcode.FormatAmbiguous, make: from("qemu-v3.qcow2.gz", set(32768, []byte("\x01CD001\x01")...))},
		{code: errcode.FormatNotAllowed, make: head("QED\x00")},
		{code: errcode.LUKSUndeclared, make: head("LUKS\xba\xbe\x00\x02")},
		{code: errcode.NestedFormat, make: nested},
		{code: errcode.MemberMissing, make: func(*testing.T) []byte { return []byte(flat) }, options: members("other-flat.vmdk", 1<<20)},
		{code: errcode.MemberMismatch, make: from("qemu-monolithicSparse.vmdk.gz", same), options: members("disk-flat.vmdk", 1<<20)},
		{code: errcode.ExpansionRatio, make: from("qemu-zlib.qcow2.gz", same), options: options(func(l *formats.Limits) { l.ExpansionRatio = 3 })},
		{code: errcode.ExpansionRatio, make: from("qemu-zlib.qcow2.gz", bomb)},
		{code: errcode.CompressionCorrupt, make: from("qemu-zlib.qcow2.gz", garble)},
		{code: errcode.ParserLimit, make: from("qemu-v3.qcow2.gz", same), options: options(func(l *formats.Limits) { l.BlockBytes = 65535 })},
		{code: errcode.ParserCrash, make: head("CRASH"), readers: append(all(), crashing{})},
		{code: errcode.QCOW2Header, make: from("qemu-v3.qcow2.gz", set(100, 0, 0, 0, 100))},
		{code: errcode.QCOW2Dirty, make: from("qemu-v3.qcow2.gz", set(79, 1)), told: true},
		{code: errcode.QCOW2Snapshots, make: snapshot, told: true},
		{code: errcode.QCOW2Compression, make: from("qemu-zstd.qcow2.gz", set(104, 2))},
		{code: errcode.VMDKExtentPath, make: from("qemu-monolithicSparse.vmdk.gz", set(12, make([]byte, 8)...))},
		{code: errcode.VMDKDescriptor, make: from("qemu-monolithicSparse.vmdk.gz", text("createType", "dreateType"))},
		{code: errcode.VMDKFooter, make: from("qemu-streamOptimized.vmdk.gz", set(56, bytes.Repeat([]byte{255}, 8)...))},
		{code: errcode.VMDKGrain, make: from("qemu-streamOptimized.vmdk.gz", grain)},
		{code: errcode.VHDXRegion, make: from("qemu-dynamic.vhdx.gz", text("regi", "none"))},
		{code: errcode.VHDXDifferencing, make: from("qemu-dynamic.vhdx.gz", child)},
		{code: errcode.VHDXSector4K, make: from("qemu-dynamic.vhdx.gz", sectors4K), told: true},
	}
}

// nested is a qcow2 image of a disk whose bytes are a qcow2 image.
func nested(t *testing.T) []byte {
	t.Helper()
	inner := filepath.Join(t.TempDir(), "inner")
	if err := os.WriteFile(inner, unpack(t, "good/qemu-v3.qcow2.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
	return read(t, imgtest.Convert(t, inner, "raw", "qcow2"))
}

func snapshot(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.qcow2")
	if err := os.WriteFile(path, unpack(t, "good/qemu-v3.qcow2.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
	imgtest.QemuImg(t, "snapshot", "-c", "before", path)
	return read(t, path)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// l2 returns where the first L2 table of a qcow2 image lies, and its first
// compressed entry in it.
func l2(b []byte) (table, entry uint64) {
	be := binary.BigEndian
	const offset = 0x00fffffffffffe00
	l1 := be.Uint64(b[40:])
	for ; be.Uint64(b[l1:])&offset == 0; l1 += 8 {
	}
	table = be.Uint64(b[l1:]) & offset
	for entry = table; be.Uint64(b[entry:])>>62&1 == 0; entry += 8 {
	}
	return table, entry
}

// bomb lets all clusters stand for the same compressed bytes.
func bomb(b []byte) []byte {
	table, entry := l2(b)
	for at := table; at < table+1<<16; at += 8 {
		copy(b[at:at+8], b[entry:])
	}
	binary.BigEndian.PutUint64(b[24:], 512<<20) // what one L2 table maps
	return b
}

// garble overwrites a compressed cluster. Its offset has 54 bits of 64 KiB
// clusters.
func garble(b []byte) []byte {
	_, entry := l2(b)
	off := binary.BigEndian.Uint64(b[entry:]) & (1<<54 - 1)
	return set(int(off), bytes.Repeat([]byte{255}, 64)...)(b)
}

// grain gives the first grain of a streamOptimized VMDK another address. It
// lies behind the overhead (header bytes 64 to 71, sectors).
func grain(b []byte) []byte {
	return set(int(binary.LittleEndian.Uint64(b[64:]))*512, 0xff)(b)
}

// item returns where the metadata region of a VHDX lies, and the item with an
// id in it.
func item(b []byte, id string) (region, off int) {
	region = bytes.Index(b, []byte("metadata\x00\x00"))
	entry := region + bytes.Index(b[region:], []byte(id))
	return region, region + int(binary.LittleEndian.Uint32(b[entry+16:]))
}

// sectors4K gives a VHDX logical sectors of 4096 bytes, and a size that is a
// multiple of them.
func sectors4K(b []byte) []byte {
	_, sector := item(b, "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f")
	_, size := item(b, "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8")
	binary.LittleEndian.PutUint32(b[sector:], 4096)
	binary.LittleEndian.PutUint64(b[size:], 3<<20)
	return b
}

// child makes a VHDX one that has a parent: the flag, and a locator without
// entries in a place that is free.
func child(b []byte) []byte {
	le := binary.LittleEndian
	region, params := item(b, "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b")
	b[params+4] |= 2
	n := le.Uint16(b[region+10:])
	le.PutUint16(b[region+10:], n+1)
	entry, free := region+32+32*int(n), 128<<10
	copy(b[entry:], "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c")
	le.PutUint32(b[entry+16:], uint32(free))
	le.PutUint32(b[entry+20:], 20)
	le.PutUint32(b[entry+24:], 4) // required
	copy(b[region+free:], "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13")
	return b
}
