package vhdx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"testing"
	"unicode/utf16"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// An audit reads a whole file in memory as [MS-VHDX] says, with nothing of this
// package: offsets, identifiers and the checksum are written out again.
type audit struct {
	t        testing.TB
	file     []byte
	owned    []span // what has its place in the file
	meta     span
	bat      span
	block    uint64
	size     uint64
	logical  uint64
	physical uint64
	diskID   []byte
}

// A span is a run of the file.
type span struct {
	name     string
	off, len uint64
}

func (a *audit) u16(off uint64) uint64 { return uint64(binary.LittleEndian.Uint16(a.file[off:])) }
func (a *audit) u32(off uint64) uint64 { return uint64(binary.LittleEndian.Uint32(a.file[off:])) }
func (a *audit) u64(off uint64) uint64 { return binary.LittleEndian.Uint64(a.file[off:]) }

// must fails the test unless a rule of the given section is kept.
func (a *audit) must(ok bool, section, format string, args ...any) {
	a.t.Helper()
	if !ok {
		a.t.Errorf("section %s: %s", section, fmt.Sprintf(format, args...))
	}
}

// zero fails the test unless a run of the file is reserved zeros.
func (a *audit) zero(section, what string, off, end uint64) {
	a.t.Helper()
	a.must(len(bytes.Trim(a.file[off:end], "\x00")) == 0, section, "%s at %#x to %#x is not zero", what, off, end)
}

// claim gives a run to one use and checks that it lies at whole MiB.
func (a *audit) claim(section string, s span) {
	a.t.Helper()
	const mega = 0x100000
	a.must(s.off%mega == 0 && s.len%mega == 0 && s.len > 0, section, "%s at %#x has %#x bytes: not whole MiB", s.name, s.off, s.len)
	a.must(s.off+s.len <= uint64(len(a.file)), section, "%s ends at %#x of %#x", s.name, s.off+s.len, len(a.file))
	a.owned = append(a.owned, s)
}

// crc32c is the checksum of a structure, bit by bit, over zeros where it stands.
func (a *audit) crc32c(off, n uint64) uint64 {
	p := append([]byte(nil), a.file[off:off+n]...)
	copy(p[4:8], []byte{0, 0, 0, 0})
	crc := ^uint32(0)
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x82F63B78
			} else {
				crc >>= 1
			}
		}
	}
	return uint64(^crc)
}

// guid returns the GUID at off as it is written.
func (a *audit) guid(off uint64) string {
	tail := a.file[off+8 : off+16]
	return strings.ToUpper(fmt.Sprintf("%08x-%04x-%04x-%x-%x", a.u32(off), a.u16(off+4), a.u16(off+6), tail[:2], tail[2:]))
}

// checkRules holds a dynamic VHDX without a parent against the rules, and its
// blocks against the disk.
func checkRules(t testing.TB, file []byte, disk *imgtest.Disk) *audit {
	t.Helper()
	a := &audit{t: t, file: file}
	a.must(len(file) >= 0x400000 && len(file)%0x100000 == 0, "2", "the file has %#x bytes", len(file))
	a.identifier()
	a.headers()
	a.regions()
	if t.Failed() {
		t.FailNow()
	}
	a.metadata()
	a.entries(disk)
	a.alone()
	return a
}

// identifier checks section 2.2.1.
func (a *audit) identifier() {
	a.owned = append(a.owned, span{"header section", 0, 0x100000})
	a.must(string(a.file[:8]) == "vhdxfile", "2.2.1", "signature %q", a.file[:8])
	var units []uint16
	for off := uint64(8); off < 8+512; off += 2 {
		units = append(units, uint16(a.u16(off)))
	}
	text := strings.TrimRight(string(utf16.Decode(units)), "\x00")
	a.must(text == "ingest", "2.2.1", "creator %q", text)
	a.zero("2.2.1", "behind the identifier", 8+512, 0x10000)
	a.zero("2.2", "behind the region tables", 0x50000, 0x100000)
}

// headers checks section 2.2.2.
func (a *audit) headers() {
	for _, off := range []uint64{0x10000, 0x20000} {
		a.must(string(a.file[off:off+4]) == "head", "2.2.2", "signature at %#x", off)
		a.must(a.u32(off+4) == a.crc32c(off, 4096), "2.2.2", "checksum at %#x", off)
		a.must(a.guid(off+16) != a.guid(0x50000) && a.guid(off+32) != a.guid(0x50000), "2.2.2", "FileWriteGuid or DataWriteGuid is zero")
		a.zero("2.2.2", "LogGuid of a clean file", off+48, off+64)
		a.must(a.u16(off+64) == 0 && a.u16(off+66) == 1, "2.2.2", "log version %d, version %d", a.u16(off+64), a.u16(off+66))
		a.zero("2.2.2", "reserved", off+80, off+0x10000)
	}
	a.must(a.u64(0x10008) != a.u64(0x20008), "2.2.2", "both headers have the sequence number %d", a.u64(0x10008))
	a.must(bytes.Equal(a.file[0x10010:0x11000], a.file[0x20010:0x21000]), "2.2.2", "the headers say different things")
	log := span{"log", a.u64(0x10000 + 72), a.u32(0x10000 + 68)}
	a.claim("2.2.2", log)
	a.zero("2.3", "log without entries", log.off, log.off+log.len)
}

