package partition

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// The GPT header (UEFI 2.10, section 5.3.2).
const (
	gptSignature = "EFI PART"
	gptMinHeader = 92
	gptMinEntry  = 128
)

// A gptHeader is a header whose checksums are right, with its entries.
type gptHeader struct {
	sector            int64
	at                int64 // LBA where it was read
	my, alternate     int64 // LBA
	firstUse, lastUse int64 // LBA
	guid              string
	count             int64
	entrySize         int64
	entryCRC          uint32
	entries           []byte
}

// gpt reads the GPT; found is false if the disk has none. A primary header that is
// broken yields to the backup.
func (d *disk) gpt(m mbr) (t Table, found bool, err error) {
	sector, why, h, err := d.primary()
	if err != nil {
		return t, false, err
	}
	stale := m.valid && !m.protective()
	if h != nil && stale {
		d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, errcode.Evidence{Format: "gpt", Structure: "protective MBR"},
			"a GPT lies behind an MBR that does not announce it: the MBR counts")
		return t, false, nil
	}
	if h != nil {
		if !m.protective() {
			d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, errcode.Evidence{Format: "gpt", Structure: "protective MBR"}, "the GPT has no protective MBR: most systems do not see it")
		}
		if err := d.compareBackup(h); err != nil {
			return t, true, err
		}
		return d.fromGPT(h, m), true, nil
	}
	if stale || sector == 0 && !m.protective() {
		return t, false, nil
	}
	return d.fromBackup(m, sector, why)
}

// primary looks for the primary header at the second sector of either size. sector is
// 0 if there is no signature; why says what is wrong with a header that has one.
func (d *disk) primary() (sector int64, why string, h *gptHeader, err error) {
	for _, size := range [...]int64{512, 4096} {
		h, problem, err := d.header(size, 1)
		if err != nil || h != nil {
			return size, "", h, err
		}
		if problem != "" && sector == 0 {
			sector, why = size, problem
		}
	}
	return sector, why, nil, nil
}

// fromBackup takes the table from the backup at the end of the disk.
func (d *disk) fromBackup(m mbr, sector int64, why string) (Table, bool, error) {
	sizes := []int64{512, 4096}
	if sector != 0 {
		sizes = []int64{sector}
	}
	if why == "" {
		why = "it is not there"
	}
	ev := errcode.Evidence{Format: "gpt", Structure: "primary header", Offset: errcode.At(max(sector, 512)), Value: why}
	for _, size := range sizes {
		h, _, err := d.header(size, d.size/size-1)
		if err != nil {
			return Table{}, false, err
		}
		if h != nil {
			d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, ev, "the primary GPT is broken (%s): the partitions are those of the backup", why)
			t := d.fromGPT(h, m)
			t.FromBackup = true
			return t, true, nil
		}
	}
	d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, ev, "the primary GPT is broken (%s), and there is no backup at the disk's end", why)
	// A hybrid MBR still describes its partitions.
	if len(m.entries) > 1 {
		return Table{}, false, nil
	}
	return Table{Scheme: GPT, SectorSize: max(sector, 512)}, true, nil
}

// compareBackup looks for the backup of a good primary header.
func (d *disk) compareBackup(h *gptHeader) error {
	last := d.size/h.sector - 1
	ev := errcode.Evidence{Format: "gpt", Structure: "primary header", Field: "alternate LBA", Offset: errcode.At(h.sector + 32), Value: fmt.Sprint(h.alternate), Limit: fmt.Sprint(last)}
	if h.alternate > last {
		d.warn(errcode.Truncated, formats.SeverityWarning, remedyCut, ev, "the backup GPT would lie behind the disk's end, by %d bytes: the disk is cut off", (h.alternate-last)*h.sector)
		return nil
	}
	b, problem, err := d.header(h.sector, h.alternate)
	if err != nil {
		return err
	}
	switch {
	case b == nil:
		if problem == "" {
			problem = "it is not there"
		}
		d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, ev, "the backup GPT is broken: %s", problem)
	case b.guid != h.guid || b.entryCRC != h.entryCRC:
		d.warn(errcode.GPTInvalid, formats.SeverityWarning, remedyRepair, ev, "the backup GPT differs from the primary")
	case h.alternate < last:
		d.warn(errcode.GPTInvalid, formats.SeverityInfo, remedyMove, ev, "the backup GPT lies %d bytes before the disk's end: the disk has grown", (last-h.alternate)*h.sector)
	}
	return nil
}

