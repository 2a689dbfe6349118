package vhdx

import (
	"fmt"
	"math/bits"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// What the options of Dynamic stand for when they are zero.
const (
	// DefaultBlockSize is the smallest that the format has: a file is then
	// hardly larger than the guest's data. Linux file systems spread their own
	// metadata over the whole disk, so that with Hyper-V's 32 MiB a disk that
	// holds little fills its file; Microsoft recommends 1 MiB for Linux
	// ("Best practices for running Linux on Hyper-V"). A BAT of such blocks has
	// 8 MiB for each TiB of the guest.
	DefaultBlockSize = 1 << 20
	// DefaultLogicalSector is what partition tables count in unless they were
	// made on a disk of other sectors.
	DefaultLogicalSector = 512
	// DefaultPhysicalSector is Hyper-V's own: guests align what they write.
	DefaultPhysicalSector = 4096
)

// codecVersion is raised whenever the same input gives other bytes.
const codecVersion = 1

// Dynamic writes dynamic VHDX disks of version 1, of up to 64 TiB, whose log is
// empty. The zero value of an option means its default.
//
// What is not stored is "not present" in the BAT (2.5.1.1): the state in which
// every block of a fresh dynamic disk is. The virtual size is the source's
// rounded up to whole logical sectors.
type Dynamic struct {
	// BlockSize is in bytes, a power of two of 1 to 256 MiB.
	BlockSize int64
	// LogicalSector is 512 or 4096 bytes. With 4096 the guest sees a disk of
	// such sectors, and a partition table that counts in sectors of 512 bytes
	// means something else.
	LogicalSector int64
	// PhysicalSector is 512 or 4096 bytes, and not less than LogicalSector.
	PhysicalSector int64
	// UUID replaces the virtual disk ID (2.6.2.3), which is derived from the
	// disk if it is zero.
	UUID formats.ID
}

var _ blocks.Target = Dynamic{}

// complete puts the defaults in.
func (d Dynamic) complete() Dynamic {
	for _, o := range []struct {
		value *int64
		zero  int64
	}{{&d.BlockSize, DefaultBlockSize}, {&d.LogicalSector, DefaultLogicalSector}, {&d.PhysicalSector, DefaultPhysicalSector}} {
		if *o.value == 0 {
			*o.value = o.zero
		}
	}
	return d
}

// Codec names the options, defaults included.
func (d Dynamic) Codec() string {
	d = d.complete()
	s := fmt.Sprintf("vhdx v%d block_size=%d logical_sector_size=%d physical_sector_size=%d", codecVersion, d.BlockSize, d.LogicalSector, d.PhysicalSector)
	if d.UUID != (formats.ID{}) {
		s += " uuid=" + d.UUID.String()
	}
	return s
}

// Layout lays out a disk of size bytes.
func (d Dynamic) Layout(size int64) (blocks.Layout, error) {
	d = d.complete()
	if err := d.check(); err != nil {
		return nil, err
	}
	virtual, err := binio.AlignUp(size, d.LogicalSector)
	if err != nil || virtual > maxVirtualBytes {
		return nil, errcode.New(errcode.VirtualSizeTooLarge, "a VHDX does not hold a disk of %d bytes", size).
			With(errcode.Evidence{Format: string(formats.VHDX), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size), Limit: fmt.Sprint(int64(maxVirtualBytes))})
	}
	l := layout{options: d, shape: blocks.Shape{Format: formats.VHDX, VirtualSize: virtual, BlockSize: d.BlockSize}}
	l.bat = emptyBAT(d, l.shape.Blocks())
	l.shape.Head = batOff + l.batBytes()
	return l, nil
}

// check holds the options, of which none is zero, against the format.
func (d Dynamic) check() error {
	switch {
	case d.BlockSize < minBlockBytes || d.BlockSize > maxBlockBytes || d.BlockSize&(d.BlockSize-1) != 0:
		return wrong("block_size", d.BlockSize, "a power of two, 1 to 256 MiB")
	case !isSector(d.LogicalSector):
		return wrong("logical_sector_size", d.LogicalSector, "512 or 4096")
	case !isSector(d.PhysicalSector):
		return wrong("physical_sector_size", d.PhysicalSector, "512 or 4096")
	case d.PhysicalSector < d.LogicalSector:
		return wrong("physical_sector_size", d.PhysicalSector, "4096 with logical sectors of 4096 bytes")
	}
	return nil
}

// isSector reports whether sectors may have n bytes (2.6.2.4, 2.6.2.5).
func isSector(n int64) bool { return n == 512 || n == 4096 }

// wrong is the error of an option.
func wrong(field string, value int64, limit string) error {
	return errcode.New(errcode.TargetOption, "vhdx: option %s takes %s, not %d bytes", field, limit, value).
		With(errcode.Evidence{Format: string(formats.VHDX), Structure: "option", Field: field, Value: fmt.Sprint(value), Limit: limit})
}

// emptyBAT returns the shape of the BAT of a disk without a parent (2.5).
func emptyBAT(d Dynamic, payload int64) *bat {
	ratio := d.LogicalSector << 23 / d.BlockSize
	b := &bat{ratio: ratio, shift: bits.TrailingZeros64(uint64(ratio)), blocks: payload}
	b.entries = b.index(payload-1) + 1
	return b
}
