package guest_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"ingest/guest"
	"ingest/guest/child"
	"ingest/guest/filesystem"
	"ingest/guest/guesttest"
	"ingest/guest/tree"
)

// impatient is a lister that gives up sooner than the product's.
func impatient(t testing.TB) child.Runner {
	r := lister(t)
	r.Limits.CPU, r.Limits.Wall = time.Second, 2*time.Minute
	return r
}

// unharmed demands that this process has afterwards what it had before.
func unharmed(t *testing.T, do func()) {
	t.Helper()
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	var m, n runtime.MemStats
	before := count()
	runtime.ReadMemStats(&m)
	do()
	runtime.ReadMemStats(&n)
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	if grown := n.TotalAlloc - m.TotalAlloc; grown > 64<<20 {
		t.Errorf("this process allocated %d bytes", grown)
	}
}

func load(t testing.TB, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cycle makes every chain of clusters behind the first two entries lead to itself, in
// both tables of a FAT volume.
func cycle(p []byte, bits int) []byte {
	le := binary.LittleEndian
	reserved, sectors := int(le.Uint16(p[14:])), int(le.Uint16(p[22:]))
	if bits == 32 {
		sectors = int(le.Uint32(p[36:]))
	}
	for n := range 2 {
		fat := p[(reserved+n*sectors)*512:][:sectors*512]
		for i := 2; i < 200; i++ {
			switch bits {
			case 32:
				le.PutUint32(fat[4*i:], uint32(i))
			case 16:
				le.PutUint16(fat[2*i:], uint16(i))
			default:
				v := le.Uint16(fat[i*3/2:])
				if i%2 == 0 {
					v = v&0xf000 | uint16(i)
				} else {
					v = v&0xf | uint16(i)<<4
				}
				le.PutUint16(fat[i*3/2:], v)
			}
		}
	}
	return p
}

// TestCraftedFAT holds what makes go-diskfs loop and grow: the inspection ends, with a
// finding.
func TestCraftedFAT(t *testing.T) {
	files := map[string]string{"EFI/BOOT/BOOTX64.EFI": strings.Repeat("MZ", 4000)}
	for _, c := range []struct {
		kind string
		bits int
		name string
		size int64
	}{{filesystem.FAT12, 12, "12", 2 * mib}, {filesystem.FAT16, 16, "16", 16 * mib}, {filesystem.FAT32, 32, "32", 64 * mib}} {
		t.Run(c.kind, func(t *testing.T) {
			disk := load(t, guesttest.FAT(t, c.size, c.name, "LOOP", files))
			sound, err := guest.Inspect(t.Context(), bytes.NewReader(disk), c.size, impatient(t))
			if err != nil || sound.Boot.Mode != guest.UEFI || len(sound.Findings) > 0 {
				t.Fatalf("before: %+v, %v", sound, err)
			}
			disk = cycle(disk, c.bits)
			unharmed(t, func() {
				got, err := guest.Inspect(t.Context(), bytes.NewReader(disk), c.size, impatient(t))
				if err != nil || kinds(got) != c.kind || !strings.Contains(messages(got), "info not inspected: it took more than") {
					t.Errorf("%q, findings %q, %v", kinds(got), messages(got), err)
				}
			})
		})
	}
}

// TestCraftedSizes hands to the child what the parsers before it would not.
func TestCraftedSizes(t *testing.T) {
	fat := load(t, guesttest.FAT(t, 64*mib, "32", "BIG", map[string]string{"A": "b"}))
	binary.LittleEndian.PutUint32(fat[36:], 0x7fffff) // 4 GiB of table
	if v, err := filesystem.Identify(bytes.NewReader(fat), 0, int64(len(fat))); err != nil || v.Kind != "" {
		t.Errorf("its table does not fit, and it is seen as %q, %v", v.Kind, err)
	}
	ext := load(t, ext4(t, 16*mib, debian("")))
	binary.LittleEndian.PutUint32(ext[1024+32:], 1) // blocks per group
	binary.LittleEndian.PutUint32(ext[1024+4:], 0xffffffff)
	for _, c := range []struct {
		kind string
		disk []byte
	}{{filesystem.FAT32, fat}, {filesystem.Ext4, ext}, {filesystem.Squashfs, ext}, {filesystem.ISO9660, fat}, {"nonsense", fat}} {
		unharmed(t, func() {
			got := impatient(t).List(t.Context(), bytes.NewReader(c.disk), int64(len(c.disk)), []tree.Volume{{Kind: c.kind, Len: int64(len(c.disk))}})
			if len(got) != 1 || got[0].NotInspected == "" {
				t.Errorf("%s: %+v", c.kind, got)
			}
		})
	}
}

// TestCraftedGPT holds a table that asks for 512 GiB, with checksums that are right: its
// backup is taken.
func TestCraftedGPT(t *testing.T) {
	disk := load(t, guesttest.Table(t, 8*mib, "label: gpt\n,4M,L\n"))
	h := disk[512:1024]
	for _, v := range [][2]uint32{{0xffffffff, 128}, {0x7fffffff, 0xffffffff}} {
		binary.LittleEndian.PutUint32(h[80:], v[0])
		binary.LittleEndian.PutUint32(h[84:], v[1])
		clear(h[16:20])
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		unharmed(t, func() {
			got, err := guest.Inspect(t.Context(), bytes.NewReader(disk), int64(len(disk)), impatient(t))
			if err != nil || !got.Table.FromBackup || len(got.Table.Partitions) != 1 || !strings.Contains(messages(got), "the primary GPT is broken") {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestMutations changes bytes at random where file systems keep their structures. Each
// inspection ends, and leaves this process as it was.
func TestMutations(t *testing.T) {
	squash := guesttest.Blank(t, 0)
	guesttest.Run(t, "mksquashfs", guesttest.Tree(t, debian("")), squash, "-noappend", "-quiet", "-no-progress")
	iso := guesttest.Blank(t, 0)
	guesttest.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", iso, guesttest.Tree(t, debian("")))
	for _, c := range []struct {
		kind string
		disk []byte
		from int // bytes that are changed
	}{
		{filesystem.Ext4, load(t, ext4(t, 8*mib, debian(""))), 1024},
		{filesystem.FAT16, load(t, guesttest.FAT(t, 16*mib, "16", "FAT", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ"})), 0},
		{filesystem.Squashfs, load(t, squash), 0},
		{filesystem.ISO9660, load(t, iso), 32 << 10},
	} {
		t.Run(c.kind, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(len(c.kind))))
			inspected := 0
			for range 12 {
				disk := bytes.Clone(c.disk)
				for range 1 + rng.IntN(30) {
					disk[c.from+rng.IntN(min(len(disk)-c.from, 200<<10))] = byte(rng.Uint32())
				}
				volume := []tree.Volume{{Kind: c.kind, Len: int64(len(disk))}}
				unharmed(t, func() {
					got := impatient(t).List(t.Context(), bytes.NewReader(disk), int64(len(disk)), volume)
					if len(got) != 1 {
						t.Fatalf("%+v", got)
					}
					if got[0].NotInspected == "" {
						inspected++
					}
				})
				if _, err := guest.Inspect(t.Context(), bytes.NewReader(disk), int64(len(disk)), nil); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d of 12 are still read", inspected)
		})
	}
}

// TestReadErrors demands that a disk which cannot be read is an error, and not a fact.
func TestReadErrors(t *testing.T) {
	if _, err := guest.Inspect(t.Context(), failing{}, mib, nil); err == nil {
		t.Error("no error")
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// counting counts what is read.
type counting struct {
	io.ReaderAt
	reads, bytes int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += int64(len(p))
	return c.ReaderAt.ReadAt(p, off)
}

// TestVastDisk demands that what is read of a disk does not grow with it.
func TestVastDisk(t *testing.T) {
	path := guesttest.Table(t, 1<<40, "label: gpt\n,100G,L\n,100G,L\n,100G,S\n,,L\n")
	root := guesttest.Blank(t, 100<<30)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-O", "^has_journal", "-d", guesttest.Tree(t, debian("")), root)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &counting{ReaderAt: spliced{f, r, mib}}
	got, err := guest.Inspect(t.Context(), c, 1<<40, lister(t))
	if err != nil || got.MinDisk != 1024 || got.System.Distro != "debian" {
		t.Errorf("%+v, %v", got, err)
	}
	if c.reads > 2000 || c.bytes > 16<<20 {
		t.Errorf("%d reads of %d bytes", c.reads, c.bytes)
	}
	t.Logf("%d reads of %d bytes", c.reads, c.bytes)
}

// spliced is a disk with another file at off, in the first partition: copying it would
// copy its holes.
type spliced struct {
	disk, root *os.File
	off        int64
}

func (s spliced) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.off && off < s.off+100<<30 {
		return s.root.ReadAt(p, off-s.off)
	}
	return s.disk.ReadAt(p, off)
}
