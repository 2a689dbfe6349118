package guest_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/guest"
	"ingest/guest/child"
	"ingest/guest/guesttest"
	"ingest/guest/listing"
	"ingest/guest/partition"
)

const mib = 1 << 20

// TestMain is the child too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "guest-child" {
		os.Exit(child.Main(listing.List))
	}
	os.Exit(m.Run())
}

func lister(t testing.TB) child.Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return child.Runner{Path: exe, Args: []string{"guest-child"}, Limits: child.DefaultLimits()}
}

// inspect says what is on a raw disk.
func inspect(t testing.TB, path string) guest.Facts {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := guest.Inspect(t.Context(), f, size, lister(t))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func messages(f guest.Facts) string {
	var out []string
	for _, one := range f.Findings {
		out = append(out, string(one.Severity)+" "+one.Message)
	}
	return strings.Join(out, "\n")
}

// kinds are what is recognised, in order.
func kinds(f guest.Facts) string {
	var out []string
	for _, v := range f.Volumes {
		out = append(out, v.Kind)
	}
	return strings.Join(out, ", ")
}

// debian is the tree of a small system.
func debian(fstab string) map[string]string {
	return map[string]string{
		"usr/lib/os-release":             "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
		"etc/os-release":                 "->../usr/lib/os-release",
		"lib":                            "->usr/lib",
		"etc/fstab":                      fstab,
		"etc/cloud/cloud.cfg":            "users: [default]\n",
		"usr/bin/dash":                   "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00",
		"boot/vmlinuz-6.1.0-30-amd64":    "kernel",
		"boot/initrd.img-6.1.0-30-amd64": "ramdisk",
		"usr/lib/modules/6.1.0-30-amd64/kernel/drivers/block/virtio_blk.ko":  "x",
		"usr/lib/modules/6.1.0-30-amd64/kernel/drivers/net/virtio_net.ko.xz": "x",
		"usr/lib/modules/6.1.0-30-amd64/modules.builtin":                     "kernel/drivers/scsi/virtio_scsi.ko\n",
	}
}

// ext4 makes a file system of a tree.
func ext4(t testing.TB, size int64, files map[string]string) string {
	t.Helper()
	path := guesttest.Blank(t, size)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", guesttest.Tree(t, files), path)
	return path
}

// grubCode makes the first sector look as GRUB leaves it.
func grubCode(t testing.TB, disk string) {
	t.Helper()
	guesttest.Patch(t, disk, 0, []byte("\xeb\x63\x90"))
	guesttest.Patch(t, disk, 0x180, []byte("GRUB \x00Geom\x00Hard Disk\x00"))
}

// TestSystems makes whole disks as installers do. It is as long as its table.
func TestSystems(t *testing.T) {
	linux := map[string]string{"os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64"}
	with := func(more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range linux {
			out[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	esp := map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ", "EFI/debian/grubx64.efi": "MZ"}
	for _, c := range []struct {
		name  string
		make  func(t *testing.T) string
		kinds string
		mode  guest.Mode
		props map[string]string
		says  string // in the findings, "" for none
	}{
		{"gpt with an ESP", func(t *testing.T) string {
			disk := guesttest.Table(t, 200*mib, "label: gpt\n,40M,U\n,,L\n")
			guesttest.Insert(t, disk, guesttest.FAT(t, 40*mib, "32", "ESP", esp), mib)
			guesttest.Insert(t, disk, ext4(t, 64*mib, debian("UUID=1 / ext4 defaults 0 1\n")), 41*mib)
			return disk
		}, "FAT32, ext4", guest.UEFI, with("hw_firmware_type", "uefi", "hw_machine_type", "q35"), ""},
		{"gpt for both", func(t *testing.T) string {
			disk := guesttest.Table(t, 200*mib, "label: gpt\n,1M,21686148-6449-6E6F-744E-656564454649\n,20M,U\n,,L\n")
			guesttest.Insert(t, disk, guesttest.FAT(t, 20*mib, "16", "ESP", esp), 2*mib)
			guesttest.Insert(t, disk, ext4(t, 64*mib, debian("/dev/vda3 / ext4 defaults 0 1\n")), 22*mib)
			grubCode(t, disk)
			return disk
		}, ", FAT16, ext4", guest.Both, linux, "warning /etc/fstab mounts /dev/vda3"},
		{"mbr", func(t *testing.T) string {
			disk := guesttest.Table(t, 100*mib, "label: dos\n,80M,83,*\n,,82\n")
			guesttest.Insert(t, disk, ext4(t, 80*mib, debian("")), mib)
			swap := guesttest.Blank(t, 4*mib)
			guesttest.Run(t, "mkswap", "-q", swap)
			guesttest.Insert(t, disk, swap, 81*mib)
			grubCode(t, disk)
			return disk
		}, "ext4, Linux swap", guest.BIOS, with("hw_firmware_type", "bios"), "info not inspected: it holds no files"},
		{"logical partition", func(t *testing.T) string {
			disk := guesttest.Table(t, 100*mib, "label: dos\n,10M,83\n,,5\n,60M,83\n")
			guesttest.Insert(t, disk, ext4(t, 60*mib, debian("")), 12*mib)
			return disk
		}, ", ext4", guest.Unknown, linux, ""},
		{"mbr in sectors of 4096", func(t *testing.T) string {
			disk := guesttest.Blank(t, 100*mib)
			guesttest.Feed(t, "o\nn\np\n1\n\n+10M\nn\ne\n2\n\n\nn\n\n+60M\nw\n", "fdisk", "-b", "4096", disk)
			guesttest.Insert(t, disk, ext4(t, 60*mib, debian("")), 12*mib)
			return disk
		}, ", ext4", guest.Unknown, linux, ""},
		{"arm64 without an ESP", func(t *testing.T) string {
			disk := guesttest.Table(t, 100*mib, "label: gpt\n,80M,B921B045-1DF0-41C3-AF44-4C6F280D3FAE\n")
			tree := debian("")
			tree["usr/bin/dash"] = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00"
			guesttest.Insert(t, disk, ext4(t, 80*mib, tree), mib)
			return disk
		}, "ext4", guest.Unknown, with("architecture", "aarch64", "hw_machine_type", "virt"), ""},
		{"no virtio", func(t *testing.T) string {
			tree := debian("")
			delete(tree, "usr/lib/modules/6.1.0-30-amd64/kernel/drivers/block/virtio_blk.ko")
			delete(tree, "usr/lib/modules/6.1.0-30-amd64/kernel/drivers/net/virtio_net.ko.xz")
			tree["usr/lib/modules/6.1.0-30-amd64/modules.builtin"] = "kernel/drivers/ata/ahci.ko\n"
			return ext4(t, 64*mib, tree)
		}, "ext4", guest.Unknown, linux, "warning the system has no virtio drivers"},
		{"windows by its ESP", func(t *testing.T) string {
			disk := guesttest.Table(t, 100*mib, "label: gpt\n,40M,U\n,16M,E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n")
			guesttest.Insert(t, disk, guesttest.FAT(t, 40*mib, "32", "SYSTEM", map[string]string{"EFI/Boot/bootx64.efi": "MZ", "EFI/Microsoft/Boot/bootmgfw.efi": "MZ"}), mib)
			return disk
		}, "FAT32, ", guest.UEFI, map[string]string{"os_type": "windows", "os_distro": "windows", "architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}, ""},
		{"squashfs", func(t *testing.T) string {
			path := guesttest.Blank(t, 0)
			guesttest.Run(t, "mksquashfs", guesttest.Tree(t, debian("")), path, "-noappend", "-quiet", "-no-progress")
			return path
		}, "squashfs", guest.Unknown, linux, ""},
		{"iso with rock ridge", func(t *testing.T) string {
			path := guesttest.Blank(t, 0)
			guesttest.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", path, guesttest.Tree(t, debian("")))
			return path
		}, "ISO 9660", guest.Unknown, linux, ""},
		{"ext3", func(t *testing.T) string {
			path := guesttest.Blank(t, 16*mib)
			guesttest.Run(t, "mke2fs", "-q", "-t", "ext3", path)
			return path
		}, "ext3", guest.Unknown, map[string]string{}, "info not inspected: ext2, ext3 and ext4 without metadata checksums are not read"},
		{"nothing", func(t *testing.T) string { return guesttest.Blank(t, mib) }, "", guest.Unknown, map[string]string{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inspect(t, c.make(t))
			if kinds(got) != c.kinds || got.Boot.Mode != c.mode {
				t.Errorf("%q boots by %q %+v, want %q by %q", kinds(got), got.Boot.Mode, got.Boot, c.kinds, c.mode)
			}
			if diff := cmp.Diff(c.props, got.Properties); diff != "" {
				t.Errorf("properties (-want +got)\n%s", diff)
			}
			if text := messages(got); !strings.Contains(text, c.says) || (text == "") != (c.says == "") {
				t.Errorf("findings %q, want %q", text, c.says)
			}
			if c.props["os_distro"] == "debian" {
				want := guest.System{Type: "linux", Distro: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", CloudInit: true,
					Architecture: c.props["architecture"], Kernels: []string{"vmlinuz-6.1.0-30-amd64"}, Virtio: []string{"blk", "net", "scsi"}}
				if c.name == "no virtio" {
					want.Virtio = nil
				}
				if diff := cmp.Diff(want, got.System); diff != "" {
					t.Errorf("system (-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestMinDisk(t *testing.T) {
	for size, want := range map[int64]int64{0: 1, 1: 1, 1 << 30: 1, 1<<30 + 1: 2, 10 << 30: 10, 1<<62 + 1: 1<<32 + 1} {
		got, err := guest.Inspect(t.Context(), zeros{}, size, nil)
		if err != nil || got.MinDisk != want {
			t.Errorf("%d bytes: %d GiB, want %d, %v", size, got.MinDisk, want, err)
		}
	}
}

// zeros is a disk of any size without data.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// TestRealDisks looks into images of Debian's packages.
func TestRealDisks(t *testing.T) {
	for _, c := range []struct {
		path, pkg, kinds string
		scheme           partition.Scheme
		mode             guest.Mode
		props            map[string]string
	}{
		{"", "", "btrfs, ext4, exFAT, NTFS", partition.MBR, guest.Unknown, map[string]string{}},
		{"/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "grub-rescue-pc", "ISO 9660, ", partition.MBR, guest.BIOS, map[string]string{"hw_firmware_type": "bios"}},
		{"/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+", "ISO 9660, FAT12", partition.MBR, guest.Both, map[string]string{"architecture": "x86_64"}},
		{"/usr/lib/ipxe/ipxe.iso", "ipxe", "ISO 9660", partition.MBR, guest.Both, map[string]string{}},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			path := ""
			if c.path == "" {
				path = guesttest.Forensics(t)
			} else {
				path = guesttest.File(t, c.path, c.pkg)
			}
			got := inspect(t, path)
			if kinds(got) != c.kinds || got.Table.Scheme != c.scheme || got.Boot.Mode != c.mode {
				t.Errorf("%q in %q by %q %+v", kinds(got), got.Table.Scheme, got.Boot.Mode, got.Boot)
			}
			if diff := cmp.Diff(c.props, got.Properties); diff != "" {
				t.Errorf("properties (-want +got)\n%s", diff)
			}
			if c.path != "" && slices.ContainsFunc(strings.Split(messages(got), "\n"), func(s string) bool { return strings.HasPrefix(s, "warning") }) {
				t.Errorf("findings: %s", messages(got))
			}
		})
	}
}
