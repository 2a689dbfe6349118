package guest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"ingest/guest/filesystem"
	"ingest/guest/guesttest"
	"ingest/guest/tree"
)

// debugfs changes an ext4 with commands of e2fsprogs, which write the checksums too.
func debugfs(t *testing.T, path string, commands ...string) string {
	t.Helper()
	return guesttest.Feed(t, strings.Join(commands, "\n")+"\n", "debugfs", "-w", path)
}

// craftedExt makes an ext4 with blocks of 1 KiB, changed by commands.
func craftedExt(t *testing.T, features string, commands ...string) []byte {
	t.Helper()
	path := guesttest.Blank(t, 16*mib)
	files := debian("")
	files["boot/filler"] = strings.Repeat("x", 5000)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", features, "-d", guesttest.Tree(t, files), path)
	if len(commands) > 0 {
		debugfs(t, path, commands...)
	}
	return load(t, path)
}

// fields are the words of an inode's block array, for debugfs.
func fields(file string, words ...uint32) []string {
	var out []string
	for i, w := range words {
		out = append(out, fmt.Sprintf("set_inode_field %s block[%d] %#x", file, i, w))
	}
	return out
}

// selfExtent makes an ext4 with a file whose extent index leads to itself.
func selfExtent(t *testing.T) []byte {
	t.Helper()
	path := guesttest.Blank(t, 16*mib)
	if err := os.WriteFile(path, craftedExt(t, "metadata_csum"), 0o600); err != nil {
		t.Fatal(err)
	}
	var block uint32
	for line := range strings.Lines(debugfs(t, path, "bmap /boot/filler 0")) {
		fmt.Sscanf(line, "%d", &block)
	}
	if block == 0 {
		t.Fatal("the file has no block")
	}
	const magicOne, maxAndDepth = 0x0001f30a, 0x00010004
	debugfs(t, path, fields("/usr/lib/os-release", magicOne, maxAndDepth, 0, 0, block, 0)...)
	disk := load(t, path)
	node := disk[int(block)*1024:]
	for i, w := range []uint32{magicOne, maxAndDepth, 0, 0, block, 0} {
		binary.LittleEndian.PutUint32(node[4*i:], w)
	}
	return disk
}

// patched returns a copy with a little-endian number of some bytes at an offset.
func patched(p []byte, off, n int, value uint64) []byte {
	p = bytes.Clone(p)
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], value)
	copy(p[off:], word[:n])
	return p
}

