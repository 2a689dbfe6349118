package listing

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/diskfs/go-diskfs/filesystem"

	"ingest/guest/tree"
)

// maxFile is how much of a text file is read.
const maxFile = 64 << 10

// maxBuiltin is how much of modules.builtin is read; that of Debian has 20 KiB.
const maxBuiltin = 512 << 10

// List reads what is of interest in one file system. It does not fail: what it cannot
// read is told in NotInspected. A panic of go-diskfs is told too, and what it was not
// about is read all the same; its loops and its appetite end with the process.
func List(r io.ReaderAt, v tree.Volume) tree.Listing {
	t := &walker{kind: v.Kind}
	opened := false
	t.try(func() {
		var err error
		if t.fs, err = open(r, v); err == nil {
			// The root must be readable; everything else may be missing.
			_, err = t.fs.ReadDir(".")
		}
		if err != nil {
			t.out.NotInspected = err.Error()
		}
		opened = err == nil
	})
	if opened {
		t.all()
	}
	t.out.Clean()
	return t.out
}

// A walker looks into one file system.
type walker struct {
	kind string // of file system, for people
	fs   filesystem.FileSystem
	out  tree.Listing
}

// try does what may panic, and tells the first panic of all.
func (t *walker) try(do func()) {
	defer func() {
		if p := recover(); p != nil && t.out.NotInspected == "" {
			t.out.NotInspected = fmt.Sprintf("the reader of %s failed: %v", t.kind, p)
		}
	}()
	do()
}

// all looks for everything.
func (t *walker) all() {
	t.firmware()
	t.linux()
	t.windows()
}

