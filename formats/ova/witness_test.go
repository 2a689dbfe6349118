package ova

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// tool runs a program that reads what is written with other eyes. An absent one
// fails the test, as an absent qemu-img does.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv(imgtest.SkipEnv) != "" {
			t.Skipf("NOT TESTED: %s is absent and %s is set", name, imgtest.SkipEnv)
		}
		t.Fatalf("%s is a witness of this test and is absent; set %s to skip", name, imgtest.SkipEnv)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// written writes an OVA of the disks into a file.
func written(t *testing.T, o Options, disks ...formats.Disk) string {
	t.Helper()
	e := Encoder{Options: o, Disk: stream, More: disks[1:]}
	file, _ := formattest.Record(t, e, disks[0], nil)
	path := filepath.Join(t.TempDir(), "machine.ova")
	if err := os.WriteFile(path, file.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWitnesses has GNU tar, sha256sum, qemu-img and Python read an OVA.
func TestWitnesses(t *testing.T) {
	disks := []*imgtest.Disk{imgtest.Random(1, 20<<20+7*512, 9<<20), imgtest.New(5<<20, 2), imgtest.Random(3, 5<<30, 6<<20)}
	path := written(t, Options{Name: "web_1.0-x"}, disks[0], disks[1], disks[2])
	names := []string{"web_1.0-x.ovf", "web_1.0-x-disk1.vmdk", "web_1.0-x-disk2.vmdk", "web_1.0-x-disk3.vmdk", "web_1.0-x.mf"}
	dir := t.TempDir()
	if got := strings.Fields(tool(t, dir, "tar", "-tf", path)); !slices.Equal(got, names) {
		t.Errorf("tar lists %q, want %q", got, names)
	}
	for _, line := range strings.Split(strings.TrimSpace(tool(t, dir, "tar", "-tvf", path)), "\n") {
		if f := strings.Fields(line); f[0] != "-rw-r--r--" || f[1] != "0/0" || f[3] != "1970-01-01" {
			t.Errorf("tar lists %q", line)
		}
	}
	tool(t, dir, "tar", "-xf", path)
	checkManifest(t, dir, names)
	for i, d := range disks {
		vmdk := filepath.Join(dir, names[1+i])
		tool(t, dir, "qemu-img", "check", "-q", "-f", "vmdk", vmdk)
		tool(t, dir, "qemu-img", "compare", "-q", "-f", "raw", "-F", "vmdk", imgtest.WriteRaw(t, d), vmdk)
	}
	tool(t, dir, "python3", append([]string{"-c", pythonOVA, path}, names...)...)
}

// checkManifest turns the manifest into what sha256sum reads.
func checkManifest(t *testing.T, dir string, names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, names[len(names)-1]))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^SHA256\((.*)\)= ([0-9a-f]{64})$`)
	sums := line.ReplaceAllString(string(text), "$2  $1")
	if n := len(line.FindAllString(string(text), -1)); n != len(names)-1 || strings.Count(string(text), "\n") != n {
		t.Errorf("manifest %q", text)
	}
	if err := os.WriteFile(filepath.Join(dir, "sums"), []byte(sums), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "sha256sum", "--strict", "-c", "sums")
}

// pythonOVA reads tar file and descriptor.
const pythonOVA = `
import sys, tarfile, xml.etree.ElementTree as E
with tarfile.open(sys.argv[1], "r:") as t:
    members = t.getmembers()
    assert [m.name for m in members] == sys.argv[2:], members
    assert all(m.isreg() and m.mtime == 0 for m in members)
    root = E.fromstring(t.extractfile(members[0]).read())
    o = "{http://schemas.dmtf.org/ovf/envelope/1}"
    assert root.tag == o + "Envelope", root.tag
    sizes = {f.get(o + "href"): int(f.get(o + "size")) for f in root.iter(o + "File")}
    assert sizes == {m.name: m.size for m in members[1:-1]}, sizes
`

// node is any element.
type node struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Nodes   []node     `xml:",any"`
	Text    string     `xml:",chardata"`
}

func (n node) all(name string) []node {
	var out []node
	for _, c := range n.Nodes {
		if c.XMLName.Local == name {
			out = append(out, c)
		}
	}
	return out
}

func (n node) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (n node) names() []string {
	var out []string
	for _, c := range n.Nodes {
		out = append(out, c.XMLName.Local)
	}
	return out
}

// descriptorOf parses the descriptor of so many disks.
func descriptorOf(t *testing.T, o Options, disks ...stored) node {
	t.Helper()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	p := o.descriptor(disks)
	if int64(len(p)) != o.descriptorSize(len(disks)) || len(p)%blockBytes != 0 {
		t.Errorf("the descriptor has %d bytes, announced are %d", len(p), o.descriptorSize(len(disks)))
	}
	var root node
	if err := xml.Unmarshal(p, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestDescriptorsOrder holds the elements against DSP0243 and its schema, DSP8023:
// sections in the order of the schema's sequences, each with an Info first, and
// the devices' properties in the order of their names.
func TestDescriptorsOrder(t *testing.T) {
	root := descriptorOf(t, Options{Controller: ControllerAHCI}, stored{1, 2, 3}, stored{4, 5, 6})
	if d := cmp.Diff([]string{"References", "DiskSection", "NetworkSection", "VirtualSystem"}, root.names()); d != "" {
		t.Error(d)
	}
	system := root.all("VirtualSystem")[0]
	if d := cmp.Diff([]string{"Info", "Name", "OperatingSystemSection", "VirtualHardwareSection"}, system.names()); d != "" {
		t.Error(d)
	}
	for _, s := range slices.Concat(root.Nodes[1:], system.Nodes[2:]) {
		if len(s.Nodes) == 0 || s.Nodes[0].XMLName.Local != "Info" {
			t.Errorf("%s does not begin with Info", s.XMLName.Local)
		}
	}
	hardware := system.all("VirtualHardwareSection")[0]
	ids := map[string]bool{}
	for _, item := range append(hardware.all("Item"), hardware.all("System")...) {
		if n := item.names(); !slices.IsSorted(n) {
			t.Errorf("an item has its properties in the order %q", n)
		}
		id := item.all("InstanceID")[0].Text
		if ids[id] {
			t.Errorf("two items have instance id %s", id)
		}
		ids[id] = true
	}
}

// TestDescriptorsReferences follows each disk from its device to its file
// (DSP0243, "DiskSection": ovf:/disk/ID; "File References").
func TestDescriptorsReferences(t *testing.T) {
	for _, controller := range []string{ControllerLSILogic, ControllerAHCI} {
		var disks []stored
		for i := range int64(MaxDisks) {
			disks = append(disks, stored{size: 1000 + i, capacity: 512 * (1 + i), populated: i})
		}
		root := descriptorOf(t, Options{Name: "m", Controller: controller}, disks...)
		files, entries := root.all("References")[0].all("File"), root.all("DiskSection")[0].all("Disk")
		hardware := root.all("VirtualSystem")[0].all("VirtualHardwareSection")[0]
		places := map[string]bool{}
		n := 0
		for _, item := range hardware.all("Item") {
			if item.all("ResourceType")[0].Text != "17" {
				continue
			}
			f, d := files[n], entries[n]
			if got, want := item.all("HostResource")[0].Text, "ovf:/disk/"+d.attr("diskId"); got != want {
				t.Errorf("disk %d is %q, want %q", n, got, want)
			}
			if d.attr("fileRef") != f.attr("id") || f.attr("href") != fmt.Sprintf("m-disk%d.vmdk", n+1) || f.attr("size") != fmt.Sprint(disks[n].size) {
				t.Errorf("disk %d is %v of file %v", n, d.Attrs, f.Attrs)
			}
			if d.attr("capacity") != fmt.Sprint(disks[n].capacity) || d.attr("capacityAllocationUnits") != "byte" ||
				d.attr("populatedSize") != fmt.Sprint(disks[n].populated) || !strings.HasSuffix(d.attr("format"), "vmdk.html#streamOptimized") {
				t.Errorf("disk %d: %v", n, d.Attrs)
			}
			place := item.all("AddressOnParent")[0].Text
			if k, err := strconv.Atoi(place); err != nil || places[place] || controller == ControllerLSILogic && (k == 7 || k > 15) {
				t.Errorf("disk %d has place %s", n, place)
			}
			places[place] = true
			if parent := item.all("Parent")[0].Text; parent != "3" {
				t.Errorf("disk %d has parent %s", n, parent)
			}
			n++
		}
		if n != MaxDisks || len(files) != n || len(entries) != n {
			t.Errorf("%d devices, %d files, %d disks", n, len(files), len(entries))
		}
	}
}

// TestDescriptorSaysTheOptions reads each option back where VMware looks for it.
func TestDescriptorSaysTheOptions(t *testing.T) {
	for _, name := range OSTypes() {
		o := Options{Name: "srv", CPUs: 3, MemoryMiB: 4096, OSType: name, Firmware: FirmwareEFI, HardwareVersion: 9}
		system := descriptorOf(t, o, stored{1, 1, 1}).all("VirtualSystem")[0]
		hardware := system.all("VirtualHardwareSection")[0]
		os := system.all("OperatingSystemSection")[0]
		quantity := map[string]string{}
		for _, i := range hardware.all("Item") {
			if q := i.all("VirtualQuantity"); len(q) > 0 {
				quantity[i.all("ResourceType")[0].Text] = q[0].Text + " " + i.all("AllocationUnits")[0].Text
			}
		}
		config := hardware.all("Config")[0]
		got := []string{system.attr("id"), system.all("Name")[0].Text, hardware.all("System")[0].all("VirtualSystemType")[0].Text,
			quantity["3"], quantity["4"], os.attr("id"), os.attr("osType"), config.attr("key"), config.attr("value")}
		want := []string{"srv", "srv", "vmx-09", "3 hertz * 10^6", "4096 byte * 2^20", fmt.Sprint(o.os().cim), o.os().vmware, "firmware", "efi"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestOVAAboveTheOctalLimit has a member of more than 8 GiB, as a sparse file, read
// by GNU tar and Python.
func TestOVAAboveTheOctalLimit(t *testing.T) {
	const size = 9<<30 + 5
	dir := t.TempDir()
	path := filepath.Join(dir, "large.tar")
	if err := os.WriteFile(path, header("large.vmdk", size), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, blockBytes+size+padding(size)+2*blockBytes); err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(tool(t, dir, "tar", "-tvf", path)); f[2] != fmt.Sprint(int64(size)) || f[5] != "large.vmdk" {
		t.Errorf("tar lists %q", f)
	}
	tool(t, dir, "python3", "-c", `import sys, tarfile
m, = tarfile.open(sys.argv[1], "r:").getmembers()
assert m.name == "large.vmdk" and m.size == int(sys.argv[2]), m.size`, path, fmt.Sprint(int64(size)))
}
