package filesystem

import (
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// The kinds of volumes.
const (
	Ext2      = "ext2"
	Ext3      = "ext3"
	Ext4      = "ext4"
	XFS       = "XFS"
	Btrfs     = "btrfs"
	NTFS      = "NTFS"
	BitLocker = "BitLocker"
	FAT12     = "FAT12"
	FAT16     = "FAT16"
	FAT32     = "FAT32"
	ExFAT     = "exFAT"
	ISO9660   = "ISO 9660"
	Squashfs  = "squashfs"
	LVM2      = "LVM2 physical volume"
	LUKS1     = "LUKS1"
	LUKS2     = "LUKS2"
	Swap      = "Linux swap"
	ZFS       = "ZFS"
	MD        = "Linux RAID member"
	Bcachefs  = "bcachefs"
	Bcache    = "bcache"
)

// A Volume is what is recognised in a volume.
type Volume struct {
	Kind      string `json:"kind,omitempty"` // one of the constants, "" if nothing is recognised
	UUID      string `json:"uuid,omitempty"` // as blkid writes it
	Label     string `json:"label,omitempty"`
	Size      int64  `json:"size,omitempty"`       // bytes that the superblock claims, 0 if it does not say
	BlockSize int64  `json:"block_size,omitempty"` // bytes
	// Unlistable says why its directories cannot be read, "" if they can be.
	Unlistable string `json:"-"`
	// Boot is the loader in the volume's boot sector, as of BootCode.
	Boot string `json:"boot_code,omitempty"`
	// ElTorito are the platforms of a boot catalog, of ISO 9660.
	ElTorito []Platform        `json:"el_torito,omitempty"`
	Findings []formats.Finding `json:"-"`
}

// A probe recognises one kind; ok is false if the volume is not of it.
type probe func(v *view) (Volume, bool, error)

// probes are in the order in which the first one counts: what covers a whole volume
// stands before what it may cover.
func probes() []probe {
	return []probe{
		probeLUKS, probeLVM, probeMD, probeBcache, probeISO, probeXFS, probeBtrfs, probeSquashfs,
		probeNTFS, probeExFAT, probeFAT, probeExt, probeSwap,
	}
}

// Identify recognises what lies in the size bytes at off of r. Of several kinds
// whose signatures are there, the first counts, and the others are a finding. The
// error is that of reading.
func Identify(r io.ReaderAt, off, size int64) (Volume, error) {
	v := &view{r: io.NewSectionReader(r, off, max(size, 0)), size: max(size, 0)}
	if v.size < 512 {
		return Volume{}, nil
	}
	var out Volume
	for _, p := range probes() {
		got, ok, err := p(v)
		if err != nil {
			return out, fmt.Errorf("read a volume at guest offset %d: %w", off, err)
		}
		if !ok {
			continue
		}
		if out.Kind == "" {
			out = got
			continue
		}
		ev := errcode.Evidence{Format: out.Kind, Structure: "volume", Offset: errcode.At(off), Value: got.Kind}
		f := formats.Note(errcode.Contents, formats.SeverityInfo, fmt.Sprintf("the volume is %s, and has signs of %s too", out.Kind, got.Kind), ev)
		out.Findings = append(out.Findings, f)
	}
	if out.Kind == "" {
		// The largest read of all: only where nothing else is.
		var err error
		if out, _, err = probeZFS(v); err != nil {
			return out, fmt.Errorf("read a volume at guest offset %d: %w", off, err)
		}
	}
	if out.Size > v.size {
		ev := errcode.Evidence{Format: out.Kind, Structure: "superblock", Field: "size", Offset: errcode.At(off), Value: fmt.Sprint(out.Size), Limit: fmt.Sprint(v.size)}
		f := formats.Note(errcode.Truncated, formats.SeverityWarning, fmt.Sprintf("the %s is %d bytes larger than its volume", out.Kind, out.Size-v.size), ev)
		f.Remedy = "Compare the image's size with that of its origin: it may be cut off, or its partition was shrunk before its contents."
		out.Findings = append(out.Findings, f)
	}
	if first, err := v.bytes(0, 512); err != nil {
		return out, err
	} else if len(first) > 0 {
		out.Boot = BootCode(first)
	}
	return out, nil
}

// A view reads a volume.
type view struct {
	r    io.ReaderAt
	size int64
}

// bytes reads n bytes at off, nil if they do not lie within the volume. n is a
// constant of the caller, or bounded by one.
func (v *view) bytes(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > v.size-n {
		return nil, nil
	}
	return binio.ReadRange(v.r, v.size, off, n, maxRead)
}

// maxRead is the largest read: a ZFS label's uberblocks.
const maxRead = 128 << 10

// product multiplies what a superblock says; a size that does not fit is larger than
// any volume.
func product(a, b uint64) int64 {
	x, err := binio.Int64(a)
	if err != nil {
		return 1<<63 - 1
	}
	y, err := binio.Int64(b)
	if err != nil {
		return 1<<63 - 1
	}
	n, err := binio.Mul(x, y)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// pow2 reports whether n is a power of two from lo to hi.
func pow2(n, lo, hi uint64) bool { return n >= lo && n <= hi && n&(n-1) == 0 }
