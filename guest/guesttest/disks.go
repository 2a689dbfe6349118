// Package guesttest makes disks with other programs than ingest, for the tests of
// what is inside disks: partition tables with sfdisk and sgdisk, file systems with
// their own mkfs.
package guesttest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/imgtest"
)

// packages names the Debian package of each program that is used here.
func packages() map[string]string {
	return map[string]string{
		"sfdisk": "fdisk", "fdisk": "fdisk", "sgdisk": "gdisk", "mke2fs": "e2fsprogs", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "mmd": "mtools",
		"mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs", "mksquashfs": "squashfs-tools", "xorriso": "xorriso",
		"cryptsetup": "cryptsetup-bin", "mkfs.exfat": "exfatprogs", "mkswap": "util-linux", "blkid": "util-linux", "xz": "xz-utils",
		"virt-inspector": "libguestfs-tools",
	}
}

// Run runs a program and returns its standard output. Without the program the test
// fails, or is skipped if imgtest.SkipEnv is set.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return Feed(t, "", name, args...)
}

// Feed is Run with a standard input.
func Feed(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Debian keeps the tools of disks where a user's PATH may not lead.
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		missing(t, name, packages()[name])
	}
	cmd := exec.Command(path, args...)
	// mke2fs and mtools stop at what an interactive user should know.
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "LC_ALL=C")
	cmd.Stdin = strings.NewReader(stdin)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out.String(), words.String())
	}
	return out.String()
}

// missing ends the test for want of a package.
func missing(t testing.TB, what, pkg string) {
	t.Helper()
	if os.Getenv(imgtest.SkipEnv) != "" {
		t.Skipf("NOT TESTED: %s is absent and %s is set", what, imgtest.SkipEnv)
	}
	t.Fatalf("%s is absent: run `scripts/setup` or `apt-get install %s`, or set %s to skip", what, pkg, imgtest.SkipEnv)
}

// File returns the path of a package's file. Without it the test fails, or is skipped
// if imgtest.SkipEnv is set.
func File(t testing.TB, path, pkg string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, path, pkg)
	}
	return path
}

// Forensics unpacks a disk of Debian's forensics-samples-multiple, with four file
// systems behind an MBR, and returns its path.
func Forensics(t testing.TB) string {
	t.Helper()
	packed := File(t, "/usr/share/forensics-samples/fs.multiple.xz", "forensics-samples-multiple")
	path := Blank(t, 0)
	if err := os.WriteFile(path, []byte(Run(t, "xz", "-dc", packed)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// slowEnv has the slow tests run.
const slowEnv = "INGEST_SLOW"

// Slow skips a test, and says so, unless slow ones are asked for.
func Slow(t testing.TB) {
	t.Helper()
	if os.Getenv(slowEnv) == "" {
		message := "NOT TESTED: " + t.Name() + " takes minutes and runs with " + slowEnv + "=1 only"
		fmt.Fprintln(os.Stderr, message)
		t.Skip(message)
	}
}

// debianEnv names the folder of Debian's file system. Without it, it is below the
// user's cache folder, where `scripts/setup slow` puts it.
const debianEnv = "INGEST_DEBIAN"

// Debian returns the path of an ext4 file system of 900 MiB with an installed Debian,
// with a kernel and cloud-init.
func Debian(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(debianEnv)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "ingest", "debian")
	}
	path := filepath.Join(dir, "root.ext4")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is absent: run `scripts/setup slow`, which makes it from Debian's packages", path)
	}
	return path
}

// Blank makes a file of zeros in a folder of its own.
func Blank(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

// Table makes a disk with the partition table of an sfdisk script.
func Table(t testing.TB, size int64, script string) string {
	t.Helper()
	path := Blank(t, size)
	Feed(t, script, "sfdisk", "-q", path)
	return path
}

// Insert writes a file into another one at an offset, leaving out zeros.
func Insert(t testing.TB, disk, volume string, off int64) {
	t.Helper()
	src, err := os.Open(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(src, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := dst.WriteAt(buf[:n], off); err != nil {
				t.Fatal(err)
			}
		}
		if off += int64(n); err != nil {
			return
		}
	}
}

// Patch overwrites bytes of a file.
func Patch(t testing.TB, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

// Tree makes a folder with the given files; a content that begins with "->" makes a
// symbolic link.
func Tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// FAT makes a FAT file system of 12, 16 or 32 bits with the given files.
func FAT(t testing.TB, size int64, bits, label string, files map[string]string) string {
	t.Helper()
	path := Blank(t, size)
	Run(t, "mkfs.vfat", "-F", bits, "-n", label, "-i", "cafe1234", path)
	made := map[string]bool{}
	for name, content := range files {
		parts := strings.Split(name, "/")
		for i := 1; i < len(parts); i++ {
			if dir := strings.Join(parts[:i], "/"); !made[dir] {
				Run(t, "mmd", "-i", path, "::"+dir)
				made[dir] = true
			}
		}
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		Run(t, "mcopy", "-i", path, file, "::"+name)
	}
	return path
}