// names lists a folder, nil if there is none.
func (t *walker) names(dir string) []string {
	var out []string
	t.try(func() {
		entries, err := t.fs.ReadDir(dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
	})
	slices.Sort(out)
	return out
}

// find returns the path of a file whatever the case of its letters, "" if there is
// none: FAT and ISO 9660 have their own ideas of it.
func (t *walker) find(names ...string) string {
	at := "."
	for _, want := range names {
		have := t.names(at)
		i := slices.IndexFunc(have, func(n string) bool { return strings.EqualFold(strings.TrimSuffix(n, ";1"), want) })
		if i < 0 {
			return ""
		}
		at = path.Join(at, have[i])
	}
	return at
}

// read returns the begin of the first of some files that is there, nil if none is.
func (t *walker) read(limit int64, names ...string) (out []byte) {
	for _, name := range names {
		t.try(func() { out = t.begin(limit, name) })
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// begin reads at most limit bytes of a file. It asks for all of them at once: the reader
// of ext4 panics where a read begins within a block and the file has several extents.
func (t *walker) begin(limit int64, name string) []byte {
	f, err := t.fs.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	p := make([]byte, limit)
	n := 0
	for n < len(p) {
		m, err := f.Read(p[n:])
		n += m
		if err != nil && err != io.EOF {
			return nil
		}
		// Nothing without an error is what it says of holes, for ever.
		if err != nil || m == 0 {
			break
		}
	}
	return p[:n]
}

// firmware looks for what UEFI starts.
func (t *walker) firmware() {
	efi := t.find("EFI")
	if efi == "" {
		return
	}
	for _, name := range t.names(efi) {
		if !strings.EqualFold(name, "BOOT") {
			t.out.EFIVendors = append(t.out.EFIVendors, name)
		}
	}
	dir := t.find("EFI", "BOOT")
	if dir == "" {
		return
	}
	for _, name := range t.names(dir) {
		n := strings.ToUpper(strings.TrimSuffix(name, ";1"))
		if strings.HasPrefix(n, "BOOT") && strings.HasSuffix(n, ".EFI") {
			t.out.EFIBoot = append(t.out.EFIBoot, n)
		}
	}
}

// windows looks for its boot loader and its system folder.
func (t *walker) windows() {
	for _, file := range [][]string{
		{"EFI", "Microsoft", "Boot", "bootmgfw.efi"},
		{"bootmgr"},
		{"Windows", "System32", "ntoskrnl.exe"},
		{"sources", "boot.wim"},
	} {
		if p := t.find(file...); p != "" {
			t.out.Windows = append(t.out.Windows, "/"+p)
		}
	}
}

// linux looks for an installed Linux.
func (t *walker) linux() {
	t.out.OS = osRelease(t.read(maxFile, "usr/lib/os-release", "etc/os-release"))
	for _, dir := range []string{"boot", "."} {
		for _, name := range t.names(dir) {
			if isKernel(name) {
				t.out.Kernels = append(t.out.Kernels, name)
			}
		}
	}
	// Where kernels have versions, a name without one is a link to the newest.
	if slices.ContainsFunc(t.out.Kernels, func(n string) bool { return !isBare(n) }) {
		t.out.Kernels = slices.DeleteFunc(t.out.Kernels, isBare)
	}
	t.out.Devices = fstab(t.read(maxFile, "etc/fstab"))
	for _, name := range []string{"usr/bin/cloud-init", "etc/cloud/cloud.cfg"} {
		t.out.CloudInit = t.out.CloudInit || t.read(1, name) != nil
	}
	for _, program := range []string{"usr/bin/bash", "usr/bin/dash", "usr/bin/busybox", "bin/bash", "bin/dash", "bin/busybox", "usr/lib/systemd/systemd", "sbin/init"} {
		if t.out.Machine = machine(t.read(64, program)); t.out.Machine != "" {
			break
		}
	}
	t.virtio()
}

// virtio looks which drivers the modules of the newest kernel have.
func (t *walker) virtio() {
	for _, lib := range []string{"usr/lib/modules", "lib/modules"} {
		versions := t.names(lib)
		if len(versions) == 0 {
			continue
		}
		t.out.Modules = true
		base := path.Join(lib, versions[len(versions)-1])
		builtin := t.read(maxBuiltin, path.Join(base, "modules.builtin"))
		for _, d := range []struct{ name, dir, module string }{
			{"blk", "kernel/drivers/block", "virtio_blk.ko"},
			{"net", "kernel/drivers/net", "virtio_net.ko"},
			{"scsi", "kernel/drivers/scsi", "virtio_scsi.ko"},
		} {
			// Modules may be compressed: .ko.xz, .ko.zst.
			has := bytes.Contains(builtin, []byte("/"+d.module)) ||
				slices.ContainsFunc(t.names(path.Join(base, d.dir)), func(n string) bool { return strings.HasPrefix(n, d.module) })
			if has {
				t.out.Virtio = append(t.out.Virtio, d.name)
			}
		}
		return
	}
}

// isKernel reports whether a file in /boot is a Linux kernel by its name.
func isKernel(name string) bool {
	for _, prefix := range []string{"vmlinuz-", "vmlinux-", "bzImage-", "Image-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return isBare(name)
}

// isBare reports whether a name is that of a kernel without its version.
func isBare(name string) bool { return name == "vmlinuz" || name == "Image" }

// osRelease reads assignments as a shell does, of single words.
func osRelease(p []byte) tree.OSRelease {
	var out tree.OSRelease
	for s := bufio.NewScanner(bytes.NewReader(p)); s.Scan(); {
		key, value, ok := strings.Cut(strings.TrimSpace(s.Text()), "=")
		if !ok {
			continue
		}
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			out.ID = value
		case "VERSION_ID":
			out.VersionID = value
		case "PRETTY_NAME":
			out.PrettyName = value
		}
	}
	return out
}

// fstab returns the names of disks that depend on the kind of the virtual machine's
// disk controller and on the order of its disks.
func fstab(p []byte) []string {
	var out []string
	for s := bufio.NewScanner(bytes.NewReader(p)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		for _, prefix := range []string{"/dev/sd", "/dev/hd", "/dev/vd", "/dev/xvd", "/dev/nvme"} {
			if strings.HasPrefix(fields[0], prefix) {
				out = append(out, fields[0])
			}
		}
	}
	return out
}

// machine returns what an ELF program is made for.
func machine(p []byte) string {
	if len(p) < 20 || string(p[:4]) != elf.ELFMAG {
		return ""
	}
	code := elf.Machine(uint16(p[18]) | uint16(p[19])<<8)
	if elf.Data(p[elf.EI_DATA]) == elf.ELFDATA2MSB {
		code = elf.Machine(uint16(p[19]) | uint16(p[18])<<8)
	}
	wide, little := elf.Class(p[elf.EI_CLASS]) == elf.ELFCLASS64, elf.Data(p[elf.EI_DATA]) == elf.ELFDATA2LSB
	switch {
	case code == elf.EM_X86_64 && wide:
		return "x86_64"
	case code == elf.EM_386:
		return "i686"
	case code == elf.EM_AARCH64:
		return "aarch64"
	case code == elf.EM_ARM:
		return "armv7l"
	case code == elf.EM_PPC64 && little:
		return "ppc64le"
	case code == elf.EM_PPC64:
		return "ppc64"
	case code == elf.EM_S390 && wide:
		return "s390x"
	case code == elf.EM_RISCV && wide:
		return "riscv64"
	}
	return ""
}
