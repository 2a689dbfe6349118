package ovf

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// A part is a member of an OVA.
type part struct {
	name string
	data []byte
}

// pack makes a tar file.
func pack(t testing.TB, parts ...part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		if err := w.WriteHeader(&tar.Header{Name: p.name, Size: int64(len(p.data)), Typeflag: '0', Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// envelope puts a descriptor together.
func envelope(references, disks, system string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
<References>` + references + `</References><DiskSection><Info>Disks</Info>` + disks + `</DiskSection>` + system + `</Envelope>`
}

// The good descriptor: two disks, the second of which comes first on its controller.
const (
	goodFiles = `<File ovf:href="a.vmdk" ovf:id="f1" ovf:size="6"/><File ovf:href="b.vmdk" ovf:id="f2"/>`
	goodDisks = `<Disk ovf:capacity="2" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="d1" ovf:fileRef="f1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>` +
		`<Disk ovf:capacity="4096" ovf:diskId="d2" ovf:fileRef="f2"/>`
	goodSystem = `<VirtualSystem ovf:id="vm"><Info>x</Info><Name>web &amp; mail</Name>
<OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest"><Info>x</Info></OperatingSystemSection>
<VirtualHardwareSection><Info>x</Info>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d2</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
</VirtualHardwareSection></VirtualSystem>`
)

func good() string { return envelope(goodFiles, goodDisks, goodSystem) }

// ova packs a descriptor with the two disks and what follows.
func ova(t testing.TB, descriptor string, more ...part) []byte {
	return pack(t, append([]part{{"vm.ovf", []byte(descriptor)}, {"a.vmdk", []byte("disk a")}, {"b.vmdk", []byte("disk b")}}, more...)...)
}

func open(p []byte) (*Package, error) {
	return Open(bytes.NewReader(p), int64(len(p)), archive.DefaultLimits(), DefaultLimits())
}

func wantCode(t testing.TB, err error, code errcode.Code) {
	t.Helper()
	if e, ok := errcode.As(err); errcode.Of(err) != code || ok && e.Evidence == nil {
		t.Errorf("got %v, want %s with evidence", err, code)
	}
}

// manifest makes lines for the members of ova.
func manifest(name, form string, h func() hash.Hash, descriptor string) part {
	var b strings.Builder
	for _, m := range []part{{"vm.ovf", []byte(descriptor)}, {"a.vmdk", []byte("disk a")}, {"b.vmdk", []byte("disk b")}} {
		s := h()
		s.Write(m.data)
		fmt.Fprintf(&b, form, m.name, s.Sum(nil))
	}
	return part{name, []byte(b.String())}
}

func TestPackage(t *testing.T) {
	p, err := open(ova(t, good()))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"hw_firmware_type": "uefi", "hw_disk_bus": "scsi", "hw_scsi_model": "vmpvscsi", "hw_vif_model": "vmxnet3", "os_type": "linux"}
	if diff := cmp.Diff(p.Properties, want); diff != "" {
		t.Error(diff)
	}
	if p.Name != "web & mail" || len(p.Disks) != 2 || p.Blank != 0 {
		t.Fatalf("%q with %d disks", p.Name, len(p.Disks))
	}
	for i, w := range []struct {
		name, data string
		boot       bool
		capacity   int64
	}{{"b.vmdk", "disk b", true, 4096}, {"a.vmdk", "disk a", false, 2 << 30}} {
		d := p.Disks[i]
		data, err := io.ReadAll(d.Section())
		if d.Name != w.name || string(data) != w.data || err != nil || d.Boot != w.boot || d.Capacity != w.capacity {
			t.Errorf("disk %d is %+v with %q, %v", i, d, data, err)
		}
	}
	if err := p.Disks[0].CheckCapacity(4096); err != nil {
		t.Error(err)
	}
	wantCode(t, p.Disks[0].CheckCapacity(4097), errcode.OVACapacity)
	if n, err := p.Verify(context.Background()); n != 0 || err != nil {
		t.Errorf("without a manifest %d files are verified, %v", n, err)
	}
}

func TestManifests(t *testing.T) {
	for name, m := range map[string]part{
		"SHA1":             manifest("vm.mf", "SHA1(%s)= %x\n", sha1.New, good()),
		"SHA256":           manifest("vm.mf", "SHA256(%s)= %x\r\n", sha256.New, good()),
		"SHA512, a space":  manifest("vm.mf", "SHA512 (%s) = %X\n", sha512.New, good()),
		"of another name":  manifest("other.mf", "SHA256(%s)=%x\n", sha256.New, good()),
		"lists itself too": {"vm.mf", append(manifest("vm.mf", "SHA1(%s)= %x\n", sha1.New, good()).data, ("SHA1(vm.mf)= " + strings.Repeat("0", 40))...)},
	} {
		p, err := open(ova(t, good(), m, part{"vm.cert", []byte("-----BEGIN")}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n, err := p.Verify(context.Background()); n != 3 || err != nil {
			t.Errorf("%s: %d files are verified, %v", name, n, err)
		}
	}
	p, err := open(bytes.Replace(ova(t, good(), manifest("vm.mf", "SHA1(%s)= %x\n", sha1.New, good())), []byte("disk b"), []byte("disk B"), 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Verify(context.Background())
	wantCode(t, err, errcode.OVAManifest)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled verification: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	swap := func(old, now string) []byte {
		if !strings.Contains(good(), old) {
			t.Fatalf("no %q", old)
		}
		return ova(t, strings.Replace(good(), old, now, 1))
	}
	mf := func(text string) []byte { return ova(t, good(), part{"vm.mf", []byte(text)}) }
	sums := string(manifest("", "SHA1(%s)= %x\n", sha1.New, good()).data)
	for _, c := range []struct {
		name string
		p    []byte
		want errcode.Code
	}{
		{"descriptor is second", pack(t, part{"a.vmdk", nil}, part{"vm.ovf", []byte(good())}), errcode.OVANoOVF},
		{"no XML", ova(t, "vm"), errcode.OVFInvalid},
		{"nothing", ova(t, ""), errcode.OVFInvalid},
		{"cut", ova(t, good()[:1500]), errcode.OVFInvalid},
		{"two envelopes", ova(t, good()+`<Envelope/>`), errcode.OVFInvalid},
		{"another namespace", swap("http://schemas.dmtf.org/ovf/envelope/1", "http://example.org/"), errcode.OVFInvalid},
		{"another encoding", swap("UTF-8", "UTF-16"), errcode.OVFInvalid},
		{"entity", swap("web &amp; mail", "&xxe;"), errcode.OVFInvalid},
		{"document type", swap("<Envelope", `<!DOCTYPE Envelope [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><Envelope`), errcode.OVFDTD},
		{"document type within", swap("<References>", `<!DOCTYPE x><References>`), errcode.OVFDTD},
		{"two machines", ova(t, envelope(goodFiles, goodDisks, goodSystem+goodSystem)), errcode.OVFInvalid},
		{"no disk", ova(t, envelope(goodFiles, "", goodSystem)), errcode.OVFInvalid},
		{"only blank disks", ova(t, envelope(goodFiles, `<Disk ovf:capacity="1" ovf:diskId="x"/>`, goodSystem)), errcode.OVFInvalid},
		{"two disks of one ID", swap(`diskId="d2"`, `diskId="d1"`), errcode.OVFInvalid},
		{"two disks in one file", swap(`fileRef="f2"`, `fileRef="f1"`), errcode.OVADuplicate},
		{"two files of one ID", swap(`ovf:id="f2"`, `ovf:id="f1"`), errcode.OVADuplicate},
		{"one file twice", swap(`href="b.vmdk"`, `href="a.vmdk"`), errcode.OVADuplicate},
		{"the descriptor as a disk", swap(`href="b.vmdk"`, `href="vm.ovf"`), errcode.OVADuplicate},
		{"disk without its file", swap(`fileRef="f2"`, `fileRef="f3"`), errcode.OVAMemberMissing},
		{"file that is not there", swap(`href="b.vmdk"`, `href="c.vmdk"`), errcode.OVAMemberMissing},
		{"file in other case", swap(`href="b.vmdk"`, `href="B.vmdk"`), errcode.OVAMemberMissing},
		{"other size", swap(`size="6"`, `size="7"`), errcode.OVAMemberSize},
		{"http", swap(`href="b.vmdk"`, `href="http://169.254.169.254/b.vmdk"`), errcode.OVARemoteHref},
		{"file", swap(`href="b.vmdk"`, `href="file:///etc/passwd"`), errcode.OVARemoteHref},
		{"host", swap(`href="b.vmdk"`, `href="//host/b.vmdk"`), errcode.OVARemoteHref},
		{"UNC", swap(`href="b.vmdk"`, `href="\\host\share\b.vmdk"`), errcode.OVARemoteHref},
		{"parent", swap(`href="b.vmdk"`, `href="../../../vmdk/dummy.vmdk"`), errcode.OVAPath},
		{"absolute", swap(`href="b.vmdk"`, `href="/etc/passwd"`), errcode.OVAPath},
		{"drive", swap(`href="b.vmdk"`, `href="c:\b.vmdk"`), errcode.OVAPath},
		{"no href", swap(`href="b.vmdk"`, `href=""`), errcode.OVAPath},
		{"compressed", swap(`href="b.vmdk"`, `href="b.vmdk" ovf:compression="gzip"`), errcode.CompressionMethod},
		{"in pieces", swap(`href="b.vmdk"`, `href="b.vmdk" ovf:chunkSize="100"`), errcode.CompressionMethod},
		{"delta", swap(`fileRef="f2"`, `fileRef="f2" ovf:parentRef="d1"`), errcode.OVADelta},
		{"capacity", swap(`capacity="4096"`, `capacity="4 GB"`), errcode.OVFInvalid},
		{"negative capacity", swap(`capacity="4096"`, `capacity="-1"`), errcode.OVFInvalid},
		{"capacity of 2^63", swap(`byte * 2^30`, `byte * 2^62`), errcode.OVFInvalid},
		{"capacity of too many bits", swap(`byte * 2^30`, `byte * 2^255`), errcode.OVFInvalid},
		{"unknown unit", swap(`byte * 2^30`, `furlong`), errcode.OVFInvalid},
		{"stranger", ova(t, good(), part{"x.exe", nil}), errcode.OVAUnreferenced},
		{"two manifests", ova(t, good(), part{"a.mf", []byte(sums)}, part{"b.mf", nil}), errcode.OVAUnreferenced},
		{"manifest names a stranger", mf("SHA1(x.vmdk)= " + strings.Repeat("0", 40)), errcode.OVAManifest},
		{"manifest names one twice", mf(sums + sums), errcode.OVAManifest},
		{"manifest leaves one out", mf(sums[:strings.LastIndex(sums, "SHA1")]), errcode.OVAManifest},
		{"manifest is empty", mf(""), errcode.OVAManifest},
		{"manifest with MD5", mf("MD5(a.vmdk)= " + strings.Repeat("0", 32)), errcode.OVAManifest},
		{"digest too short", mf("SHA1(a.vmdk)= 00"), errcode.OVAManifest},
		{"manifest is no manifest", mf("hello"), errcode.OVAManifest},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(c.p)
			wantCode(t, err, c.want)
		})
	}
}

func TestLimits(t *testing.T) {
	files := func(n int) (string, string, []part) {
		var refs, disks strings.Builder
		var parts []part
		for i := range n {
			fmt.Fprintf(&refs, `<File ovf:href="%d.vmdk" ovf:id="f%d"/>`, i, i)
			if i < 1 {
				fmt.Fprintf(&disks, `<Disk ovf:capacity="1" ovf:diskId="d%d" ovf:fileRef="f%d"/>`, i, i)
			}
			parts = append(parts, part{fmt.Sprint(i, ".vmdk"), nil})
		}
		return refs.String(), disks.String(), parts
	}
	withFiles := func(n int) []byte {
		refs, disks, parts := files(n)
		return pack(t, append([]part{{"vm.ovf", []byte(envelope(refs, disks, ""))}}, parts...)...)
	}
	withDisks := func(n int) []byte {
		d := goodDisks
		for i := 2; i < n; i++ {
			d += fmt.Sprintf(`<Disk ovf:capacity="1" ovf:diskId="blank%d"/>`, i)
		}
		return ova(t, envelope(goodFiles, d, goodSystem))
	}
	depth := func(n int) []byte { // the envelope is the first level
		return ova(t, envelope(goodFiles, goodDisks, goodSystem+strings.Repeat("<x>", n-1)+strings.Repeat("</x>", n-1)))
	}
	long := func(n int) []byte { return ova(t, good()+strings.Repeat(" ", n-len(good()))) }
	devices := func(n int) []byte {
		return ova(t, strings.Replace(good(), "<Item>", strings.Repeat("<Item></Item>", n-4)+"<Item>", 1))
	}
	mf := func(n int) []byte {
		m := manifest("vm.mf", "SHA1(%s)= %x\n", sha1.New, good())
		return ova(t, good(), part{"vm.mf", append(m.data, strings.Repeat("\n", n-len(m.data))...)})
	}
	lim := DefaultLimits()
	for _, c := range []struct {
		name string
		make func(n int) []byte
		at   int
	}{
		{"files", withFiles, lim.Files}, {"disks", withDisks, lim.Disks}, {"depth", depth, lim.Depth},
		{"bytes", long, int(lim.DescriptorBytes)}, {"devices", devices, maxItems}, {"manifest", mf, int(lim.ManifestBytes)},
	} {
		if _, err := open(c.make(c.at)); err != nil {
			t.Errorf("%s at the limit: %v", c.name, err)
		}
		_, err := open(c.make(c.at + 1))
		t.Log(c.name)
		wantCode(t, err, errcode.OVFTooLarge)
	}
}

func TestOrderBootAndFirmware(t *testing.T) {
	system := func(old, now string) string {
		return envelope(goodFiles, goodDisks, strings.Replace(goodSystem, old, now, -1))
	}
	for _, c := range []struct {
		name, text, first, boot, firmware string
	}{
		{"by address", good(), "b.vmdk", "b.vmdk", "uefi"},
		{"by the section", envelope(goodFiles, goodDisks, ""), "a.vmdk", "a.vmdk", ""},
		{"VMware's boot order", system("</VirtualSystem>", `<vmw:BootOrderSection vmw:instanceId="4" vmw:type="disk"><Info/></vmw:BootOrderSection></VirtualSystem>`), "b.vmdk", "a.vmdk", "uefi"},
		{"boot order of what is not there", system("</VirtualSystem>", `<vmw:BootOrderSection vmw:instanceId="99" vmw:type="disk"/></VirtualSystem>`), "b.vmdk", "b.vmdk", "uefi"},
		{"BIOS", system(`value="efi"`, `value="bios"`), "b.vmdk", "b.vmdk", "bios"},
		{"firmware that nobody knows", system(`value="efi"`, `value="$(reboot)"`), "b.vmdk", "b.vmdk", ""},
		{"VirtualBox", system(`<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>`,
			`</VirtualHardwareSection><vbox:Machine><Hardware><Firmware type="EFI64"/></Hardware></vbox:Machine><VirtualHardwareSection>`), "b.vmdk", "b.vmdk", "uefi"},
		{"version 2", strings.ReplaceAll(strings.ReplaceAll(good(), "Item>", "StorageItem>"), "envelope/1", "envelope/2"), "b.vmdk", "b.vmdk", "uefi"},
		{"ASCII", strings.Replace(good(), "UTF-8", "US-ASCII", 1), "b.vmdk", "b.vmdk", "uefi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := open(ova(t, c.text))
			if err != nil {
				t.Fatal(err)
			}
			boot := ""
			for _, d := range p.Disks {
				if d.Boot {
					boot += d.Name
				}
			}
			if p.Disks[0].Name != c.first || boot != c.boot || p.Properties["hw_firmware_type"] != c.firmware {
				t.Errorf("first %s, boot %s, firmware %q", p.Disks[0].Name, boot, p.Properties["hw_firmware_type"])
			}
		})
	}
}

// FuzzOVF holds that whatever the descriptor says, disks are members and the rest is
// of a fixed vocabulary.
func FuzzOVF(f *testing.F) {
	formattest.Seeds(f)
	f.Add([]byte(good()), []byte("SHA1(a.vmdk)= 00"))
	f.Add([]byte(good()), manifest("", "SHA256(%s)= %x\n", sha256.New, good()).data)
	f.Add([]byte(strings.ReplaceAll(good(), "envelope/1", "envelope/2")), []byte(nil))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><Envelope>&a;</Envelope>`), []byte(nil))
	f.Fuzz(func(t *testing.T, text, mf []byte) {
		more := []part{}
		if mf != nil {
			more = append(more, part{"vm.mf", mf})
		}
		p, err := open(ova(t, string(text), more...))
		if err != nil {
			if errcode.Of(err) == errcode.Internal {
				t.Fatal(err)
			}
			return
		}
		boot := 0
		for _, d := range p.Disks {
			if d.Name != "a.vmdk" && d.Name != "b.vmdk" || d.Capacity < 0 || d.Size != 6 {
				t.Fatalf("%+v", d)
			}
			if d.Boot {
				boot++
			}
		}
		if boot != 1 || len(p.Disks) > 2 || len(p.Properties) > 5 {
			t.Fatalf("%+v", p)
		}
		for k, v := range p.Properties {
			if len(v) > 12 {
				t.Fatalf("%s = %q", k, v)
			}
		}
		if _, err := p.Verify(context.Background()); err != nil && errcode.Of(err) != errcode.OVAManifest {
			t.Fatal(err)
		}
	})
}
