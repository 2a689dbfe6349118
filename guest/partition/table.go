package partition

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// The limits. Each ends in a finding.
const (
	// MaxEntries is the most GPT entries that are read: every tool makes 128, and
	// some disks of clouds 256.
	MaxEntries = 1024
	// MaxTable is the largest GPT entry array, bytes.
	MaxTable = 1 << 20
	// MaxLogical is the most logical partitions: Linux numbers no more.
	MaxLogical = 251
	// maxFindings keeps a hostile table from filling a report.
	maxFindings = 64
)

// A Scheme is a kind of partition table.
type Scheme string

// The schemes. None is a disk without a partition table.
const (
	None Scheme = ""
	GPT  Scheme = "gpt"
	MBR  Scheme = "mbr"
)

// A Table is the partition table of a disk.
type Table struct {
	Scheme     Scheme `json:"scheme"`
	SectorSize int64  `json:"sector_size,omitempty"` // bytes
	DiskID     string `json:"disk_id,omitempty"`     // GUID, or eight hexadecimal digits of an MBR
	Hybrid     bool   `json:"hybrid,omitempty"`      // an MBR describes partitions beside the GPT
	FromBackup bool   `json:"from_backup,omitempty"` // the primary GPT is broken
	// Partitions are ordered by number. Those that do not lie on the disk are among
	// them, with a finding.
	Partitions []Partition `json:"partitions"`
	// Legacy are the entries of a hybrid MBR beside the protective one.
	Legacy   []Partition       `json:"legacy,omitempty"`
	Findings []formats.Finding `json:"-"`
}

// A Partition is one entry of a table.
type Partition struct {
	Number   int    `json:"number"`             // as Linux numbers it: the entry, logical ones from 5
	Off      int64  `json:"offset"`             // guest offset, bytes
	Len      int64  `json:"length"`             // bytes, > 0
	Type     string `json:"type"`               // GUID, or as in "0x83"
	TypeName string `json:"type_name"`          // in words, "" if the type is not known
	ID       string `json:"id,omitempty"`       // what Linux calls PARTUUID
	Name     string `json:"name,omitempty"`     // of a GPT entry
	Bootable bool   `json:"bootable,omitempty"` // active (MBR), legacy BIOS bootable (GPT)
	Logical  bool   `json:"logical,omitempty"`
	Extended bool   `json:"extended,omitempty"` // holds the logical ones
}

// End returns the guest offset behind the partition.
func (p Partition) End() int64 { return p.Off + p.Len }

// Read reads the partition table of a disk of size bytes. The error is that of
// reading the disk; a disk without a table, or with one that makes no sense, has the
// scheme None.
func Read(r io.ReaderAt, size int64) (Table, error) {
	d := &disk{r: r, size: size, sector: mbrSector}
	return d.told(d.table())
}

// ReadMBR reads the MBR as that of a disk whose sectors have another size than 512
// bytes, which an MBR does not say: what lies in the partitions does. The scheme is
// None if there is no MBR.
func ReadMBR(r io.ReaderAt, size, sector int64) (Table, error) {
	d := &disk{r: r, size: size, sector: sector}
	m, err := d.first()
	if err != nil || !m.valid || m.protective() {
		return d.told(Table{}, err)
	}
	return d.told(d.mbr(m))
}

// told completes a table with what was found on the way.
func (d *disk) told(t Table, err error) (Table, error) {
	if t.Partitions == nil {
		t.Partitions = []Partition{}
	}
	t.Findings = d.findings
	return t, err
}

// A disk is what is read, with what was found on the way.
type disk struct {
	r        io.ReaderAt
	size     int64
	sector   int64 // unit of an MBR's addresses, bytes
	findings []formats.Finding
}

// first reads the first sector.
func (d *disk) first() (mbr, error) {
	if d.size < 512 {
		return mbr{}, nil
	}
	p, err := binio.ReadRange(d.r, d.size, 0, 512, 512)
	if err != nil {
		return mbr{}, err
	}
	return parseMBR(p, d.size, d.sector), nil
}

func (d *disk) table() (Table, error) {
	m, err := d.first()
	if err != nil || d.size < 512 {
		return Table{}, err
	}
	t, found, err := d.gpt(m)
	if err != nil || found {
		return t, err
	}
	if !m.valid || m.protective() && len(m.entries) == 1 {
		return Table{}, nil
	}
	return d.mbr(m)
}

// Remedies, in the order of the codes that they go with.
const (
	remedyRepair = "Repair the table before the import with `sgdisk --verify` and `gdisk`, or have the guest do it."
	remedyMBR    = "Repair the table with `fdisk` before the import, or have the guest do it."
	remedyMove   = "Move the backup to the end of the disk with `sgdisk --move-second-header`; most systems do so by themselves when they grow their disk."
	remedyCut    = "Compare the image's size with that of its origin: it may be cut off. If it is whole, repair the table with `sgdisk --move-second-header`."
)

// warn adds a finding that does not refuse the image.
func (d *disk) warn(code errcode.Code, sev formats.Severity, remedy string, ev errcode.Evidence, format string, args ...any) {
	if len(d.findings) >= maxFindings {
		return
	}
	f := formats.Note(code, sev, fmt.Sprintf(format, args...), ev)
	f.Remedy = remedy
	d.findings = append(d.findings, f)
}

// check looks at where the partitions lie: on the disk, and apart from each other.
func (d *disk) check(t Table) {
	var lie []Partition
	for _, p := range t.Partitions {
		ev := errcode.Evidence{Format: string(t.Scheme), Structure: fmt.Sprintf("partition %d", p.Number), Value: fmt.Sprintf("%d to %d", p.Off, p.End()), Limit: fmt.Sprint(d.size)}
		if p.End() > d.size {
			d.warn(errcode.PartitionBounds, formats.SeverityWarning, remedyCut, ev, "partition %d ends %d bytes behind the disk's end", p.Number, p.End()-d.size)
		}
		if !p.Extended {
			lie = append(lie, p)
		}
	}
	slices.SortStableFunc(lie, func(a, b Partition) int {
		if a.Off != b.Off {
			return cmp.Compare(a.Off, b.Off)
		}
		return cmp.Compare(a.Number, b.Number)
	})
	for i, last := 1, 0; i < len(lie); i++ {
		a, b := lie[last], lie[i]
		if b.Off < a.End() {
			ev := errcode.Evidence{Format: string(t.Scheme), Structure: fmt.Sprintf("partition %d", b.Number), Offset: errcode.At(b.Off), Value: fmt.Sprintf("%d to %d", b.Off, b.End()), Limit: fmt.Sprint(a.End())}
			d.warn(errcode.PartitionBounds, formats.SeverityWarning, remedyRepair, ev, "partitions %d and %d overlap", a.Number, b.Number)
		}
		if b.End() > a.End() {
			last = i
		}
	}
}
