package guest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ingest/formats/formattest"
	"ingest/guest"
	"ingest/guest/child"
	"ingest/guest/filesystem"
	"ingest/guest/guesttest"
	"ingest/guest/tree"
)

// brief is a lister for the fuzzer, that waits as short as limits can be set.
func brief(t testing.TB) child.Runner {
	r := lister(t)
	r.Limits.CPU, r.Limits.Wall = time.Second, 5*time.Second
	return r
}

// answered demands an answer of each child, and that children could be started.
func answered(t *testing.T, got ...tree.Listing) {
	t.Helper()
	for _, l := range got {
		if strings.Contains(l.NotInspected, "no process") || strings.Contains(l.NotInspected, "limits cannot be set") {
			t.Fatalf("%+v", l)
		}
	}
}

// padded is a disk that goes on with zeros.
type padded []byte

func (p padded) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(p)) {
		copy(b, p[off:])
	}
	return len(b), nil
}

// FuzzInside changes a piece of a file system and has the child read it: whatever comes
// of it, there is an answer.
func FuzzInside(f *testing.F) {
	formattest.Seeds(f)
	squash, iso := guesttest.Blank(f, 0), guesttest.Blank(f, 0)
	guesttest.Run(f, "mksquashfs", guesttest.Tree(f, debian("")), squash, "-noappend", "-quiet", "-no-progress")
	guesttest.Run(f, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", iso, guesttest.Tree(f, debian("")))
	files := map[string]string{"EFI/BOOT/BOOTX64.EFI": strings.Repeat("MZ", 4000)}
	disks := []struct {
		kind string
		p    []byte
		size int64 // bytes, with the zeros behind p
	}{
		{filesystem.Ext4, load(f, ext4(f, 2*mib, debian(""))), 2 * mib},
		{filesystem.FAT12, load(f, guesttest.FAT(f, mib, "12", "FAT", files)), mib},
		{filesystem.Squashfs, load(f, squash), 0},
		{filesystem.FAT16, load(f, guesttest.FAT(f, 16*mib, "16", "FAT", files))[:mib], 16 * mib},
		{filesystem.FAT32, load(f, guesttest.FAT(f, 64*mib, "32", "FAT", files))[:2*mib], 64 * mib},
		{filesystem.ISO9660, load(f, iso), 0},
	}
	for i := range disks {
		f.Add(uint8(i), uint32(1024), []byte{})
		f.Add(uint8(i), uint32(0), []byte{0xff, 0xff, 0xff, 0xff})
		f.Add(uint8(i), uint32(1024+32), []byte{1, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, which uint8, off uint32, patch []byte) {
		d := disks[int(which)%len(disks)]
		disk := bytes.Clone(d.p)
		copy(disk[int(off)%len(disk):], patch)
		got := brief(t).List(t.Context(), padded(disk), max(d.size, int64(len(disk))), []tree.Volume{{Kind: d.kind, Len: max(d.size, int64(len(disk)))}})
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		answered(t, got...)
	})
}

// FuzzInspect changes two pieces of a whole disk, with a table and two file systems, and
// has all of it inspected, with real children.
func FuzzInspect(f *testing.F) {
	formattest.Seeds(f)
	path := guesttest.Table(f, 8*mib, "label: gpt\n,2M,U\n,2M,L\n")
	guesttest.Insert(f, path, guesttest.FAT(f, 2*mib, "12", "ESP", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ"}), mib)
	guesttest.Insert(f, path, ext4(f, 2*mib, debian("")), 3*mib)
	disk := load(f, path)
	f.Add(uint32(446), []byte{}, uint32(512), []byte{})
	f.Add(uint32(mib+512), []byte{0xf8, 0xff, 0xff, 2, 0x20}, uint32(512+72), []byte{9})
	f.Add(uint32(3*mib+1024+32), []byte{1}, uint32(446+4), []byte{5})
	f.Fuzz(func(t *testing.T, off uint32, patch []byte, off2 uint32, patch2 []byte) {
		disk := bytes.Clone(disk)
		copy(disk[int(off)%len(disk):], patch)
		copy(disk[int(off2)%len(disk):], patch2)
		got, err := guest.Inspect(t.Context(), bytes.NewReader(disk), int64(len(disk)), brief(t))
		if err != nil {
			t.Fatal(err)
		}
		if got.VirtualSize != int64(len(disk)) || len(got.Volumes) > 64 || len(got.Findings) > 1024 {
			t.Fatalf("%d volumes, %d findings", len(got.Volumes), len(got.Findings))
		}
		for _, v := range got.Volumes {
			if v.Off < 0 || v.Len <= 0 || v.Off > got.VirtualSize-v.Len {
				t.Fatalf("%+v", v)
			}
			if v.Listing != nil {
				answered(t, *v.Listing)
			}
		}
	})
}
