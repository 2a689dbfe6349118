package vhdx

import (
	"encoding/binary"
	"unicode/utf16"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/rankmap"
	"ingest/internal/binio"
)

// Where the parts of a file that is written lie, in MiB of their own: header
// section, log, metadata region, BAT region, payload blocks.
const (
	logOff      = 1 * mib
	logBytes    = 1 * mib
	metadataOff = 2 * mib
	metadataLen = 1 * mib
	batOff      = 3 * mib
)

// creator is who wrote the file (2.2.1).
const creator = "ingest"

// A layout is a dynamic disk that is to be written.
type layout struct {
	options Dynamic // complete and right
	shape   blocks.Shape
	bat     *bat
}

// Shape returns how long the parts are.
func (l layout) Shape() blocks.Shape { return l.shape }

// BlockHead is not called: blocks have no heads.
func (layout) BlockHead([]byte, int64) {}

// Tail returns nothing: the file ends with its last block.
func (layout) Tail(blocks.View) []blocks.Part { return nil }

// Head returns what is in front of the blocks. The log has no valid entries,
// and is zeros.
func (l layout) Head(v blocks.View) []blocks.Part {
	regions := l.regionTable()
	return []blocks.Part{
		blocks.Bytes(0, identifier()),
		blocks.Bytes(header1Off, cleanHeader(1, v.ID)),
		blocks.Bytes(header2Off, cleanHeader(2, v.ID)),
		blocks.Bytes(region1Off, regions),
		blocks.Bytes(region2Off, regions),
		blocks.Bytes(metadataOff, l.metadata(v.ID)),
		l.table(v.Stored),
	}
}

// batBytes is the length of the BAT region, of whole MiB.
func (l layout) batBytes() int64 { return binio.DivCeil(l.bat.entries*batEntryBytes, mib) * mib }

// identifier returns the file type identifier (2.2.1).
func identifier() []byte {
	p := make([]byte, len(fileMagic)+creatorBytes)
	copy(p, fileMagic)
	for i, u := range utf16.Encode([]rune(creator)) {
		binary.LittleEndian.PutUint16(p[len(fileMagic)+2*i:], u)
	}
	return p
}

// cleanHeader returns a header (2.2.2) of a file that needs no replay.
func cleanHeader(sequence uint64, id formats.ID) []byte {
	p := make([]byte, headerBytes)
	copy(p, headerMagic)
	le := binary.LittleEndian
	le.PutUint64(p[8:], sequence)
	file, data := id.Derive("file write").GUID(), id.Derive("data write").GUID()
	copy(p[16:], file[:])
	copy(p[32:], data[:])
	le.PutUint16(p[66:], 1) // version
	le.PutUint32(p[68:], logBytes)
	le.PutUint64(p[72:], logOff)
	return sum(p)
}

// regionTable returns the region table (2.2.3).
func (l layout) regionTable() []byte {
	p := make([]byte, regionTableBytes)
	copy(p, regionMagic)
	le := binary.LittleEndian
	bat, metadata := knownRegions()
	entries := [...]region{{bat, batOff, uint32(l.batBytes()), true}, {metadata, metadataOff, metadataLen, true}}
	le.PutUint32(p[8:], uint32(len(entries)))
	for i, e := range entries {
		q := p[16+32*i:]
		copy(q, e.id[:])
		le.PutUint64(q[16:], e.off)
		le.PutUint32(q[24:], e.length)
		q[28] = 1 // required
	}
	return sum(p)
}

// sum puts the checksum into a header or a region table.
func sum(p []byte) []byte {
	binary.LittleEndian.PutUint32(p[4:], checksum(p))
	return p
}

// metadata returns the metadata table (2.6.1) with the items (2.6.2) behind it.
func (l layout) metadata(id formats.ID) []byte {
	disk := l.options.UUID
	if disk == (formats.ID{}) {
		disk = id.Derive("virtual disk")
	}
	guid := disk.GUID()
	le := binary.LittleEndian
	items := [parentLocator][]byte{
		fileParameters:     le.AppendUint64(nil, uint64(l.shape.BlockSize)), // block size and no flags
		virtualDiskSize:    le.AppendUint64(nil, uint64(l.shape.VirtualSize)),
		virtualDiskID:      guid[:],
		logicalSectorSize:  le.AppendUint32(nil, uint32(l.options.LogicalSector)),
		physicalSectorSize: le.AppendUint32(nil, uint32(l.options.PhysicalSector)),
	}
	p := make([]byte, metadataTableBytes)
	copy(p, metadataMagic)
	le.PutUint16(p[10:], uint16(len(items)))
	for k, item := range items {
		s := itemKind(k).spec()
		flags := uint32(itemIsRequired)
		if itemKind(k) != fileParameters {
			flags |= itemIsVirtualDisk
		}
		q := p[32+32*k:]
		copy(q, s.id[:])
		le.PutUint32(q[16:], uint32(len(p)))
		le.PutUint32(q[20:], uint32(len(item)))
		le.PutUint32(q[24:], flags)
		p = append(p, item...)
	}
	return p
}

// itemIsVirtualDisk marks metadata of the disk rather than of the file
// (2.6.1.2).
const itemIsVirtualDisk = 1 << 1

// table returns the BAT. Blocks that are not stored, and sector bitmap blocks,
// which a disk without a parent has none of, are not present: zeros, which cost
// nothing.
func (l layout) table(stored *rankmap.Map) blocks.Part {
	fill := func(p []byte, off int64) {
		end := l.bat.payload(binio.DivCeil(off+int64(len(p)), batEntryBytes))
		b := stored.Next(min(l.bat.blocks, l.bat.payload(off/batEntryBytes)), true)
		host := uint64(l.shape.Head + stored.Rank(b)*l.shape.BlockSize)
		for b < min(end, l.bat.blocks) {
			for to := min(end, stored.Next(b, false)); b < to; b++ {
				putEntry(p, l.bat.index(b)*batEntryBytes-off, host|blockFullyPresent)
				host += uint64(l.shape.BlockSize)
			}
			b = stored.Next(min(b, l.bat.blocks), true)
		}
	}
	return blocks.Part{Off: batOff, Len: l.bat.entries * batEntryBytes, Fill: fill}
}

// putEntry puts what lies within p of an entry whose first byte is p[at]; at may
// be negative.
func putEntry(p []byte, at int64, entry uint64) {
	if at >= 0 && at <= int64(len(p))-batEntryBytes {
		binary.LittleEndian.PutUint64(p[at:], entry)
		return
	}
	for i := range int64(batEntryBytes) {
		if at+i >= 0 && at+i < int64(len(p)) {
			p[at+i] = byte(entry >> (8 * i))
		}
	}
}