// regions checks section 2.2.3.
func (a *audit) regions() {
	const off = 0x30000
	a.must(bytes.Equal(a.file[off:off+0x10000], a.file[0x40000:0x50000]), "2.2.3", "the region tables differ")
	a.must(string(a.file[off:off+4]) == "regi" && a.u32(off+4) == a.crc32c(off, 0x10000), "2.2.3.1", "signature or checksum")
	a.must(a.u32(off+8) == 2 && a.u32(off+12) == 0, "2.2.3.1", "%d entries, reserved %d", a.u32(off+8), a.u32(off+12))
	for at := uint64(off + 16); at < off+16+64; at += 32 {
		s := span{a.guid(at), a.u64(at + 16), a.u32(at + 24)}
		a.must(a.u32(at+28) == 1, "2.2.3.2", "region %s: flags %#x, want required", s.name, a.u32(at+28))
		a.must(s.off >= 0x100000, "2.2.3.2", "region %s lies in the header section", s.name)
		a.claim("2.2.3.2", s)
		switch s.name {
		case "2DC27766-F623-4200-9D64-115E9BFD4A08":
			a.bat = s
		case "8B7CA206-4790-4B9A-B8FE-575F050F886E":
			a.meta = s
		}
	}
	a.zero("2.2.3", "behind the entries", off+16+64, off+0x10000)
	a.must(a.bat.len > 0 && a.meta.len > 0, "2.2.3.3", "no BAT or no metadata region")
}

// metadata checks section 2.6.
func (a *audit) metadata() {
	const system, disk, required = 0, 2, 4
	known := map[string]struct{ length, flags uint64 }{
		"CAA16737-FA36-4D43-B3B6-33F0AA44E76B": {8, system | required},
		"2FA54224-CD1B-4876-B211-5DBED83BF4B8": {8, disk | required},
		"BECA12AB-B2E6-4523-93EF-C309E000C746": {16, disk | required},
		"8141BF1D-A96F-4709-BA47-F233A8FAAB5F": {4, disk | required},
		"CDA348C7-445D-4471-9CC9-E9885251C556": {4, disk | required},
	}
	off := a.meta.off
	a.must(string(a.file[off:off+8]) == "metadata", "2.6.1.1", "signature")
	n := a.u16(off + 10)
	a.must(n == uint64(len(known)), "2.6.1.1", "%d entries", n)
	a.zero("2.6.1.1", "reserved", off+8, off+10)
	a.zero("2.6.1.1", "reserved", off+12, off+32)
	var items []span
	at := map[string]uint64{}
	for e := off + 32; e < off+32+32*n; e += 32 {
		id, s := a.guid(e), span{"item", a.u32(e + 16), a.u32(e + 20)}
		want, ok := known[id]
		a.must(ok && at[id] == 0, "2.6.2", "item %s is unknown or there twice", id)
		a.must(s.off >= 0x10000 && s.off+s.len <= a.meta.len && s.len == want.length, "2.6.1.2", "item %s at %#x, %d bytes", id, s.off, s.len)
		a.must(a.u32(e+24) == want.flags && a.u32(e+28) == 0, "2.6.1.2", "item %s has flags %#x, reserved %#x", id, a.u32(e+24), a.u32(e+28))
		items, at[id] = append(items, s), off+s.off
	}
	a.zero("2.6.1", "behind the entries", off+32+32*n, off+0x10000)
	a.disjoint("2.6.1.2", items)
	a.block, a.size = a.u32(at["CAA16737-FA36-4D43-B3B6-33F0AA44E76B"]), a.u64(at["2FA54224-CD1B-4876-B211-5DBED83BF4B8"])
	a.must(a.u32(at["CAA16737-FA36-4D43-B3B6-33F0AA44E76B"]+4) == 0, "2.6.2.1", "flags of a dynamic disk without a parent")
	a.must(a.block >= 1<<20 && a.block <= 256<<20 && a.block&(a.block-1) == 0, "2.6.2.1", "blocks of %d bytes", a.block)
	id := at["BECA12AB-B2E6-4523-93EF-C309E000C746"]
	a.diskID = a.file[id : id+16]
	a.must(len(bytes.Trim(a.diskID, "\x00")) > 0, "2.6.2.3", "no virtual disk ID")
	a.logical = a.u32(at["8141BF1D-A96F-4709-BA47-F233A8FAAB5F"])
	a.physical = a.u32(at["CDA348C7-445D-4471-9CC9-E9885251C556"])
	a.must(a.logical == 512 || a.logical == 4096, "2.6.2.4", "logical sectors of %d bytes", a.logical)
	a.must(a.physical == 512 || a.physical == 4096, "2.6.2.5", "physical sectors of %d bytes", a.physical)
	a.must(a.size > 0 && a.size%a.logical == 0 && a.size <= 64<<40, "2.6.2.2", "virtual size %d", a.size)
}

