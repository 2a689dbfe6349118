package realimages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"ingest/internal/imgtest"
)

// A weapon is an image that names the canary.
type weapon struct {
	name string
	path string
	code string // the begin of the code with which it is refused, "" if it is not
	// qemu is the driver with which qemu-img, told to read the image, opens
	// the canary: proof that the name is at its place. "" if qemu has no
	// support for what names the file.
	qemu string
}

// weapons makes the images in dir. The canary does not exist yet: qemu-img
// makes some files that an image names.
func weapons(t *testing.T, dir, canary string) []weapon {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	create := func(path string, args ...string) string {
		imgtest.QemuImg(t, append([]string{"create", "-q", "-f"}, append(args, path, "1M")...)...)
		return path
	}
	json := fmt.Sprintf(`json:{"driver":"raw","file":{"driver":"file","filename":%q}}`, canary)
	all := []weapon{
		{"qcow2 backing file", create(at("backing.qcow2"), "qcow2", "-u", "-b", canary, "-F", "raw"), "IMG_QCOW2_BACKING_FILE", "qcow2"},
		{"qcow2 backing file without format", without(t, create(at("probed.qcow2"), "qcow2", "-u", "-b", canary, "-F", "raw")), "IMG_QCOW2_", "qcow2"},
		{"qcow2 json: backing file", create(at("json.qcow2"), "qcow2", "-u", "-b", json, "-F", "raw"), "IMG_QCOW2_BACKING_FILE", "qcow2"},
		{"qcow2 backing file on a network", create(at("network.qcow2"), "qcow2", "-u", "-b", "nbd://127.0.0.1:1/disk", "-F", "raw"), "IMG_QCOW2_BACKING_FILE", "qcow2"},
		{"qcow2 data file", create(at("data.qcow2"), "qcow2", "-o", "data_file="+canary), "IMG_QCOW2_DATA_FILE", "qcow2"},
		{"qcow2 raw data file", create(at("dataraw.qcow2"), "qcow2", "-o", "data_file_raw=on,data_file="+canary), "IMG_QCOW2_DATA_FILE", "qcow2"},
		{"VMDK flat extent", write(t, at("flat.vmdk"), descriptor(canary, "monolithicFlat", "FLAT")), "IMG_VMDK_", "vmdk"},
		{"VMDK flat extent beside it", write(t, at("beside.vmdk"), descriptor(filepath.Base(canary), "monolithicFlat", "FLAT")), "IMG_VMDK_", "vmdk"},
		{"VMDK sparse extent", write(t, at("split.vmdk"), descriptor(canary, "twoGbMaxExtentSparse", "SPARSE")), "IMG_VMDK_", "vmdk"},
		{"VMDK flat extent behind capacity 0", write(t, at("embedded.vmdk"), embedded(canary)), "IMG_VMDK_", "vmdk"},
		{"VHD parent", differencingVHD(t, create(at("child.vhd"), "vpc"), canary), "IMG_VHD_DIFFERENCING", ""},
		{"VHDX parent", differencingVHDX(t, create(at("child.vhdx"), "vhdx"), canary), "IMG_VHDX_DIFFERENCING", ""},
		{"VDI delta", differencingVDI(t, create(at("child.vdi"), "vdi"), canary), "IMG_VDI_DIFFERENCING", ""},
		{"Parallels descriptor", write(t, at("DiskDescriptor.xml"), parallelsDescriptor(canary)), "IMG_", ""},
		{"OVF descriptor", write(t, at("machine.ovf"), ovfDescriptor(canary)), "IMG_", ""},
		{"raw disk with the name on it", write(t, at("disk.raw"), append(make([]byte, 1<<20), canary...)), "", ""},
	}
	create(canary, "vmdk")
	child := at("child.vmdk")
	imgtest.QemuImg(t, "create", "-q", "-f", "vmdk", "-b", canary, "-F", "vmdk", child)
	return append(all, weapon{"VMDK parent", child, "IMG_VMDK_PARENT", "vmdk"})
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// find returns where what stands in b.
func find(t *testing.T, b []byte, what string) int {
	t.Helper()
	i := bytes.Index(b, []byte(what))
	if i < 0 {
		t.Fatalf("%q is not in the image", what)
	}
	return i
}

// without overwrites the header extension that holds the backing file's format
// by one that nobody knows (qcow2.txt, header extensions).
func without(t *testing.T, path string) string {
	b := read(t, path)
	copy(b[find(t, b[:512], "\xe2\x79\x2a\xca"):], "\x12\x34\x56\x78")
	return write(t, path, b)
}

// descriptor is that of a VMDK with one extent file.
func descriptor(canary, kind, access string) []byte {
	return fmt.Appendf(nil, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=%q\n\n"+
		"# Extent description\nRW 8 %s %q%s\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"ide\"\nddb.geometry.cylinders = \"1\"\n",
		kind, access, canary, map[string]string{"FLAT": " 0"}[access])
}

// embedded is a sparse header of capacity 0 with a descriptor: qemu then reads
// what the descriptor names.
func embedded(canary string) []byte {
	b := make([]byte, 64<<10)
	le := binary.LittleEndian
	copy(b, "KDMV")
	le.PutUint32(b[4:], 1)   // version
	le.PutUint32(b[8:], 3)   // flags
	le.PutUint64(b[20:], 1)  // grain size, sectors
	le.PutUint64(b[28:], 1)  // descriptor offset, sectors
	le.PutUint64(b[36:], 20) // descriptor size, sectors
	le.PutUint32(b[44:], 512)
	le.PutUint64(b[64:], 128) // overhead, sectors
	copy(b[73:], "\n \r\n")
	copy(b[512:], descriptor(canary, "monolithicFlat", "FLAT"))
	return b
}

// differencingVHD makes a dynamic VHD a child of the canary (VHD 1.0: footer,
// dynamic disk header).
func differencingVHD(t *testing.T, path, canary string) string {
	b := read(t, path)
	be := binary.BigEndian
	footer := b[len(b)-512:]
	name := utf16.Encode([]rune(canary))
	header := b[512:][:1024]
	locator := make([]byte, 512)
	for i, u := range name {
		be.PutUint16(header[64+2*i:], u)
		binary.LittleEndian.PutUint16(locator[2*i:], u)
	}
	copy(header[40:56], bytes.Repeat([]byte{7}, 16)) // parent's id
	e := header[576:]                                // the first parent locator entry
	copy(e, "W2ku")
	be.PutUint32(e[4:], 1)
	be.PutUint32(e[8:], uint32(2*len(name)))
	be.PutUint64(e[16:], uint64(len(b)-512))
	sealVHD(header, 36)
	be.PutUint32(footer[60:], 4)
	sealVHD(footer, 64)
	copy(b, footer)
	return write(t, path, bytes.Join([][]byte{b[:len(b)-512], locator, bytes.Clone(footer)}, nil))
}

func sealVHD(p []byte, at int) {
	clear(p[at : at+4])
	sum := uint32(0)
	for _, b := range p {
		sum += uint32(b)
	}
	binary.BigEndian.PutUint32(p[at:], ^sum)
}

// differencingVHDX makes a VHDX a child of the canary ([MS-VHDX] 2.6: metadata
// region).
func differencingVHDX(t *testing.T, path, canary string) string {
	b := read(t, path)
	le := binary.LittleEndian
	region := b[find(t, b, "metadata"):]
	items := int(le.Uint16(region[10:]))
	const at = 512 << 10 // free room of the region
	locator := locatorVHDX("absolute_win32_path", canary)
	copy(region[at:], locator)
	parameters := region[32:][:32*items]
	id := "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	entry := parameters[find(t, parameters, id):]
	region[le.Uint32(entry[16:])+4] |= 2 // file parameters: has a parent
	e := region[32+32*items:]
	copy(e, "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c")
	le.PutUint32(e[16:], at)
	le.PutUint32(e[20:], uint32(len(locator)))
	le.PutUint32(e[24:], 4) // required
	le.PutUint16(region[10:], uint16(items+1))
	return write(t, path, b)
}

func locatorVHDX(key, value string) []byte {
	le := binary.LittleEndian
	k, v := utf16.Encode([]rune(key)), utf16.Encode([]rune(value))
	b := append([]byte("\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"), make([]byte, 16)...)
	le.PutUint16(b[18:], 1) // entries
	le.PutUint32(b[20:], 32)
	le.PutUint32(b[24:], uint32(32+2*len(k)))
	le.PutUint16(b[28:], uint16(2*len(k)))
	le.PutUint16(b[30:], uint16(2*len(v)))
	for _, u := range append(k, v...) {
		b = le.AppendUint16(b, u)
	}
	return b
}

// differencingVDI makes a VDI a delta. It names its parent by an id only; the
// canary stands in its comment.
func differencingVDI(t *testing.T, path, canary string) string {
	b := read(t, path)
	binary.LittleEndian.PutUint32(b[76:], 4)
	copy(b[84:84+256], canary)
	return write(t, path, b)
}

func parallelsDescriptor(canary string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0"?><Parallels_disk_image Version="1.0"><Disk_Parameters><Disk_size>8</Disk_size></Disk_Parameters>`+
		`<StorageData><Storage><Start>0</Start><End>8</End><Image><Type>Plain</Type><File>%s</File></Image></Storage></StorageData></Parallels_disk_image>`, canary)
}

func ovfDescriptor(canary string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">`+
		`<References><File ovf:id="f" ovf:href="file://%s"/></References></Envelope>`, canary)
}