// TestCraftedReaders holds, one by one, what is known to make go-diskfs crash, loop and
// grow: each ends in the child, with a finding, and this process is as before.
func TestCraftedReaders(t *testing.T) {
	squash := guesttest.Blank(t, 0)
	guesttest.Run(t, "mksquashfs", guesttest.Tree(t, debian("")), squash, "-noappend", "-quiet", "-no-progress")
	sq := load(t, squash)
	fat := load(t, guesttest.FAT(t, 64*mib, "32", "FAT", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ"}))
	for _, c := range []struct {
		name, kind string
		make       func(t *testing.T) []byte
		want       string // in NotInspected
	}{
		{"ext4, extents behind the inode", filesystem.Ext4, func(t *testing.T) []byte {
			return craftedExt(t, "metadata_csum", fields("/usr/lib/os-release", 0xfffff30a)...)
		}, "the reader of ext4 failed: runtime error: slice bounds out of range"},
		{"ext4, an extent index that leads to itself", filesystem.Ext4, selfExtent, ""},
		{"ext4, no blocks in a group", filesystem.Ext4, func(t *testing.T) []byte {
			return craftedExt(t, "metadata_csum", "set_super_value blocks_per_group 0")
		}, "failed: runtime error: integer divide by zero"},
		{"ext4, no inodes in a group", filesystem.Ext4, func(t *testing.T) []byte {
			return craftedExt(t, "metadata_csum", "set_super_value inodes_per_group 0")
		}, "failed: runtime error: integer divide by zero"},
		{"ext4, blocks of 2^41 bytes", filesystem.Ext4, func(t *testing.T) []byte {
			return craftedExt(t, "metadata_csum", "set_super_value log_block_size 31")
		}, ""},
		{"ext4, more blocks than the disk has", filesystem.Ext4, func(t *testing.T) []byte {
			return craftedExt(t, "metadata_csum,64bit", "set_super_value blocks_count 0xffffffffffff")
		}, ""},
		{"FAT32, a table of 1 TiB", filesystem.FAT32, func(*testing.T) []byte { return patched(fat, 36, 4, 0x7fffffff) }, ""},
		{"FAT32, a table of no sectors", filesystem.FAT32, func(*testing.T) []byte { return patched(fat, 36, 4, 0) }, "failed: runtime error"},
		{"FAT32, a root that leads to itself", filesystem.FAT32, func(*testing.T) []byte { return cycle(bytes.Clone(fat), 32) }, "it took more than"},
		{"squashfs, a root behind its block", filesystem.Squashfs, func(*testing.T) []byte { return patched(sq, 32, 2, 0xfff0) }, "failed: runtime error: slice bounds out of range"},
		{"squashfs, 2^32 fragments", filesystem.Squashfs, func(*testing.T) []byte { return patched(sq, 16, 4, 0xffffffff) }, ""},
		{"squashfs, attributes from anywhere", filesystem.Squashfs, func(*testing.T) []byte { return patched(sq, 56, 8, 96) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := c.make(t)
			unharmed(t, func() {
				got := impatient(t).List(t.Context(), bytes.NewReader(disk), int64(len(disk)), []tree.Volume{{Kind: c.kind, Len: int64(len(disk))}})
				if len(got) != 1 || got[0].NotInspected == "" || !strings.Contains(got[0].NotInspected, c.want) {
					t.Errorf("%+v, want %q", got, c.want)
				}
			})
		})
	}
}

// TestOneBadFile demands that a file which cannot be read does not hide the others.
func TestOneBadFile(t *testing.T) {
	disk := craftedExt(t, "metadata_csum", fields("/usr/lib/os-release", 0xfffff30a)...)
	got := impatient(t).List(t.Context(), bytes.NewReader(disk), int64(len(disk)), []tree.Volume{{Kind: filesystem.Ext4, Len: int64(len(disk))}})
	if len(got) != 1 || got[0].NotInspected == "" || got[0].OS.ID != "" || len(got[0].Kernels) != 1 || !got[0].CloudInit || got[0].Machine != "x86_64" {
		t.Errorf("%+v", got)
	}
}

// TestHole demands that a file whose blocks are missing ends.
func TestHole(t *testing.T) {
	disk := craftedExt(t, "metadata_csum", fields("/usr/lib/os-release", 0x0000f30a)...)
	got := impatient(t).List(t.Context(), bytes.NewReader(disk), int64(len(disk)), []tree.Volume{{Kind: filesystem.Ext4, Len: int64(len(disk))}})
	if len(got) != 1 || got[0].NotInspected != "" || got[0].OS.ID != "" || len(got[0].Kernels) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestFragments reads a file in two pieces, and an ext4 with short group descriptors,
// which go-diskfs has been seen to fail at though both are sound.
func TestFragments(t *testing.T) {
	path := guesttest.Blank(t, 16*mib)
	files := debian("")
	files["usr/lib/os-release"] += strings.Repeat("# a long comment in os-release\n", 90)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "metadata_csum,^64bit", "-d", guesttest.Tree(t, files), path)
	var first, second uint32
	for line := range strings.Lines(debugfs(t, path, "bmap /usr/lib/os-release 0")) {
		fmt.Sscanf(line, "%d", &first)
	}
	second = first + 1
	// Three blocks in a row, told as three extents.
	debugfs(t, path, fields("/usr/lib/os-release", 0x0003f30a, 4, 0, 0, 1, first, 1, 1, second, 2, 1, second+1)...)
	disk := load(t, path)
	got := lister(t).List(t.Context(), bytes.NewReader(disk), int64(len(disk)), []tree.Volume{{Kind: filesystem.Ext4, Len: int64(len(disk))}})
	if len(got) != 1 || got[0].NotInspected != "" || got[0].OS.ID != "debian" || !got[0].CloudInit {
		t.Errorf("%+v", got)
	}
}
