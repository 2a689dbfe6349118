package guest_test

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingest/guest"
	"ingest/guest/guesttest"
)

// rootSize is the size of the file system of guesttest.Debian, bytes.
const rootSize = 900 * mib

// debianDisks are disks with a Debian that its own packages were installed into, and
// the ways in which a machine boots from them.
func debianDisks(t *testing.T) map[guest.Mode][]string {
	t.Helper()
	root := guesttest.Debian(t)
	loader := map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ", "EFI/debian/grubx64.efi": "MZ"}
	esp := guesttest.FAT(t, 40*mib, "32", "ESP", loader)
	mbr := guesttest.Table(t, rootSize+8*mib, "label: dos\n,900M,83,*\n")
	guesttest.Insert(t, mbr, root, mib)
	grubCode(t, mbr)
	bios := guesttest.Table(t, rootSize+8*mib, "label: gpt\n,1M,21686148-6449-6E6F-744E-656564454649\n,900M,L\n")
	guesttest.Insert(t, bios, root, 2*mib)
	grubCode(t, bios)
	uefi := guesttest.Table(t, rootSize+48*mib, "label: gpt\n,40M,U\n,900M,L\n")
	guesttest.Insert(t, uefi, esp, mib)
	guesttest.Insert(t, uefi, root, 41*mib)
	mbrESP := guesttest.Table(t, rootSize+48*mib, "label: dos\n,40M,ef\n,900M,83\n")
	guesttest.Insert(t, mbrESP, esp, mib)
	guesttest.Insert(t, mbrESP, root, 41*mib)
	both := guesttest.Table(t, rootSize+48*mib, "label: gpt\n,1M,21686148-6449-6E6F-744E-656564454649\n,40M,U\n,900M,L\n")
	guesttest.Insert(t, both, esp, 2*mib)
	guesttest.Insert(t, both, root, 42*mib)
	grubCode(t, both)
	return map[guest.Mode][]string{guest.BIOS: {mbr, bios}, guest.UEFI: {uefi, mbrESP}, guest.Both: {both}}
}

// TestDebian looks into disks with a Debian of real packages, and compares the facts
// with those of virt-inspector, which boots a Linux of its own to mount them.
func TestDebian(t *testing.T) {
	guesttest.Slow(t)
	disks := debianDisks(t)
	for mode, paths := range disks {
		for _, path := range paths {
			got := inspect(t, path)
			s := got.System
			if got.Boot.Mode != mode || !got.Boot.Certain {
				t.Errorf("boots by %+v, want %s", got.Boot, mode)
			}
			if s.Distro != "debian" || s.Version == "" || s.Architecture != "x86_64" || !s.CloudInit || len(s.Kernels) != 1 || !strings.HasPrefix(s.Kernels[0], "vmlinuz-") {
				t.Errorf("%+v", s)
			}
			if !slices.Equal(s.Virtio, []string{"blk", "net", "scsi"}) {
				t.Errorf("drivers %q", s.Virtio)
			}
			if len(got.Findings) > 0 {
				t.Errorf("findings: %s", messages(got))
			}
		}
	}
	compare(t, inspect(t, disks[guest.UEFI][0]), virtInspector(t, disks[guest.UEFI][0]))
}

// An inspection is what virt-inspector tells.
type inspection struct {
	Systems []struct {
		Name        string `xml:"name"`
		Arch        string `xml:"arch"`
		Distro      string `xml:"distro"`
		Product     string `xml:"product_name"`
		Major       string `xml:"major_version"`
		FileSystems []struct {
			Dev   string `xml:"dev,attr"`
			Type  string `xml:"type"`
			Label string `xml:"label"`
			UUID  string `xml:"uuid"`
		} `xml:"filesystems>filesystem"`
	} `xml:"operatingsystem"`
}

// virtInspector asks virt-inspector, whose Linux runs without KVM.
func virtInspector(t *testing.T, path string) inspection {
	t.Helper()
	t.Setenv("LIBGUESTFS_BACKEND", "direct")
	t.Setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
	// It makes its Linux once, and keeps it: not where the user keeps his own.
	t.Setenv("LIBGUESTFS_CACHEDIR", filepath.Dir(guesttest.Debian(t)))
	t.Setenv("HOME", os.TempDir())
	text := guesttest.Run(t, "virt-inspector", "--no-applications", "--no-icon", "--format=raw", "-a", path)
	var out inspection
	if err := xml.Unmarshal([]byte(text), &out); err != nil || len(out.Systems) != 1 {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// compare holds the facts against virt-inspector's, which knows of file systems those
// that /etc/fstab mounts, and for Debian's full name its point release.
func compare(t *testing.T, got guest.Facts, by inspection) {
	t.Helper()
	s, w := got.System, by.Systems[0]
	if s.Type != w.Name || s.Distro != w.Distro || s.Architecture != w.Arch || s.Version != w.Major || !strings.HasPrefix(w.Product, w.Major) {
		t.Errorf("%+v, want %+v", s, w)
	}
	var have, want []string
	for _, v := range got.Volumes {
		have = append(have, blkType(v.Kind)+" "+v.Label+" "+v.UUID)
	}
	for _, f := range w.FileSystems {
		want = append(want, f.Type+" "+f.Label+" "+f.UUID)
	}
	slices.Sort(have)
	slices.Sort(want)
	if len(want) != 2 || !slices.Equal(have, want) {
		t.Errorf("file systems %q, want %q", have, want)
	}
}

// blkType is what libguestfs calls a kind.
func blkType(kind string) string {
	if strings.HasPrefix(kind, "FAT") {
		return "vfat"
	}
	return kind
}
