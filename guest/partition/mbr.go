package partition

import (
	"encoding/binary"
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Where things lie in a boot record, and the types that mean something here.
const (
	tableOff   = 446
	entryLen   = 16
	diskIDOff  = 440
	protective = 0xee
)

// mbrSector is the unit of an MBR's addresses that Read assumes, and the size of a boot
// record whatever the size of a sector.
const mbrSector = 512

// An mbrEntry is one used entry of a boot record.
type mbrEntry struct {
	index        int // from 0
	active       bool
	kind         byte
	start, count int64 // sectors
}

// An mbr is a parsed boot record.
type mbr struct {
	valid   bool // it ends as a boot record does and can be a partition table
	id      uint32
	entries []mbrEntry
}

// parseEntries returns the used entries of a boot record; ok is false if a boot
// flag is none, as in a volume's boot sector whose code lies there.
func parseEntries(sector []byte) (used []mbrEntry, ok bool) {
	for i := range 4 {
		e := sector[tableOff+i*entryLen:][:entryLen]
		if e[0] != 0 && e[0] != 0x80 {
			return nil, false
		}
		start, count := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		if e[4] != 0 && count > 0 {
			used = append(used, mbrEntry{i, e[0] == 0x80, e[4], int64(start), int64(count)})
		}
	}
	return used, true
}

// parseMBR parses the first sector. It is no table if it is a volume's boot sector,
// or if no entry begins on the disk.
func parseMBR(sector []byte, size, unit int64) mbr {
	if sector[510] != 0x55 || sector[511] != 0xaa || volumeBoot(sector) {
		return mbr{}
	}
	used, ok := parseEntries(sector)
	m := mbr{id: binary.LittleEndian.Uint32(sector[diskIDOff:]), entries: used}
	for _, e := range used {
		m.valid = m.valid || ok && (e.start*unit < size || e.kind == protective)
	}
	return m
}

// volumeBoot reports whether a sector is the boot sector of a FAT, exFAT or NTFS
// volume, which ends with the same signature as an MBR.
func volumeBoot(s []byte) bool {
	if s[0] != 0xeb && s[0] != 0xe9 {
		return false
	}
	return string(s[3:11]) == "NTFS    " || string(s[3:11]) == "EXFAT   " ||
		string(s[54:57]) == "FAT" || string(s[82:87]) == "FAT32"
}

// protective reports whether an entry announces a GPT.
func (m mbr) protective() bool {
	for _, e := range m.entries {
		if e.kind == protective {
			return true
		}
	}
	return false
}

// extended reports whether a type is that of an extended partition.
func extended(kind byte) bool { return kind == 0x05 || kind == 0x0f || kind == 0x85 }

// partition turns an entry into a partition; base is added to its begin, and unit is
// the size of a sector.
func (e mbrEntry) partition(number int, id uint32, base, unit int64) Partition {
	return Partition{
		Number: number, Off: (base + e.start) * unit, Len: e.count * unit,
		Type: fmt.Sprintf("0x%02x", e.kind), TypeName: mbrTypeName(e.kind),
		ID: fmt.Sprintf("%08x-%02x", id, number), Bootable: e.active, Extended: extended(e.kind),
	}
}

// mbr turns a boot record into the table, with the logical partitions of its first
// extended one.
func (d *disk) mbr(m mbr) (Table, error) {
	t := Table{Scheme: MBR, SectorSize: d.sector, DiskID: fmt.Sprintf("%08x", m.id)}
	active := 0
	for _, e := range m.entries {
		t.Partitions = append(t.Partitions, e.partition(e.index+1, m.id, 0, d.sector))
		if e.active {
			active++
		}
	}
	if active > 1 {
		d.warn(errcode.MBRInvalid, formats.SeverityWarning, remedyMBR, errcode.Evidence{Format: "mbr", Structure: "boot record", Field: "boot flag", Value: fmt.Sprint(active), Limit: "1"},
			"%d partitions are active: boot code of a PC takes the first, or refuses", active)
	}
	for _, e := range m.entries {
		if extended(e.kind) {
			logical, err := d.logical(m.id, e.start, e.count)
			if err != nil {
				return t, err
			}
			t.Partitions = append(t.Partitions, logical...)
			break
		}
	}
	d.check(t)
	return t, nil
}

// logical follows the chain of extended boot records within [base, base+count)
// sectors. It never goes back, so that a chain that is a loop ends.
func (d *disk) logical(id uint32, base, count int64) ([]Partition, error) {
	var out []Partition
	seen := map[int64]bool{}
	for at := base; ; {
		ev := errcode.Evidence{Format: "mbr", Structure: fmt.Sprintf("extended boot record %d", len(seen)+1), Offset: errcode.At(at * d.sector)}
		broken := func(code errcode.Code, format string, args ...any) ([]Partition, error) {
			d.warn(code, formats.SeverityWarning, remedyMBR, ev, format, args...)
			return out, nil
		}
		switch {
		case seen[at]:
			return broken(errcode.PartitionLoop, "the chain of logical partitions is a loop")
		case len(seen) > MaxLogical:
			return broken(errcode.ParserLimit, "more than %d logical partitions", MaxLogical)
		case at*d.sector > d.size-d.sector:
			return broken(errcode.PartitionBounds, "the chain of logical partitions leads behind the disk's end")
		}
		seen[at] = true
		sector, err := binio.ReadRange(d.r, d.size, at*d.sector, mbrSector, mbrSector)
		if err != nil {
			return out, err
		}
		used, ok := parseEntries(sector)
		if sector[510] != 0x55 || sector[511] != 0xaa || !ok {
			return broken(errcode.MBRInvalid, "an extended boot record is none")
		}
		next := int64(-1)
		for _, e := range used {
			if !extended(e.kind) {
				p := e.partition(5+len(out), id, at, d.sector)
				p.Logical = true
				out = append(out, p)
			} else if next < 0 {
				next = base + e.start
			}
		}
		if next < 0 {
			return out, nil
		}
		if at = next; at >= base+count {
			ev.Limit = fmt.Sprint((base + count) * d.sector)
			return broken(errcode.PartitionBounds, "the chain of logical partitions leaves the extended partition")
		}
	}
}
