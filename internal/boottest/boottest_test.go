package boottest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/qcow2"
	"ingest/internal/imgtest"
)

const size = 40<<20 + 7*sectorBytes

// TestDiskIsADisk holds the model against its own file, and its table against
// its sectors, without a PC.
func TestDiskIsADisk(t *testing.T) {
	for _, n := range []int64{MinSize, size, 5 << 30} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			d := New(n, 7)
			raw := imgtest.OpenFile(t, d.WriteRaw(t))
			formattest.Reader(t, formattest.Spec{Open: func(testing.TB) formats.Disk { return d }, Want: raw})
			table := make([]byte, sectorBytes)
			imgtest.ReadFull(t, raw, table, sectorBytes)
			count := int(binary.LittleEndian.Uint16(table))
			var marked, zero int
			for i := range count {
				e := binary.LittleEndian.Uint64(table[8+8*i:])
				s := make([]byte, sectorBytes)
				imgtest.ReadFull(t, raw, s, int64(e&^zeroFlag)*sectorBytes)
				if e&zeroFlag != 0 {
					zero++
					if !bytes.Equal(s, make([]byte, sectorBytes)) {
						t.Errorf("sector %d is not zero", e&^zeroFlag)
					}
					continue
				}
				marked++
				if got := binary.LittleEndian.Uint64(s); got != e {
					t.Errorf("marker %d says %d", e, got)
				}
			}
			if marked != len(d.Markers()) || zero < 2 {
				t.Errorf("%d markers of %d, %d zeros", marked, len(d.Markers()), zero)
			}
			if again := New(n, 7); !bytes.Equal(again.sectors[1], d.sectors[1]) {
				t.Error("the same seed gives another table")
			}
		})
	}
}

// qemuImages are what qemu-img makes of a raw disk.
var qemuImages = []struct {
	name, format string
	options      []string
}{
	{"qcow2", "qcow2", nil},
	{"qcow2 zlib", "qcow2", []string{"-c"}},
	{"qcow2 zstd", "qcow2", []string{"-c", "compression_type=zstd"}},
	{"qcow2 small clusters", "qcow2", []string{"cluster_size=512"}},
	{"vmdk", "vmdk", nil},
	{"vmdk streamOptimized", "vmdk", []string{"subformat=streamOptimized"}},
	{"vhd dynamic", "vpc", nil},
	{"vhd fixed", "vpc", []string{"subformat=fixed"}},
	{"vhdx", "vhdx", nil},
	{"vhdx fixed", "vhdx", []string{"subformat=fixed"}},
	{"vdi", "vdi", nil},
	{"parallels", "parallels", nil},
	{"qed", "qed", nil},
}

func TestQemusImagesBoot(t *testing.T) {
	raw := New(size, 1).WriteRaw(t)
	t.Run("raw", func(t *testing.T) { Boot(t, raw, "raw") })
	for _, c := range qemuImages {
		t.Run(c.name, func(t *testing.T) { Boot(t, imgtest.Convert(t, raw, "raw", c.format, c.options...), c.format) })
	}
}

// TestLargeDisksBoot boots where sector numbers pass what 2 GiB, a BIOS of old
// and 32 bits can count.
func TestLargeDisksBoot(t *testing.T) {
	for _, n := range []int64{5 << 30, 3 << 40} {
		raw := New(n, 2).WriteRaw(t)
		t.Run(fmt.Sprintf("%d GiB raw", n>>30), func(t *testing.T) { Boot(t, raw, "raw") })
		t.Run(fmt.Sprintf("%d GiB qcow2", n>>30), func(t *testing.T) { Boot(t, imgtest.Convert(t, raw, "raw", "qcow2"), "qcow2") })
	}
}

func TestOwnImagesBoot(t *testing.T) {
	disk := New(size, 3)
	for _, comp := range []string{qcow2.CompressionNone, qcow2.CompressionZlib, qcow2.CompressionZstd} {
		t.Run("qcow2 "+comp, func(t *testing.T) {
			out, _ := formattest.Record(t, qcow2.Encoder{Compression: comp}, disk, nil)
			Boot(t, write(t, out.Bytes), "qcow2")
		})
	}
	t.Run("qcow2 plan", func(t *testing.T) {
		p, err := qcow2.Planner{}.Plan(t.Context(), disk)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(p, 0, p.Size()))
		if err != nil {
			t.Fatal(err)
		}
		Boot(t, write(t, b), "qcow2")
	})
}

// write keeps an image for QEMU.
func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBrokenDisksDoNotBoot damages a good disk.
func TestBrokenDisksDoNotBoot(t *testing.T) {
	d := New(size, 4)
	good, err := os.ReadFile(d.WriteRaw(t))
	if err != nil {
		t.Fatal(err)
	}
	m := d.Markers()
	mid := m[len(m)/2]
	stale := staleZero(t, good)
	for _, c := range []struct {
		name   string
		damage func(b []byte) []byte
		says   string
	}{
		{"a flipped bit", func(b []byte) []byte { b[mid+200] ^= 4; return b }, at(sayContent, mid)},
		{"a flipped bit in the last sector", func(b []byte) []byte { b[len(b)-1] ^= 128; return b }, at(sayContent, size-512)},
		{"a cluster of zeros", func(b []byte) []byte { clear(b[mid&^0xFFFF:][:0x10000]); return b }, sayContent},
		{"two markers in each other's place", func(b []byte) []byte {
			copy(b[m[3]:], good[m[4]:m[4]+512])
			copy(b[m[4]:], good[m[3]:m[3]+512])
			return b
		}, sayContent},
		{"a cluster moved by a sector", func(b []byte) []byte { copy(b[mid:mid+1024], good[mid-512:]); return b }, sayContent},
		{"an old byte where zeros belong", func(b []byte) []byte { b[stale+511] = 1; return b }, at(sayContent, stale)},
		{"cut by a sector", func(b []byte) []byte { return b[:len(b)-512] }, at(sayUnread, size-512)},
		{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }, sayUnread},
		{"no table", func(b []byte) []byte { clear(b[512:1024]); return b }, at(sayContent, 512)},
		{"no boot sector", func(b []byte) []byte { clear(b[:512]); return b }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.damage(bytes.Clone(good)))
			out, err := TryBoot(t, path, "raw")
			if err == nil || !strings.Contains(out, c.says) || strings.Contains(out, sayGood) {
				t.Errorf("boots: %v, want %q\n%s", err, c.says, out)
			}
		})
	}
	t.Run("an image cut in half", func(t *testing.T) {
		path := imgtest.Convert(t, write(t, good), "raw", "qcow2")
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, st.Size()/2); err != nil {
			t.Fatal(err)
		}
		if out, err := TryBoot(t, path, "qcow2"); err == nil {
			t.Errorf("half an image boots\n%s", out)
		}
	})
}

// at is what the PC says of a sector.
func at(says string, off int64) string { return fmt.Sprintf("%s%016X", says, off/sectorBytes) }

// staleZero returns the guest offset of a sector that the table has as zeros.
func staleZero(t *testing.T, b []byte) int64 {
	t.Helper()
	for i := range int(binary.LittleEndian.Uint16(b[512:])) {
		if e := binary.LittleEndian.Uint64(b[520+8*i:]); e&zeroFlag != 0 {
			return int64(e&^zeroFlag) * sectorBytes
		}
	}
	t.Fatal("no sector of zeros in the table")
	return 0
}
