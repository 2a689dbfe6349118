package vhd

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/binio"
)

// The block sizes that are written. The specification's default is 2 MiB.
// Windows makes disks of 512 KiB and 2 MiB; 4 MiB are seen elsewhere.
const (
	DefaultBlockSize = 2 << 20
	MinBlockSize     = 512 << 10
	MaxBlockSize     = 4 << 20
)

// MaxDynamicSize is the largest virtual size of a dynamic disk, bytes: 2040 GiB,
// beyond which a BAT's sector numbers do not reach.
const MaxDynamicSize = maxDynamicBytes

// A Dynamic is a dynamic disk that is to be written:
//
//	footer copy | dynamic disk header | BAT | blocks in guest order | footer
//
// The virtual size is the source's, rounded up to whole sectors. The zero value
// has the defaults.
type Dynamic struct {
	BlockSize int64  // bytes, a power of two, MinBlockSize to MaxBlockSize; 0 for DefaultBlockSize
	UUID      string // the disk's unique id; "" for one that is derived from the disk
}

var _ blocks.Target = Dynamic{}

// Codec names the options and the version of the layout.
func (d Dynamic) Codec() string {
	return fmt.Sprintf("vhd dynamic v%d block_size=%d%s", writeVersion, d.blockSize(), idSetting(d.UUID))
}

func (d Dynamic) blockSize() int64 {
	if d.BlockSize == 0 {
		return DefaultBlockSize
	}
	return d.BlockSize
}

// Layout checks the options and lays out a disk of size bytes.
func (d Dynamic) Layout(size int64) (blocks.Layout, error) {
	b := d.blockSize()
	if b < MinBlockSize || b > MaxBlockSize || bits.OnesCount64(uint64(b)) != 1 {
		return nil, badOption("block_size", d.BlockSize, fmt.Sprintf("a power of two, %d to %d", MinBlockSize, MaxBlockSize))
	}
	if _, err := uniqueID(d.UUID, formats.ID{}); err != nil {
		return nil, err
	}
	v, err := virtualSize(size, sectorBytes, MaxDynamicSize)
	if err != nil {
		return nil, err
	}
	l := dynamicLayout{uuid: d.UUID, shape: blocks.Shape{
		Format: formats.VHD, VirtualSize: v, BlockSize: b, Tail: footerBytes,
		BlockHead: binio.DivCeil(b/sectorBytes, sectorBytes*8) * sectorBytes,
	}}
	l.shape.Head = batOffset + binio.DivCeil(4*l.shape.Blocks(), sectorBytes)*sectorBytes
	return l, nil
}

// batOffset is where the BAT lies, bytes.
const batOffset = footerBytes + headerBytes

// dynamicLayout is the layout of a dynamic disk.
type dynamicLayout struct {
	shape blocks.Shape
	uuid  string
}

func (l dynamicLayout) Shape() blocks.Shape { return l.shape }

// footer returns the footer, which is its own copy.
func (l dynamicLayout) footer(v blocks.View) []byte {
	id, err := uniqueID(l.uuid, v.ID)
	if err != nil {
		id = v.ID // Layout has refused it
	}
	return newFooter(typeDynamic, l.shape.VirtualSize, footerBytes, id)
}

// Head returns the footer's copy, the header and the BAT, whose entries are the
// sectors where the blocks' bitmaps lie.
func (l dynamicLayout) Head(v blocks.View) []blocks.Part {
	s := l.shape
	sector := func(rank int64) uint32 { return uint32((s.Head + rank*(s.BlockHead+s.BlockSize)) / sectorBytes) }
	return []blocks.Part{
		blocks.Bytes(0, l.footer(v)),
		blocks.Bytes(footerBytes, newHeader(batOffset, s.Blocks(), s.BlockSize)),
		blocks.Table32(batOffset, binary.BigEndian, v.Stored, unallocated, sector),
		// What the table leaves of its last sector is no entry, but marked so
		// that programs which read whole sectors find holes.
		blocks.Words32(batOffset+4*s.Blocks(), (s.Head-batOffset)/4-s.Blocks(), binary.BigEndian, func(int64) uint32 { return unallocated }),
	}
}

// Tail returns the footer.
func (l dynamicLayout) Tail(v blocks.View) []blocks.Part {
	return []blocks.Part{blocks.Bytes(0, l.footer(v))}
}

// BlockHead is a sector bitmap of a bit for each sector, all set: zeros are
// stored as such. What is left of its last sector is zeros.
func (l dynamicLayout) BlockHead(p []byte, off int64) {
	end := l.shape.BlockSize / sectorBytes / 8
	for i := range p {
		if off+int64(i) < end {
			p[i] = 0xFF
		} else {
			p[i] = 0
		}
	}
}
