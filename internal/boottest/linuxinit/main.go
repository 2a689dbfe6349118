//go:build linux

// Linuxinit is the first and only process of the Linux that boots in the slow
// test of package boottest: it loads the kernel modules of its initramfs, mounts
// the file system of the disk that it was booted from, holds a file's digest
// against the one that it brings along, says so over the console, and switches
// the PC off.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// disk is the partition that was booted from, on a virtio disk.
const disk = "/dev/vda1"

func main() {
	if err := check(); err != nil {
		fmt.Println("INGEST LINUX BAD:", err)
	} else {
		fmt.Println("INGEST LINUX OK")
	}
	unix.Sync()
	fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	select {}
}

// check returns nil if the disk's file is what it ought to be.
func check() error {
	for _, dir := range []string{"/dev", "/mnt"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount devtmpfs: %w", err)
	}
	if err := loadModules(); err != nil {
		return err
	}
	for range 200 {
		if _, err := os.Stat(disk); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := unix.Mount(disk, "/mnt", "ext4", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount %s: %w", disk, err)
	}
	want, err := os.ReadFile("/digest")
	if err != nil {
		return err
	}
	f, err := os.Open("/mnt/payload")
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := h.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("the payload's digest is %x, want %x", got, want)
	}
	return nil
}

// loadModules loads the modules in the order of their names.
func loadModules() error {
	paths, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", p, err)
		}
	}
	return nil
}