// header reads and checks the header at an LBA. problem is "" if there is no header
// at all.
func (d *disk) header(sector, lba int64) (h *gptHeader, problem string, err error) {
	off, err := binio.Mul(lba, sector)
	if err != nil || lba < 1 || off > d.size-sector {
		return nil, "", nil
	}
	p, err := binio.ReadRange(d.r, d.size, off, sector, 4096)
	if err != nil {
		return nil, "", err
	}
	if string(p[:8]) != gptSignature {
		return nil, "", nil
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(p[12:]))
	if n < gptMinHeader || n > sector {
		return nil, fmt.Sprintf("header of %d bytes", n), nil
	}
	sum := le.Uint32(p[16:])
	clear(p[16:20])
	if crc32.ChecksumIEEE(p[:n]) != sum {
		return nil, "checksum of the header", nil
	}
	h = &gptHeader{sector: sector, at: lba, guid: guid(p[56:]), count: int64(le.Uint32(p[80:])), entrySize: int64(le.Uint32(p[84:])), entryCRC: le.Uint32(p[88:])}
	var table int64
	for _, f := range []struct {
		to *int64
		at int
	}{{&h.my, 24}, {&h.alternate, 32}, {&h.firstUse, 40}, {&h.lastUse, 48}, {&table, 72}} {
		if *f.to, err = binio.Int64(le.Uint64(p[f.at:])); err != nil {
			return nil, fmt.Sprintf("an address of %d", le.Uint64(p[f.at:])), nil
		}
	}
	if h.my != lba {
		return nil, fmt.Sprintf("it belongs to LBA %d", h.my), nil
	}
	problem, err = d.entries(h, table)
	if problem != "" || err != nil {
		return nil, problem, err
	}
	return h, "", nil
}

// entries reads the entry array, within the limits.
func (d *disk) entries(h *gptHeader, lba int64) (problem string, err error) {
	if h.entrySize < gptMinEntry || h.entrySize > 4096 || h.entrySize&(h.entrySize-1) != 0 {
		return fmt.Sprintf("entries of %d bytes", h.entrySize), nil
	}
	n := h.count * h.entrySize
	if h.count > MaxEntries || n > MaxTable {
		return fmt.Sprintf("%d entries, at most %d", h.count, MaxEntries), nil
	}
	off, err := binio.Mul(lba, h.sector)
	if err != nil || lba < 2 && h.at == 1 || n > d.size || off > d.size-n {
		return fmt.Sprintf("entries at LBA %d", lba), nil
	}
	if h.entries, err = binio.ReadRange(d.r, d.size, off, n, MaxTable); err != nil {
		return "", err
	}
	if crc32.ChecksumIEEE(h.entries) != h.entryCRC {
		return "checksum of the entries", nil
	}
	return "", nil
}

// fromGPT turns the entries into partitions.
func (d *disk) fromGPT(h *gptHeader, m mbr) Table {
	t := Table{Scheme: GPT, SectorSize: h.sector, DiskID: h.guid}
	le := binary.LittleEndian
	for i := range h.count {
		e := h.entries[i*h.entrySize:][:gptMinEntry]
		if binio.IsZero(e[:16]) {
			continue
		}
		ev := errcode.Evidence{Format: "gpt", Structure: fmt.Sprintf("partition %d", i+1), Value: fmt.Sprintf("LBA %d to %d", le.Uint64(e[32:]), le.Uint64(e[40:]))}
		off, n, ok := span(le.Uint64(e[32:]), le.Uint64(e[40:]), h.sector)
		if !ok {
			d.warn(errcode.PartitionBounds, formats.SeverityWarning, remedyRepair, ev, "partition %d has no bounds that make sense", i+1)
			continue
		}
		if off/h.sector < h.firstUse || (off+n)/h.sector-1 > h.lastUse {
			ev.Limit = fmt.Sprintf("LBA %d to %d", h.firstUse, h.lastUse)
			d.warn(errcode.PartitionBounds, formats.SeverityWarning, remedyRepair, ev, "partition %d lies outside the sectors that the table calls usable", i+1)
		}
		kind := guid(e)
		t.Partitions = append(t.Partitions, Partition{
			Number: int(i) + 1, Off: off, Len: n, Type: kind, TypeName: gptTypeName(kind), ID: guid(e[16:]),
			Name: name(e[56:gptMinEntry]), Bootable: le.Uint64(e[48:])&4 != 0, // attribute bit 2, section 5.3.3
		})
	}
	for _, e := range m.entries {
		if e.kind != protective {
			t.Legacy = append(t.Legacy, e.partition(e.index+1, m.id, 0, h.sector))
		}
	}
	if t.Hybrid = len(t.Legacy) > 0; t.Hybrid {
		d.warn(errcode.Contents, formats.SeverityInfo, "", errcode.Evidence{Format: "gpt", Structure: "protective MBR", Value: fmt.Sprintf("%d other entries", len(t.Legacy))},
			"the protective MBR has other entries beside it (hybrid MBR): systems differ in what they see")
	}
	d.check(t)
	return t
}

// span turns the first and the last LBA into bytes.
func span(first, last uint64, sector int64) (off, n int64, ok bool) {
	// Far below overflow, and above every disk.
	const most = 1 << 50
	if first > last || last >= most {
		return 0, 0, false
	}
	return int64(first) * sector, int64(last-first+1) * sector, true
}

// guid writes the 16 bytes of a GUID, whose first three fields are little-endian.
func guid(p []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(p), le.Uint16(p[4:]), le.Uint16(p[6:]), p[8:10], p[10:16])
}

// name decodes the UTF-16 name of an entry.
func name(p []byte) string {
	var u []uint16
	for i := 0; i+1 < len(p); i += 2 {
		c := binary.LittleEndian.Uint16(p[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}
