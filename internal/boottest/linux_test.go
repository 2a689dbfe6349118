package boottest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ingest/internal/imgtest"
)

// linuxEnv names the folder of a Linux kernel, vmlinuz-*, and its modules, *.ko,
// at any depth. Without it, it is below the user's cache folder, where
// `scripts/setup slow` unpacks them from a Debian package.
const linuxEnv = "INGEST_LINUX"

const (
	grubDir     = "/usr/lib/grub/i386-pc"
	partOff     = 1 << 20 // where the partition begins, bytes
	partBytes   = 96 << 20
	payloadSize = 24 << 20
)

// modules are those of a virtio disk, in the order in which they are loaded.
var modules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"}

const grubConfig = `serial --unit=0 --speed=115200
terminal_output serial
linux /boot/vmlinuz console=ttyS0 panic=1
initrd /boot/initrd
boot
`

// linuxDisk returns the path of a raw disk with GRUB in its first MiB and a Linux
// in the ext4 file system of its one partition.
func linuxDisk(t *testing.T) string {
	t.Helper()
	kernel := linuxFiles(t)
	root := t.TempDir()
	payload := make([]byte, payloadSize)
	imgtest.ReadFull(t, imgtest.Random(9, payloadSize, payloadSize/2), payload, 0)
	digest := sha256.Sum256(payload)
	put(t, filepath.Join(root, "payload"), payload)
	put(t, filepath.Join(root, "boot/grub/grub.cfg"), []byte(grubConfig))
	put(t, filepath.Join(root, "boot/vmlinuz"), kernel["vmlinuz"])
	put(t, filepath.Join(root, "boot/initrd"), initrd(t, kernel, digest[:]))

	work := t.TempDir()
	part, core, disk := filepath.Join(work, "part"), filepath.Join(work, "core.img"), filepath.Join(work, "linux.raw")
	run(t, "mke2fs", "-q", "-t", "ext4", "-d", root, part, fmt.Sprintf("%dM", partBytes>>20))
	run(t, "grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/boot/grub",
		"biosdisk", "part_msdos", "ext2", "normal", "configfile", "linux", "serial", "terminal")
	head := get(t, filepath.Join(grubDir, "boot.img"))[:sectorBytes]
	entry := head[codeBytes:]
	clear(entry[:64])
	entry[0], entry[4] = 0x80, 0x83 // active, Linux
	binary.LittleEndian.PutUint32(entry[8:], partOff/sectorBytes)
	binary.LittleEndian.PutUint32(entry[12:], partBytes/sectorBytes)
	head[510], head[511] = 0x55, 0xAA
	head = append(head, get(t, core)...)
	if len(head) > partOff {
		t.Fatalf("GRUB has %d bytes and does not fit before the partition", len(head))
	}
	f, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(head, 0); err != nil {
		t.Fatal(err)
	}
	body := get(t, part)
	for off := 0; off < len(body); off += 1 << 16 { // holes stay holes
		if b := body[off:min(off+1<<16, len(body))]; !bytes.Equal(b, make([]byte, len(b))) {
			if _, err := f.WriteAt(b, int64(partOff+off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(partOff + partBytes); err != nil {
		t.Fatal(err)
	}
	return disk
}

// linuxFiles returns the kernel, as "vmlinuz", and its modules by name.
func linuxFiles(t *testing.T) map[string][]byte {
	t.Helper()
	dir := os.Getenv(linuxEnv)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "ingest", "linux")
	}
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := e.Name()
		if ok, _ := filepath.Match("vmlinuz-*", name); ok {
			out["vmlinuz"] = get(t, path)
		}
		if m, ok := bytes.CutSuffix([]byte(name), []byte(".ko")); ok && slices.Contains(modules, string(m)) {
			out[string(m)] = get(t, path)
		}
		return nil
	})
	if err != nil || len(out) != len(modules)+1 {
		t.Fatalf("no Linux with its modules in %s (%v): run `scripts/setup slow`, or set %s", dir, err, linuxEnv)
	}
	return out
}

// initrd returns an initramfs with linuxinit, the modules and the digest, as an
// archive of cpio's format "newc".
func initrd(t *testing.T, kernel map[string][]byte, digest []byte) []byte {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "init")
	cmd := exec.Command("go", "build", "-o", bin, "-ldflags", "-s -w", "./linuxinit")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build linuxinit: %v\n%s", err, out)
	}
	var out bytes.Buffer
	inode := 0
	add := func(name string, mode int, data []byte) {
		inode++
		fmt.Fprintf(&out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		out.Write(make([]byte, -out.Len()&3))
		out.Write(data)
		out.Write(make([]byte, -out.Len()&3))
	}
	add("init", 0o100755, get(t, bin))
	add("digest", 0o100644, digest)
	add("modules", 0o040755, nil)
	for i, m := range modules {
		add(fmt.Sprintf("modules/%02d-%s.ko", i, m), 0o100644, kernel[m])
	}
	add("TRAILER!!!", 0, nil)
	return out.Bytes()
}

// run runs a program, which may be where only root looks for it.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: run `scripts/setup slow`\n%s", name, err, out)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
