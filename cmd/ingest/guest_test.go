package main

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ingest/guest/child"
	"ingest/guest/guesttest"
	"ingest/guest/listing"
	"ingest/internal/imgtest"
)

// TestMain is the child too, as the program is: `ingest inspect` starts the program
// that it is part of.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == guestChild {
		os.Exit(child.Main(listing.List))
	}
	os.Exit(m.Run())
}

// system makes a disk with an ESP and a small Linux.
func system(t *testing.T) string {
	t.Helper()
	disk := guesttest.Table(t, 128<<20, "label: gpt\nsize=20M,type=U,name=\"first\"\ntype=L\n")
	esp := guesttest.FAT(t, 20<<20, "16", "ESP", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ"})
	root := guesttest.Blank(t, 64<<20)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", guesttest.Tree(t, map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\x1b[2J\"\n", "boot/vmlinuz-6.1": "x", "etc/fstab": "/dev/sda2 / ext4\n",
	}), root)
	guesttest.Insert(t, disk, esp, 1<<20)
	guesttest.Insert(t, disk, root, 21<<20)
	return disk
}

// TestInspectInside looks into the same disk in several formats.
func TestInspectInside(t *testing.T) {
	disk := system(t)
	for _, path := range []string{disk, imgtest.Convert(t, disk, "raw", "qcow2", "-c"), imgtest.Convert(t, disk, "raw", "vmdk", "subformat=streamOptimized")} {
		out := runLocal(t, "inspect", "--json", path)
		var got struct {
			DiskFormat string `json:"disk_format"`
			Safe       bool
			Guest      struct {
				MinDisk    int64             `json:"min_disk"`
				Properties map[string]string `json:"properties"`
				Boot       struct{ Mode string }
				Volumes    []struct{ Kind, Label string }
				Table      struct {
					Scheme     string
					Partitions []struct{ Name string }
				} `json:"partition_table"`
				Findings []struct{ Message string }
			}
		}
		if err := json.Unmarshal([]byte(out.out), &got); err != nil || out.code != 0 {
			t.Fatalf("%d, %v: %s%s", out.code, err, out.out, out.err)
		}
		g := got.Guest
		if !got.Safe || got.DiskFormat == "" || g.MinDisk != 1 || g.Boot.Mode != "uefi" || g.Table.Scheme != "gpt" || len(g.Volumes) != 2 || g.Volumes[1].Label != "root" || g.Table.Partitions[0].Name != "first" {
			t.Errorf("%+v", got)
		}
		if p := g.Properties; p["os_distro"] != "debian" || p["os_version"] != "12" || p["architecture"] != "x86_64" || p["hw_firmware_type"] != "uefi" {
			t.Errorf("%v", p)
		}
		if len(g.Findings) != 1 || !strings.Contains(g.Findings[0].Message, "/dev/sda2") {
			t.Errorf("%+v", g.Findings)
		}
	}
	out := runLocal(t, "inspect", disk)
	for _, want := range []string{"GPT partition table, sectors of 512 bytes\n┌", "│ext4", "\nsystem Debian 12?[2J", "\nboots by uefi", "remedy: Mount by UUID="} {
		if out.code != 0 || !strings.Contains(squeeze(out.out), want) {
			t.Errorf("%d, no %q in\n%s", out.code, want, out.out)
		}
	}
	if strings.Contains(out.out, "\x1b") {
		t.Error("the disk's text reaches the terminal as it is")
	}
}

func TestInspectPicture(t *testing.T) {
	disk := system(t)
	path := filepath.Join(t.TempDir(), "layout.png")
	runLocal(t, "inspect", disk, "--png", path, "-q").want(t, 0, `.*`, "")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() != 1200 {
		t.Errorf("%v", err)
	}
	if out := runLocal(t, "inspect", disk, "--png", path); out.code != 1 {
		t.Errorf("an existing file is replaced: %+v", out)
	}
	if out := runLocal(t, "inspect", disk, "--png", disk, "--force"); out.code != 2 {
		t.Errorf("the image itself is replaced: %+v", out)
	}
	if out := runLocal(t, "inspect", disk, "--force"); out.code != 2 {
		t.Errorf("--force alone: %+v", out)
	}
}

// TestInspectCrafted demands that a disk which kills its reader is inspected all the
// same.
func TestInspectCrafted(t *testing.T) {
	disk := system(t)
	loop := make([]byte, 4)
	for i := 2; i < 100; i++ { // chains of the ESP's clusters that lead to themselves
		loop = append(loop, byte(i), 0)
	}
	// mkfs.vfat has four reserved sectors here and two tables; both are wrong.
	boot, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	b := boot[1<<20:]
	reserved, sectors := int64(b[14])|int64(b[15])<<8, int64(b[22])|int64(b[23])<<8
	for n := range int64(2) {
		guesttest.Patch(t, disk, 1<<20+(reserved+n*sectors)*512+4, loop[4:])
	}
	out := runLocal(t, "inspect", disk)
	if out.code != 0 || !strings.Contains(out.out, "partition 1: not inspected: it took more than") || !strings.Contains(squeeze(out.out), "\nsystem Debian 12") {
		t.Errorf("%d:\n%s%s", out.code, out.out, out.err)
	}
}

// squeeze makes one space of many, so that columns may be as wide as they are.
func squeeze(s string) string { return regexp.MustCompile(` {2,}`).ReplaceAllString(s, " ") }
