package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// A packed is a source with something around its disks.
type packed struct {
	name  string
	path  string
	disks []imgtest.Content
	// What fetch and detect shall say.
	layer, container string
	format           string // of the first disk
	props            []map[string]string
}

// tool runs a program in a folder and returns what it prints.
func tool(t testing.TB, dir string, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, errOut bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(in), &out, &errOut
	if err := cmd.Run(); err != nil {
		if _, lookErr := exec.LookPath(name); lookErr != nil && os.Getenv(imgtest.SkipEnv) != "" {
			t.Skipf("%s is absent and %s is set", name, imgtest.SkipEnv)
		}
		t.Fatalf("%s %v: %v\n%s", name, args, err, errOut.String())
	}
	return out.Bytes()
}

// squeeze packs a file with a compressor, beside it.
func squeeze(t testing.TB, dir, path string, args ...string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, dir, filepath.Base(path)+"."+args[0], tool(t, dir, b, args[0], args[1:]...))
}

// put writes a file into a folder.
func put(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// written converts disks with our own writers.
func written(t testing.TB, dir, name, to string, options map[string]string, from ...string) string {
	t.Helper()
	p, _ := newPipeline(t.(*testing.T), "/")
	path := filepath.Join(dir, name)
	_, err := p.ConvertTo(t.Context(), pipeline.ConvertRequest{URLs: from, Target: contract.TargetSpec{Format: to, Options: options},
		Begin: func() (stores.Upload, error) { return fs.BeginFile(path, false) }}, func(string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// An ovfDisk is a disk of an OVA made by hand.
type ovfDisk struct {
	href     string
	capacity int64 // bytes
}

// virtualBoxOVF is a descriptor as VirtualBox writes them: its own namespace, the
// firmware in it, capacity without a unit, and the disks on two controllers, the
// first of which is named last.
func virtualBoxOVF(disks ...ovfDisk) string {
	var files, section, items strings.Builder
	for i, d := range disks {
		fmt.Fprintf(&files, `<File ovf:id="file%d" ovf:href="%s"/>`, i+1, d.href)
		fmt.Fprintf(&section, `<Disk ovf:capacity="%d" ovf:diskId="vmdisk%d" ovf:fileRef="file%d" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>`, d.capacity, i+1, i+1)
		fmt.Fprintf(&items, `<Item><rasd:AddressOnParent>%d</rasd:AddressOnParent><rasd:HostResource>/disk/vmdisk%d</rasd:HostResource><rasd:InstanceID>%d</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`, i, i+1, 10+i)
	}
	return `<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
<References>` + files.String() + `</References><DiskSection><Info>d</Info>` + section.String() + `</DiskSection>
<VirtualSystem ovf:id="box"><Info>A virtual machine</Info><OperatingSystemSection ovf:id="96"><Info>o</Info></OperatingSystemSection>
<VirtualHardwareSection><Info>h</Info>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>AHCI</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>` + items.String() + `
</VirtualHardwareSection><vbox:Machine><Hardware><Firmware type="EFI"/></Hardware></vbox:Machine></VirtualSystem></Envelope>`
}

// handmade packs an OVA with tar: the descriptor, a manifest and the files.
func handmade(t testing.TB, dir, name, text string, files ...string) string {
	t.Helper()
	base := strings.TrimSuffix(name, ".ova")
	args := []string{"-cf", name, "--format=ustar", base + ".ovf", base + ".mf"}
	put(t, dir, base+".ovf", []byte(text))
	mf := fmt.Sprintf("SHA256(%s.ovf)= %x\n", base, sha256.Sum256([]byte(text)))
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		mf += fmt.Sprintf("SHA256(%s)= %x\n", f, sha256.Sum256(b))
		args = append(args, f)
	}
	put(t, dir, base+".mf", []byte(mf))
	tool(t, dir, nil, "tar", args...)
	return filepath.Join(dir, name)
}

// moved puts a file into a folder under a name.
func moved(t testing.TB, dir, name, path string) string {
	t.Helper()
	to := filepath.Join(dir, name)
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// small are disks of different sizes and content.
func small() []*imgtest.Disk {
	return []*imgtest.Disk{imgtest.Random(1, 21<<20, 3<<20), imgtest.Random(2, 9<<20, 2<<20), imgtest.Random(3, 33<<20, 4<<20)}
}

// packedSources makes sources of every kind in a folder, by other programs and by
// our own writers.
func packedSources(t *testing.T, dir string) []packed {
	d := small()
	raw := moved(t, dir, "d.raw", imgtest.WriteRaw(t, d[0]))
	qcow := moved(t, dir, "d.qcow2", imgtest.Convert(t, raw, "raw", "qcow2"))
	var streams []string
	var ovfDisks []ovfDisk
	for i, one := range d {
		s := moved(t, dir, fmt.Sprintf("m-disk%d.vmdk", i+1), imgtest.Convert(t, imgtest.WriteRaw(t, one), "raw", "vmdk", "subformat=streamOptimized"))
		streams = append(streams, s)
		ovfDisks = append(ovfDisks, ovfDisk{filepath.Base(s), one.Size()})
	}
	vmdk := streams[0]
	moved(t, dir, "disk.raw", imgtest.WriteRaw(t, imgtest.Random(5, 1<<30, 3<<20)))
	tool(t, dir, nil, "tar", "--format=oldgnu", "-Sczf", "gnu.tar.gz", "disk.raw")
	tool(t, dir, nil, "tar", "-cf", "one.tar", "d.qcow2")
	tool(t, dir, nil, "zip", "-q", "deflated.zip", "m-disk1.vmdk")
	tool(t, dir, nil, "zip", "-q", "-0", "stored.zip", "m-disk1.vmdk")
	b, err := os.ReadFile(handmade(t, dir, "box.ova", virtualBoxOVF(ovfDisks[0]), "m-disk1.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	one := []imgtest.Content{d[0]}
	three := []imgtest.Content{d[0], d[1], d[2]}
	machine := func(boot int, props ...string) map[string]string {
		m := map[string]string{"boot_index": fmt.Sprint(boot)}
		for i := 0; i < len(props); i += 2 {
			m[props[i]] = props[i+1]
		}
		return m
	}
	ours := []string{"hw_firmware_type", "uefi", "hw_disk_bus", "scsi", "hw_scsi_model", "lsilogic", "hw_vif_model", "e1000"}
	box := []string{"hw_firmware_type", "uefi", "hw_disk_bus", "sata", "os_type", "linux"}
	alone := machine(0, box...)
	delete(alone, "boot_index")
	gce := imgtest.Random(5, 1<<30, 3<<20)
	return []packed{
		{"qcow2 in gzip", squeeze(t, dir, qcow, "gzip", "-c"), one, "gzip", "", "qcow2", nil},
		{"raw in xz", squeeze(t, dir, raw, "xz", "-c"), one, "xz", "", "raw", nil},
		{"raw in zstd", squeeze(t, dir, raw, "zstd", "-qc"), one, "zstd", "", "raw", nil},
		{"VMDK in bzip2", squeeze(t, dir, vmdk, "bzip2", "-c"), one, "bzip2", "", "vmdk", nil},
		{"VMDK in a zip", filepath.Join(dir, "deflated.zip"), one, "zip", "", "vmdk", nil},
		{"VMDK stored in a zip", filepath.Join(dir, "stored.zip"), one, "", "zip", "vmdk", nil},
		{"qcow2 in a tar", filepath.Join(dir, "one.tar"), one, "", "tar", "qcow2", nil},
		{"disk.raw by GNU tar", filepath.Join(dir, "gnu.tar.gz"), []imgtest.Content{gce}, "gzip", "gce", "raw", nil},
		{"disk.raw by our writer", written(t, dir, "ours.tar.gz", "gce", nil, qcow), []imgtest.Content{padded{d[0], 1 << 30}}, "gzip", "gce", "raw", nil},
		{"OVA of one disk", put(t, dir, "box2.ova", b), one, "", "ova", "vmdk", []map[string]string{alone}},
		{"OVA of one disk in xz", put(t, dir, "box.ova.xz", tool(t, dir, b, "xz", "-c")), one, "xz", "ova", "vmdk", []map[string]string{alone}},
		{"OVA of three disks by our writer", written(t, dir, "ours.ova", "ova", map[string]string{"firmware": "efi"}, streams...), three, "", "ova", "vmdk",
			[]map[string]string{machine(0, ours...), machine(-1, ours...), machine(-1, ours...)}},
		{"OVA of three disks as by VirtualBox", handmade(t, dir, "three.ova", virtualBoxOVF(ovfDisks...), "m-disk1.vmdk", "m-disk2.vmdk", "m-disk3.vmdk"), three, "", "ova", "vmdk",
			[]map[string]string{machine(0, box...), machine(-1, box...), machine(-1, box...)}},
	}
}

// padded is a content with zeros behind it.
type padded struct {
	imgtest.Content
	size int64
}

// Size returns the length with the zeros.
func (p padded) Size() int64 { return p.size }

// ReadAt reads zeros behind the end.
func (p padded) ReadAt(b []byte, off int64) (int, error) {
	n := max(0, min(int64(len(b)), p.Content.Size()-off))
	clear(b[n:])
	if n == 0 {
		return len(b), nil
	}
	_, err := p.Content.ReadAt(b[:n], off)
	return len(b), err
}
