package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// An image is one of the demo's sources.
type image struct {
	name    string // of the file and of the image
	format  string // qemu-img's name
	options []string
	http    bool   // imported over HTTP, else from the file
	to      string // target format
	comp    string // target compression
}

// images lists one disk in eight shapes; every second one comes over HTTP.
func images() []image {
	return []image{
		{name: "disk.raw", format: "raw", to: "qcow2", comp: "zstd"},
		{name: "plain.qcow2", format: "qcow2", http: true, to: "raw"},
		{name: "zlib.qcow2", format: "qcow2", options: []string{"-c", "-o", "compression_type=zlib"}, to: "raw"},
		{name: "zstd.qcow2", format: "qcow2", options: []string{"-c", "-o", "compression_type=zstd"}, http: true, to: "qcow2", comp: "none"},
		{name: "monolithicSparse.vmdk", format: "vmdk", options: []string{"-o", "subformat=monolithicSparse"}, to: "qcow2", comp: "none"},
		{name: "streamOptimized.vmdk", format: "vmdk", options: []string{"-o", "subformat=streamOptimized"}, http: true, to: "raw"},
		{name: "fixed.vhd", format: "vpc", options: []string{"-o", "subformat=fixed,force_size=on"}, to: "qcow2", comp: "zlib"},
		{name: "dynamic.vhd", format: "vpc", options: []string{"-o", "subformat=dynamic,force_size=on"}, http: true, to: "raw"},
	}
}

// makeImages makes a disk with a partition table and a file system full of
// real files, and lets qemu-img write it in every format.
func (d *demo) makeImages(size int64) error {
	title("One disk in eight formats")
	raw := d.path("disk.raw")
	if err := makeDisk(raw, size); err != nil {
		return err
	}
	for _, img := range images() {
		if img.format == "raw" {
			continue
		}
		args := append([]string{"convert", "-f", "raw", "-O", img.format}, img.options...)
		if err := d.run("qemu-img", append(args, raw, d.path(img.name))...); err != nil {
			return err
		}
	}
	secret := d.path("secret.raw")
	if err := os.WriteFile(secret, []byte(strings.Repeat("a secret of the host ", 5000)), 0o600); err != nil {
		return err
	}
	return d.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, d.path("hostile.qcow2"))
}

// makeDisk fills a disk: an MBR with one Linux partition at 1 MiB, and in it an
// ext4 file system with the sources of the Go standard library.
func makeDisk(path string, size int64) error {
	const start = 1 << 20
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.WriteAt(mbr(start/512, uint32((size-start)/512)), 0); err != nil {
		return err
	}
	blocks := (size - start) / 4096
	cmd := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=1,offset="+strconv.Itoa(start),
		"-d", filepath.Join(strings.TrimSpace(string(goroot)), "src"), path, strconv.FormatInt(blocks, 10))
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w\n%s", err, out)
	}
	return nil
}

// mbr returns a boot sector with one Linux partition.
func mbr(first, sectors uint32) []byte {
	p := make([]byte, 512)
	e := p[446:]
	e[4] = 0x83
	for i, v := range []uint32{first, sectors} {
		for b := range 4 {
			e[8+4*i+b] = byte(v >> (8 * b))
		}
	}
	p[510], p[511] = 0x55, 0xaa
	return p
}
