package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"ingest/guest/guesttest"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// debianDisk writes a disk as an installer of Debian leaves it, of a bit more than
// 1 GiB, as a qcow2.
func debianDisk(t testing.TB) string {
	t.Helper()
	disk := guesttest.Table(t, 1<<30+mib, "label: gpt\n,20M,U\n,,L\n")
	guesttest.Insert(t, disk, guesttest.FAT(t, 20*mib, "16", "ESP", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ", "EFI/debian/grubx64.efi": "MZ"}), mib)
	root := guesttest.Blank(t, 32*mib)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", guesttest.Tree(t, map[string]string{
		"etc/os-release":       "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/fstab":            "/dev/sda2 / ext4 defaults 0 1\n",
		"boot/vmlinuz-6.1.0-1": "kernel",
		"usr/bin/dash":         "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00",
	}), root)
	guesttest.Insert(t, disk, root, 21*mib)
	return imgtest.Convert(t, disk, "raw", "qcow2")
}

// What is inside a disk becomes properties of its image, over the API and with the
// command line; what its owner says stays.
func TestInside(t *testing.T) {
	t.Parallel()
	from := serveFile(t, debianDisk(t), true, 0)
	s := start(t, loopback)

	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2"})).TaskID
	task := s.finished(id)
	if task.Status != "success" {
		t.Fatalf("the task has not succeeded: %s", show(task))
	}
	img := s.object(200, "GET", "/v2/images/"+task.ImageID, nil)
	for name, want := range map[string]any{"os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64",
		"hw_firmware_type": "uefi", "hw_machine_type": "q35", "min_disk": 2.0} {
		if img[name] != want {
			t.Errorf("%s is %v, want %v", name, img[name], want)
		}
	}
	told := false
	for _, e := range task.Events {
		told = told || e.Kind == "report" && e.Stage == "validate" &&
			strings.Contains(string(e.Detail), "Debian GNU/Linux 12 (bookworm), x86_64, UEFI") && strings.Contains(string(e.Detail), "/etc/fstab mounts /dev/sda2")
	}
	if !told {
		t.Errorf("no report of what is inside in %s", show(task))
	}

	req := of(from.URL, contract.TargetSpec{Format: "qcow2"})
	req.Image.Properties, req.Image.MinDisk = map[string]string{"os_distro": "ubuntu", "hw_firmware_type": "bios"}, 5
	task = s.finished(s.submit(req).TaskID)
	img = s.object(200, "GET", "/v2/images/"+task.ImageID, nil)
	for name, want := range map[string]any{"os_type": "linux", "os_distro": "ubuntu", "os_version": nil, "hw_firmware_type": "bios", "hw_machine_type": nil, "min_disk": 5.0} {
		if img[name] != want {
			t.Errorf("%s is %v, want %v", name, img[name], want)
		}
	}

	got := ingest(t, "import", from.URL, "--server", s.url, "--name", "cli", "--json")
	if got.code != 0 || !strings.Contains(got.stderr, "\ninside    Debian GNU/Linux 12 (bookworm), x86_64, UEFI\n") || !json.Valid([]byte(got.stdout)) {
		t.Errorf("import ends with %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = ingest(t, "task", "show", id, "--server", s.url)
	if got.code != 0 || !strings.Contains(got.stdout, "inside: Debian GNU/Linux 12 (bookworm), x86_64, UEFI") {
		t.Errorf("task show ends with %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// Without --inspect, nobody looks, and min_disk is known all the same.
func TestInsideSwitchedOff(t *testing.T) {
	t.Parallel()
	from := serveFile(t, debianDisk(t), true, 0)
	s := start(t, append([]string{"--inspect=false"}, loopback...))
	task := s.finished(s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2"})).TaskID)
	img := s.object(200, "GET", "/v2/images/"+task.ImageID, nil)
	if img["status"] != "active" || img["os_distro"] != nil || img["min_disk"] != 2.0 {
		t.Errorf("%v", img)
	}
}
