package filesystem_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"ingest/guest/filesystem"
	"ingest/guest/guesttest"
)

const mib = 1 << 20

// identify recognises a part of a file.
func identify(t *testing.T, path string, off, size int64) filesystem.Volume {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := filesystem.Identify(f, off, size)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// blkid asks util-linux for the same.
func blkid(t *testing.T, path string, off, size int64) map[string]string {
	t.Helper()
	out := map[string]string{}
	text := guesttest.Run(t, "blkid", "-p", "-o", "export", "-O", fmt.Sprint(off), "-S", fmt.Sprint(size), path)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		out[key] = strings.ReplaceAll(value, `\ `, " ")
	}
	return out
}

// blkidType is what blkid calls a kind.
func blkidType(kind string) string {
	switch kind {
	case filesystem.FAT12, filesystem.FAT16, filesystem.FAT32:
		return "vfat"
	case filesystem.ISO9660:
		return "iso9660"
	case filesystem.LUKS1, filesystem.LUKS2:
		return "crypto_LUKS"
	case filesystem.Swap:
		return "swap"
	}
	return strings.ToLower(kind)
}

// made returns the makers of all kinds that have a program here.
func made() map[string]func(t *testing.T) string {
	mkfs := func(size int64, name string, args ...string) func(t *testing.T) string {
		return func(t *testing.T) string {
			path := guesttest.Blank(t, size)
			guesttest.Run(t, name, append(args, path)...)
			return path
		}
	}
	luks := func(kind string) func(t *testing.T) string {
		return func(t *testing.T) string {
			path := guesttest.Blank(t, 20*mib)
			args := []string{"luksFormat", "-q", "--type", kind, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-"}
			if kind == "luks2" {
				args = append(args, "--label", "geheim")
			}
			guesttest.Feed(t, "secret", "cryptsetup", append(args, path)...)
			return path
		}
	}
	return map[string]func(t *testing.T) string{
		filesystem.Ext2:  mkfs(8*mib, "mke2fs", "-q", "-t", "ext2", "-L", "two words"),
		filesystem.Ext3:  mkfs(16*mib, "mke2fs", "-q", "-t", "ext3", "-L", "three"),
		filesystem.Ext4:  mkfs(16*mib, "mke2fs", "-q", "-t", "ext4", "-L", "four"),
		filesystem.XFS:   mkfs(320*mib, "mkfs.xfs", "-q", "-L", "ex"),
		filesystem.Btrfs: mkfs(128*mib, "mkfs.btrfs", "-q", "-L", "butter"),
		filesystem.FAT12: mkfs(2*mib, "mkfs.vfat", "-F", "12", "-n", "TWELVE"),
		filesystem.FAT16: mkfs(16*mib, "mkfs.vfat", "-F", "16"),
		filesystem.FAT32: mkfs(64*mib, "mkfs.vfat", "-F", "32", "-n", "THIRTYTWO"),
		filesystem.ExFAT: mkfs(16*mib, "mkfs.exfat", "-L", "wide"),
		filesystem.Swap:  mkfs(4*mib, "mkswap", "-q", "-L", "tausch"),
		filesystem.LUKS1: luks("luks1"),
		filesystem.LUKS2: luks("luks2"),
		filesystem.Squashfs: func(t *testing.T) string {
			path := guesttest.Blank(t, 0)
			noise := make([]byte, 8<<10)
			rand.NewChaCha8([32]byte{1}).Read(noise)
			guesttest.Run(t, "mksquashfs", guesttest.Tree(t, map[string]string{"a": string(noise)}), path, "-noappend", "-quiet", "-no-progress")
			return path
		},
		filesystem.ISO9660: func(t *testing.T) string {
			path := guesttest.Blank(t, 0)
			guesttest.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-V", "SCHEIBE", "-o", path, guesttest.Tree(t, map[string]string{"a": "b"}))
			return path
		},
	}
}

// TestKindsAsBlkidSeesThem puts each file system behind other bytes, and compares what
// is seen with blkid.
func TestKindsAsBlkidSeesThem(t *testing.T) {
	for kind, mk := range made() {
		t.Run(kind, func(t *testing.T) {
			volume := mk(t)
			st, err := os.Stat(volume)
			if err != nil {
				t.Fatal(err)
			}
			disk := guesttest.Blank(t, st.Size()+2*mib)
			guesttest.Insert(t, disk, volume, mib)
			got, want := identify(t, disk, mib, st.Size()), blkid(t, disk, mib, st.Size())
			if got.Kind != kind || blkidType(got.Kind) != want["TYPE"] {
				t.Fatalf("%q; blkid: %q", got.Kind, want["TYPE"])
			}
			if got.UUID != want["UUID"] || got.Label != want["LABEL"] {
				t.Errorf("%q %q; blkid: %q %q", got.UUID, got.Label, want["UUID"], want["LABEL"])
			}
			if got.Size > st.Size() || len(got.Findings) > 0 {
				t.Errorf("claims %d bytes of %d: %+v", got.Size, st.Size(), got.Findings)
			}
			if got.Boot != "" {
				t.Errorf("boot code %q in a volume that does not boot", got.Boot)
			}
			if got.Size == 0 {
				return // the superblock does not say
			}
			cut := identify(t, disk, mib, got.Size-512)
			if len(cut.Findings) != 1 || cut.Findings[0].Message != fmt.Sprintf("the %s is 512 bytes larger than its volume", kind) {
				t.Errorf("in a volume that is too small: %+v", cut.Findings)
			}
		})
	}
}

// TestRealVolumes looks at file systems of a Debian package.
func TestRealVolumes(t *testing.T) {
	path := guesttest.Forensics(t)
	for _, c := range []struct {
		kind      string
		off, size int64
	}{
		{filesystem.Btrfs, 2048 * 512, 225280 * 512}, {filesystem.Ext4, 227328 * 512, 81920 * 512},
		{filesystem.ExFAT, 309248 * 512, 81920 * 512}, {filesystem.NTFS, 391168 * 512, 120832 * 512},
	} {
		got, want := identify(t, path, c.off, c.size), blkid(t, path, c.off, 262144000-c.off)
		if got.Kind != c.kind || blkidType(c.kind) != want["TYPE"] || got.UUID != want["UUID"] || got.Label != want["LABEL"] {
			t.Errorf("%s: %+v; blkid: %v", c.kind, got, want)
		}
		// The sample's maker gave all but the last the rest of the disk.
		if (len(got.Findings) == 0) != (c.kind == filesystem.NTFS) {
			t.Errorf("%s: %+v", c.kind, got.Findings)
		}
	}
}

// TestKindsByHand covers what no program here makes.
func TestKindsByHand(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		fill func(p []byte)
		want filesystem.Volume
	}{
		{"lvm", func(p []byte) {
			copy(p[512:], "LABELONE")
			p[512+8], p[512+20] = 1, 32
			copy(p[512+24:], "LVM2 001")
			copy(p[512+32:], "abcdef0123456789ABCDEFGHIJKLMNOP")
			le.PutUint64(p[512+64:], mib)
		}, filesystem.Volume{Kind: filesystem.LVM2, UUID: "abcdef-0123-4567-89AB-CDEF-GHIJ-KLMNOP", Size: mib}},
		{"raid", func(p []byte) {
			le.PutUint32(p[4096:], 0xa92b4efc)
			p[4100] = 1
			copy(p[4096+16:], "0123456789abcdef")
			copy(p[4096+32:], "host:0")
		}, filesystem.Volume{Kind: filesystem.MD, UUID: "30313233-3435-3637-3839-616263646566", Label: "host:0"}},
		{"zfs", func(p []byte) { le.PutUint64(p[(256+128)<<10+4096:], 0x00bab10c) }, filesystem.Volume{Kind: filesystem.ZFS}},
		{"bcache", func(p []byte) {
			p[4096+8] = 8
			copy(p[4096+24:], "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x810123456789abcdef")
		}, filesystem.Volume{Kind: filesystem.Bcache, UUID: "30313233-3435-3637-3839-616263646566"}},
		{"bcachefs", func(p []byte) {
			copy(p[4096+24:], "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef________________0123456789abcdeflabel")
			p[4096+120] = 8
		}, filesystem.Volume{Kind: filesystem.Bcachefs, UUID: "30313233-3435-3637-3839-616263646566", Label: "label", BlockSize: 4096}},
		{"bitlocker", func(p []byte) { copy(p[3:], "-FVE-FS-") }, filesystem.Volume{Kind: filesystem.BitLocker}},
		{"ntfs with a label", ntfs, filesystem.Volume{Kind: filesystem.NTFS, UUID: "00000000000000FF", Label: "System", Size: 512 << 10, BlockSize: 4096}},
		{"nothing", func(p []byte) { copy(p[1000:], "hello") }, filesystem.Volume{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := make([]byte, mib)
			c.fill(p)
			got, err := filesystem.Identify(strings.NewReader(string(p)), 0, mib)
			if err != nil {
				t.Fatal(err)
			}
			if c.want.Kind != "" && got.Unlistable == "" {
				t.Errorf("%s can be listed", got.Kind)
			}
			if got.Kind != c.want.Kind || got.UUID != c.want.UUID || got.Label != c.want.Label || got.Size != c.want.Size || got.BlockSize != c.want.BlockSize {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// ntfs writes a boot sector and the record of the volume's name.
func ntfs(p []byte) {
	le := binary.LittleEndian
	copy(p[3:], "NTFS    ")
	le.PutUint16(p[11:], 512)
	p[13] = 8
	le.PutUint64(p[40:], 1024)
	le.PutUint64(p[48:], 4)
	p[64], p[72] = 0xf6, 0xff // records of 2^10 bytes
	r := p[4*4096+3*1024:]
	copy(r, "FILE")
	le.PutUint16(r[20:], 56)
	a := r[56:]
	le.PutUint32(a, 0x10)
	le.PutUint32(a[4:], 96)
	a = a[96:]
	le.PutUint32(a, 0x60)
	le.PutUint32(a[4:], 40)
	le.PutUint32(a[16:], 12)
	le.PutUint16(a[20:], 24)
	copy(a[24:], "S\x00y\x00s\x00t\x00e\x00m\x00")
}

// TestTwoSignatures demands that what covers the volume counts, and that the other is
// told.
func TestTwoSignatures(t *testing.T) {
	p := make([]byte, mib)
	copy(p, "LUKS\xba\xbe\x00\x01")
	p[1024+56], p[1024+57] = 0x53, 0xef
	got, err := filesystem.Identify(strings.NewReader(string(p)), 0, mib)
	if err != nil || got.Kind != filesystem.LUKS1 || len(got.Findings) != 1 || !strings.Contains(got.Findings[0].Message, "signs of ext2") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBootCode(t *testing.T) {
	sector := func(code string) []byte {
		p := make([]byte, 512)
		copy(p, code)
		p[510], p[511] = 0x55, 0xaa
		return p
	}
	unsigned := sector("\xeb\x63\x90GRUB")
	unsigned[511] = 0
	for _, c := range []struct {
		sector []byte
		want   string
	}{
		{sector(""), ""}, {unsigned, ""}, {sector("\xeb\x63\x90  GRUB "), "GRUB"}, {sector("\x33\xc0...Missing operating system"), "MBR that starts the active partition"},
		{sector("\xeb\x3c\x90mkfs.fat This is not a bootable disk."), ""}, {sector("\xfa\x31"), "boot code"}, {sector("text"), ""},
	} {
		if got := filesystem.BootCode(c.sector); got != c.want {
			t.Errorf("%q: %q, want %q", c.sector[:20], got, c.want)
		}
	}
}