// entries checks section 2.5 and holds the blocks against the disk.
func (a *audit) entries(disk *imgtest.Disk) {
	ratio := (1 << 23) * a.logical / a.block // 2.4
	payload := (a.size + a.block - 1) / a.block
	total := payload + (payload-1)/ratio
	a.must(total*8 <= a.bat.len && a.bat.len-total*8 < 0x100000, "2.5", "a BAT of %d bytes for %d entries", a.bat.len, total)
	a.zero("2.5", "behind the last entry", a.bat.off+8*total, a.bat.off+a.bat.len)
	block, want := uint64(0), make([]byte, a.block)
	for i := range total {
		entry := a.u64(a.bat.off + 8*i)
		if (i+1)%(ratio+1) == 0 {
			a.must(entry == 0, "2.5.1.2", "the sector bitmap entry %d is %#x", i, entry)
			continue
		}
		switch state := entry & 7; state {
		case 0:
			a.must(entry == 0, "2.5.1", "entry %d of a block that is not present: %#x", i, entry)
			start, end, err := disk.NextData(int64(block * a.block))
			a.must(err == nil && (start == end || uint64(start) >= (block+1)*a.block), "2.5.1.1", "block %d has data and is not present", block)
		case 6:
			a.must(entry&0xFFFF8 == 0, "2.5.1", "reserved bits of entry %d: %#x", i, entry)
			s := span{fmt.Sprintf("block %d", block), entry &^ 0xFFFFF, a.block}
			a.claim("2.5.1", s)
			clear(want)
			disk.ReadAt(want, int64(block*a.block))
			a.must(bytes.Equal(a.file[s.off:s.off+s.len], want), "2.5.1.1", "block %d holds other bytes than the guest", block)
		default:
			a.must(false, "2.5.1.1", "block %d has state %d", block, state)
		}
		block++
	}
	a.must(block == payload, "2.5", "entries for %d of %d blocks", block, payload)
}

// alone checks that no two uses share a byte, and that none is left over.
func (a *audit) alone() {
	var sum uint64
	for _, s := range a.owned {
		sum += s.len
	}
	a.disjoint("2.2", a.owned)
	a.must(sum == uint64(len(a.file)), "2.2", "%#x of %#x bytes have a use", sum, len(a.file))
}

// disjoint checks that no two spans overlap.
func (a *audit) disjoint(section string, all []span) {
	sort.Slice(all, func(i, j int) bool { return all[i].off < all[j].off })
	for i := 1; i < len(all); i++ {
		a.must(all[i-1].off+all[i-1].len <= all[i].off, section, "%v and %v overlap", all[i-1], all[i])
	}
}

// TestRulesOfTheSpecification holds what is written against [MS-VHDX].
func TestRulesOfTheSpecification(t *testing.T) {
	uuid := formats.ID{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8}
	disks := []*imgtest.Disk{
		imgtest.New(512, 2, imgtest.Run{Off: 0, Len: 512, Kind: imgtest.Noise}),
		imgtest.New(9<<20, 1),
		imgtest.Random(5, 21<<20+5*512, 7<<20),
		imgtest.Random(6, 33<<20+1, 3<<20),
		imgtest.New(9<<30+512, 7, imgtest.Run{Off: 4<<30 - 70, Len: 140, Kind: imgtest.Noise}, imgtest.Run{Off: 8<<30 - 7, Len: 9, Kind: imgtest.Text}),
	}
	for _, o := range []Dynamic{{}, {BlockSize: 4 << 20}, {LogicalSector: 4096, UUID: uuid}, {BlockSize: 16 << 20, PhysicalSector: 512}} {
		for i, disk := range disks {
			t.Run(fmt.Sprintf("%s disk %d", o.Codec(), i), func(t *testing.T) {
				a := checkRules(t, planned(t, o, disk), disk)
				c := o.complete()
				if a.block != uint64(c.BlockSize) || a.logical != uint64(c.LogicalSector) {
					t.Errorf("blocks of %d, sectors of %d bytes, want %+v", a.block, a.logical, c)
				}
				if got := fmt.Sprintf("%x", a.diskID); o.UUID != (formats.ID{}) && got != "78563412bc9af0de0102030405060708" {
					t.Errorf("virtual disk ID %s is not the option's, the first three fields little endian", got)
				}
				if want := (uint64(disk.Size()) + a.logical - 1) / a.logical * a.logical; a.size != want {
					t.Errorf("virtual size %d, want %d", a.size, want)
				}
			})
		}
	}
}
