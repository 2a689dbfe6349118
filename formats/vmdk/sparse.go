package vmdk

import (
	"encoding/binary"
	"fmt"
	"math"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/binio"
)

// sparseVersion changes whenever the same input and options give other bytes. A
// test holds the bytes of a small image against it.
const sparseVersion = 1

// defaultSparseName is the name in the extent line of a monolithicSparse disk.
const defaultSparseName = "disk.vmdk"

// maxSparseBytes is the largest disk whose file, all grains stored, has only
// sectors that 32 bits can number: 2 TiB less its own tables, which is VMware's
// limit for hosted sparse extents too.
const maxSparseBytes = (math.MaxUint32+1)*sectorBytes - 1<<30

// Sparse writes monolithicSparse disks as VMware Workstation does ("Hosted
// Sparse Extents"), header version 1:
//
//	header | descriptor | redundant grain directory | its grain tables |
//	grain directory | its grain tables | grains from a multiple of 64 KiB on
//
// Every grain table exists; grains are stored in guest order. The last grain
// has its full length in the file. The zero value writes with the defaults.
type Sparse struct{ Options }

var _ blocks.Target = Sparse{}

// Codec names the options and the version of the layout.
func (s Sparse) Codec() string {
	return fmt.Sprintf("vmdk monolithicSparse v%d %s", sparseVersion, s.defaults(defaultSparseName).codec())
}

// Layout checks the options and lays out a disk of size bytes.
func (s Sparse) Layout(size int64) (blocks.Layout, error) {
	o, err := s.complete(defaultSparseName)
	if err != nil {
		return nil, err
	}
	size, err = virtualSize(size, maxSparseBytes, "a monolithicSparse VMDK ends below 2 TiB")
	if err != nil {
		return nil, err
	}
	l := &sparseLayout{options: o, size: size, tables: tableCount(size)}
	l.directory = sectorsOf(4 * l.tables)
	l.rgd = 1 + descriptorSectors
	l.gd = l.rgd + l.directory + l.tables*tableSectors
	l.overHead = binio.DivCeil(l.gd+l.directory+l.tables*tableSectors, grainSectors) * grainSectors
	return l, nil
}

// A sparseLayout is where everything lies; offsets and lengths are in sectors.
type sparseLayout struct {
	options   Options
	size      int64 // virtual size, bytes
	tables    int64 // count of grain tables
	directory int64 // length of a grain directory
	rgd, gd   int64 // where the directories begin; their tables follow
	overHead  int64 // where the grains begin
}

func (l *sparseLayout) Shape() blocks.Shape {
	return blocks.Shape{Format: formats.VMDK, VirtualSize: l.size, BlockSize: grainBytes, Head: l.overHead * sectorBytes}
}

func (l *sparseLayout) Head(v blocks.View) []blocks.Part {
	h := extentHeader{version: 1, flags: flagNewlines | flagRedundant, capacity: l.size / sectorBytes,
		descriptorSize: descriptorSectors, rgdOffset: l.rgd, gdOffset: uint64(l.gd), overHead: l.overHead}
	text := descriptorText(l.options, monolithicSparse, "RW", l.size, v.ID)
	parts := []blocks.Part{blocks.Bytes(0, append(h.marshal(), text...))}
	for _, at := range []int64{l.rgd, l.gd} {
		tables := at + l.directory
		parts = append(parts,
			blocks.Words32(at*sectorBytes, l.tables, binary.LittleEndian, func(i int64) uint32 { return uint32(tables + i*tableSectors) }),
			blocks.Table32(tables*sectorBytes, binary.LittleEndian, v.Stored, 0, l.sector))
	}
	return parts
}

// sector returns the sector of the stored grain of the given rank.
func (l *sparseLayout) sector(rank int64) uint32 { return uint32(l.overHead + rank*grainSectors) }

func (l *sparseLayout) Tail(blocks.View) []blocks.Part { return nil }

func (l *sparseLayout) BlockHead([]byte, int64) {}
