package guest

import (
	"context"
	"io"
	"slices"

	"ingest/formats"
	"ingest/guest/filesystem"
	"ingest/guest/partition"
	"ingest/guest/tree"
	"ingest/internal/binio"
)

// Facts are what is known of a disk's inside.
type Facts struct {
	VirtualSize int64           `json:"virtual_size"` // bytes
	MinDisk     int64           `json:"min_disk"`     // GiB, rounded up
	Table       partition.Table `json:"partition_table"`
	Volumes     []Volume        `json:"volumes"`
	Boot        Boot            `json:"boot"`
	System      System          `json:"system"`
	// Properties are Glance's, as far as they are certain.
	Properties map[string]string `json:"properties"`
	Findings   []formats.Finding `json:"findings"`
}

// A Volume is what lies in a partition, or on the whole disk.
type Volume struct {
	Partition int   `json:"partition"` // number in the table, 0 is the whole disk
	Off       int64 `json:"offset"`    // guest offset, bytes
	Len       int64 `json:"length"`    // bytes, cut at the disk's end
	filesystem.Volume
	// Listing is nil if the tree of files was not asked for.
	Listing *tree.Listing `json:"listing,omitempty"`
}

// A Lister reads the trees of files of volumes: one listing for each, in order. It
// tells what it could not read instead of failing.
type Lister interface {
	List(ctx context.Context, disk io.ReaderAt, size int64, volumes []tree.Volume) []tree.Listing
}

// The limits on one disk.
const (
	maxVolumes = 64 // that are looked at
	maxListed  = 16 // whose trees are asked for
)

// gib is the unit of min_disk.
const gib = 1 << 30

// Inspect says what is on a disk of size bytes. Without a lister, no tree of files is
// read. The error is that of reading the disk, or of the context.
func Inspect(ctx context.Context, disk io.ReaderAt, size int64, l Lister) (Facts, error) {
	f := Facts{VirtualSize: size, MinDisk: max(binio.DivCeil(size, gib), 1), Volumes: []Volume{}, Findings: []formats.Finding{}}
	var err error
	if f.Table, err = partition.Read(disk, size); err != nil {
		return f, err
	}
	if err := f.identify(ctx, disk); err != nil {
		return f, err
	}
	if err := f.largeSectors(ctx, disk); err != nil {
		return f, err
	}
	f.list(ctx, disk, l)
	if err := ctx.Err(); err != nil {
		return f, err
	}
	first := make([]byte, 512)
	if size >= 512 {
		if err := binio.ReadFull(disk, first, 0); err != nil {
			return f, err
		}
	}
	f.Boot = f.boot(first)
	f.System = f.system()
	f.Properties = f.properties()
	f.collect()
	return f, nil
}

// identify recognises what lies in each partition and on the disk as a whole.
func (f *Facts) identify(ctx context.Context, disk io.ReaderAt) error {
	whole, err := filesystem.Identify(disk, 0, f.VirtualSize)
	if err != nil {
		return err
	}
	// What lies behind a partition table is left from before it, except an ISO.
	if whole.Kind == filesystem.ISO9660 || f.Table.Scheme == partition.None && (whole.Kind != "" || whole.Boot != "") {
		f.Volumes = append(f.Volumes, Volume{Len: f.VirtualSize, Volume: whole})
	}
	for _, p := range f.Table.Partitions {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(p.Len, f.VirtualSize-p.Off)
		if p.Extended || n <= 0 || p.Off == 0 {
			continue
		}
		if len(f.Volumes) >= maxVolumes {
			f.note("the disk has more partitions than are looked into", maxVolumes)
			return nil
		}
		v, err := filesystem.Identify(disk, p.Off, n)
		if err != nil {
			return err
		}
		f.Volumes = append(f.Volumes, Volume{Partition: p.Number, Off: p.Off, Len: n, Volume: v})
	}
	return nil
}

// largeSectors reads an MBR again in sectors of 4096 bytes, if nothing is recognised
// where its partitions begin in sectors of 512: an MBR does not say which it has.
func (f *Facts) largeSectors(ctx context.Context, disk io.ReaderAt) error {
	known := func(v Volume) bool { return v.Kind != "" }
	if f.Table.Scheme != partition.MBR || slices.ContainsFunc(f.Volumes, known) {
		return nil
	}
	other := Facts{VirtualSize: f.VirtualSize}
	var err error
	if other.Table, err = partition.ReadMBR(disk, f.VirtualSize, 4096); err != nil {
		return err
	}
	if err := other.identify(ctx, disk); err != nil {
		return err
	}
	if slices.ContainsFunc(other.Volumes, known) {
		f.Table, f.Volumes, f.Findings = other.Table, other.Volumes, append(f.Findings[:0], other.Findings...)
	}
	return nil
}

// list asks for the trees of files that can be read.
func (f *Facts) list(ctx context.Context, disk io.ReaderAt, l Lister) {
	if l == nil {
		return
	}
	var ask []tree.Volume
	var of []int
	for i, v := range f.Volumes {
		if v.Kind != "" && v.Unlistable == "" && len(ask) < maxListed {
			ask, of = append(ask, tree.Volume{Kind: v.Kind, Off: v.Off, Len: v.Len}), append(of, i)
		}
	}
	if len(ask) == 0 {
		return
	}
	for i, got := range l.List(ctx, disk, f.VirtualSize, ask) {
		if i >= len(of) {
			return
		}
		got.Clean()
		f.Volumes[of[i]].Listing = &got
	}
}

// iso reports whether the disk is an ISO 9660 image.
func (f *Facts) iso() bool {
	return slices.ContainsFunc(f.Volumes, func(v Volume) bool { return v.Partition == 0 && v.Kind == filesystem.ISO9660 })
}

// partition returns the table's entry of a volume, the zero value for the whole disk.
func (f *Facts) partition(v Volume) partition.Partition {
	for _, p := range f.Table.Partitions {
		if p.Number == v.Partition {
			return p
		}
	}
	return partition.Partition{}
}
