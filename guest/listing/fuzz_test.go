package listing

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/diskfs/go-diskfs/filesystem"

	"ingest/formats/formattest"
	kinds "ingest/guest/filesystem"
	"ingest/guest/guesttest"
	"ingest/guest/tree"
)

// budget is a disk that ends after a number of reads and bytes: what the parent does
// to its child.
type budget struct {
	r           io.ReaderAt
	reads, room int64
}

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	b.reads--
	b.room -= int64(len(p))
	if b.reads < 0 || b.room < 0 {
		panic("the budget of reading is used up")
	}
	return b.r.ReadAt(p, off)
}

// samples are file systems whose reader neither loops without reading nor allocates
// what it is told to: those of FAT are only read in a process that can be killed.
func samples(t testing.TB) []sample {
	t.Helper()
	files := guesttest.Tree(t, map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=12\n", "boot/vmlinuz-6.1": "x", "etc/fstab": "/dev/sda1 / ext4\n", "EFI/BOOT/BOOTX64.EFI": "MZ",
		"lib/modules/6.1/modules.builtin": "kernel/drivers/net/virtio_net.ko\n", "usr/bin/dash": "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00",
	})
	ext := guesttest.Blank(t, 1<<20)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", files, ext)
	squash := filepath.Join(t.TempDir(), "squash")
	guesttest.Run(t, "mksquashfs", files, squash, "-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-no-xattrs")
	iso := filepath.Join(t.TempDir(), "iso")
	guesttest.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", iso, files)
	var out []sample
	for _, s := range []struct{ kind, path string }{{kinds.Ext4, ext}, {kinds.Squashfs, squash}, {kinds.ISO9660, iso}} {
		p, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sample{s.kind, p})
	}
	return out
}

type sample struct {
	kind string
	p    []byte
}

// fits fails the test if a listing is not within its limits.
func fits(t *testing.T, l tree.Listing) {
	t.Helper()
	for _, list := range [][]string{l.EFIBoot, l.EFIVendors, l.Kernels, l.Virtio, l.Devices, l.Windows} {
		if len(list) > 32 {
			t.Fatalf("a list of %d", len(list))
		}
		for _, s := range list {
			if len(s) > 1024 || !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\n\x00") {
				t.Fatalf("%q", s)
			}
		}
	}
}

// FuzzList changes two places of a file system and has it listed in this process, as
// the child does, with a bound on what it reads.
func FuzzList(f *testing.F) {
	formattest.Seeds(f)
	all := samples(f)
	for i := range all {
		f.Add(uint8(i), uint32(1024), []byte{}, uint32(0), []byte{})
		f.Add(uint8(i), uint32(2048), []byte{0xff, 0xff}, uint32(96), []byte{1})
	}
	f.Fuzz(func(t *testing.T, which uint8, off uint32, patch []byte, off2 uint32, patch2 []byte) {
		s := all[int(which)%len(all)]
		disk := bytes.Clone(s.p)
		copy(disk[int(off)%len(disk):], patch)
		copy(disk[int(off2)%len(disk):], patch2)
		fits(t, List(&budget{bytes.NewReader(disk), 20_000, 64 << 20}, tree.Volume{Kind: s.kind, Len: int64(len(disk))}))
	})
}

// FuzzWalk has a tree of the fuzzer's names and contents listed: what is ours there.
func FuzzWalk(f *testing.F) {
	formattest.Seeds(f)
	f.Add("etc/os-release\x00ID=debian\nVERSION_ID='12'\x00EFI/BOOT/bootx64.efi;1\x00MZ\x00boot/vmlinuz-1\x00")
	f.Add("usr/bin/dash\x00\x7fELF\x02\x01\x01_________\x03_\x3e_\x00lib/modules/6/modules.builtin\x00kernel/drivers/net/virtio_net.ko\x00Windows/System32/NTOSKRNL.EXE\x00MZ\x00")
	f.Add("etc/fstab\x00/dev/sda1 / ext4\n/dev/vdb /x xfs\x00etc/cloud/cloud.cfg\x00x")
	f.Fuzz(func(t *testing.T, text string) {
		m := fstest.MapFS{}
		for fields := strings.Split(text, "\x00"); len(fields) > 1; fields = fields[2:] {
			m[fields[0]] = &fstest.MapFile{Data: []byte(fields[1])}
		}
		w := &walker{fs: foreign{m}}
		w.all()
		w.out.Clean()
		fits(t, w.out)
	})
}

// foreign is a tree as a file system of go-diskfs; what writes is not there.
type foreign struct{ fstest.MapFS }

var _ filesystem.FileSystem = foreign{}

func (foreign) Type() filesystem.Type                                 { return filesystem.TypeExt4 }
func (foreign) Mkdir(string) error                                    { return errReadOnly }
func (foreign) Mknod(string, uint32, int) error                       { return errReadOnly }
func (foreign) Link(string, string) error                             { return errReadOnly }
func (foreign) Symlink(string, string) error                          { return errReadOnly }
func (foreign) Chmod(string, os.FileMode) error                       { return errReadOnly }
func (foreign) Chown(string, int, int) error                          { return errReadOnly }
func (foreign) Rename(string, string) error                           { return errReadOnly }
func (foreign) Remove(string) error                                   { return errReadOnly }
func (foreign) Chtimes(string, time.Time, time.Time, time.Time) error { return errReadOnly }
func (foreign) Label() string                                         { return "" }
func (foreign) SetLabel(string) error                                 { return errReadOnly }
func (foreign) Close() error                                          { return nil }
func (foreign) OpenFile(string, int) (filesystem.File, error)         { return nil, errReadOnly }
