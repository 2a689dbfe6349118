package vmdk

import (
	"encoding/binary"
	"math"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/binio"
)

const (
	// streamHead is where the grains begin: header and descriptor, rounded up
	// to a grain.
	streamHead = grainBytes
	// maxSector is the last that a table can point to.
	maxSector = math.MaxUint32
)

// streamExtentHeader returns the header, or the footer's copy of it with the true place
// of the grain directory.
func streamExtentHeader(size int64, gdOffset uint64) []byte {
	return extentHeader{version: 3, flags: flagNewlines | flagCompressed | flagMarkers, capacity: size / sectorBytes,
		descriptorSize: descriptorSectors, gdOffset: gdOffset, overHead: streamHead / sectorBytes, algorithm: algorithmDeflate}.marshal()
}

// appendMarker appends the sector of a marker. sectors is the length of what
// follows it.
func appendMarker(p []byte, sectors int64, kind uint32) []byte {
	p = append(p, make([]byte, sectorBytes)...)
	m := p[len(p)-sectorBytes:]
	binary.LittleEndian.PutUint64(m, uint64(sectors))
	binary.LittleEndian.PutUint32(m[12:], kind)
	return p
}

// A streamBuilder lays grains and tables out as the units come in. It holds the
// grain directory and the grain table of the range that it is in.
type streamBuilder struct {
	dst       formats.Sink
	size      int64  // virtual size, bytes
	pos       int64  // host offset up to which all is written, a multiple of a sector
	directory []byte // entries as in the file
	table     []byte // the grain table being filled, its marker in front
	at        int64  // its index in the directory, -1 if it has no entry yet
}

func newStreamBuilder(dst formats.Sink, size int64) *streamBuilder {
	return &streamBuilder{dst: dst, size: size, at: -1, directory: make([]byte, 4*tableCount(size)),
		table: append(appendMarker(nil, tableSectors, markerGT), make([]byte, tableSectors*sectorBytes)...)}
}

// entries returns the entries of the table being filled.
func (b *streamBuilder) entries() []byte { return b.table[sectorBytes:] }

// begin writes header and descriptor.
func (b *streamBuilder) begin(o Options, src formats.Disk, codec string) error {
	id, err := formats.Identify(src, codec)
	if err != nil {
		return err
	}
	p := make([]byte, streamHead)
	n := copy(p, streamExtentHeader(b.size, gdAtEnd))
	copy(p[n:], descriptorText(o, streamOptimized, "RDONLY", b.size, id))
	return b.write(p)
}

// unit takes the next unit: what its worker left in Buf, or zeros. The grains
// of a unit lie under one table.
func (b *streamBuilder) unit(u *transfer.Unit) error {
	if u.Data != nil {
		if err := b.data(u); err != nil {
			return err
		}
	}
	if end := u.Off + u.Len; b.at >= 0 && end >= (b.at+1)*tableSpan {
		return b.closeTable()
	}
	return nil
}

// data stores a unit's grains in one piece.
func (b *streamBuilder) data(u *transfer.Unit) error {
	first, n := u.Off/grainBytes, binio.DivCeil(u.Len, grainBytes)
	lengths, stored := u.Buf[:n*lengthBytes], u.Buf[n*lengthBytes:]
	if end := b.pos + int64(len(stored)); end > maxSector*sectorBytes {
		return streamTooLong(end)
	}
	at := b.pos
	for i := range n {
		length := int64(binary.LittleEndian.Uint32(lengths[i*lengthBytes:]))
		if length == 0 {
			continue
		}
		b.at = (first + i) / tableEntries
		binary.LittleEndian.PutUint32(b.entries()[(first+i)%tableEntries*4:], uint32(at/sectorBytes))
		at += length
	}
	return b.write(stored)
}

// closeTable writes the grain table behind its marker.
func (b *streamBuilder) closeTable() error {
	sector := b.pos/sectorBytes + 1
	if sector > maxSector {
		return streamTooLong(b.pos)
	}
	binary.LittleEndian.PutUint32(b.directory[b.at*4:], uint32(sector))
	b.at = -1
	err := b.write(b.table)
	clear(b.entries())
	return err
}

// write appends whole sectors.
func (b *streamBuilder) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := b.dst.WriteAt(p, b.pos)
	b.pos += int64(len(p))
	return err
}

// finish writes what is left: the open grain table, the grain directory, the
// footer and the end-of-stream marker.
func (b *streamBuilder) finish() (formats.Summary, error) {
	if b.at >= 0 {
		if err := b.closeTable(); err != nil {
			return formats.Summary{}, err
		}
	}
	sectors := sectorsOf(int64(len(b.directory)))
	p := appendMarker(nil, sectors, markerGD)
	gd := uint64(b.pos/sectorBytes) + 1
	p = append(p, b.directory...)
	p = append(p, make([]byte, (1+sectors)*sectorBytes-int64(len(p)))...)
	p = appendMarker(p, 1, markerFooter)
	p = append(p, streamExtentHeader(b.size, gd)...)
	p = appendMarker(p, 0, markerEOS)
	if err := b.write(p); err != nil {
		return formats.Summary{}, err
	}
	return formats.Summary{Format: formats.VMDK, FileSize: b.pos, VirtualSize: b.size}, nil
}
