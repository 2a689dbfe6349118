package vhd

import (
	"encoding/binary"

	"ingest/formats"
)

const (
	// creatorApp is Windows's own name. Programs that look at it (QEMU: block/vpc.c,
	// all versions) take the current size of disks of this creator; with a name
	// of our own they would cut the disk to its geometry, which expresses few
	// sizes, unless the geometry were the largest there is. That would be untrue
	// of small disks, and Hyper-V and QEMU show the geometry to the guests of
	// IDE controllers. So this name lets both fields be right.
	creatorApp = "win "
	// creatorVersion is that of Windows 10 and of Server 2016 and later.
	creatorVersion = 0x000A0000
	// creatorOS is Windows (footer field "creator host OS").
	creatorOS = "Wi2k"
	// featureReserved is always set (footer field "features").
	featureReserved = 2
	// noOffset is a data offset that leads nowhere.
	noOffset = 1<<64 - 1

	timeStampZero = 0 // the begin of 2000: see newFooter
)

// newFooter returns the 512 bytes of a hard disk footer.
//
// The time stamp is the begin of 2000: equal input gives equal bytes, so it
// cannot be the clock's. The specification gives it no meaning but that a
// differencing child remembers its parent's time of modification, which is the
// file's. Windows takes a footer with it (Microsoft's hcsshim writes such ones).
func newFooter(diskType uint32, size int64, dataOffset uint64, id formats.ID) []byte {
	p := make([]byte, footerBytes)
	be := binary.BigEndian
	copy(p, footerMagic)
	be.PutUint32(p[8:], featureReserved)
	be.PutUint32(p[12:], fileVersion)
	be.PutUint64(p[16:], dataOffset)
	be.PutUint32(p[24:], timeStampZero)
	copy(p[28:], creatorApp)
	be.PutUint32(p[32:], creatorVersion)
	copy(p[36:], creatorOS)
	be.PutUint64(p[40:], uint64(size)) // original size
	be.PutUint64(p[48:], uint64(size)) // current size
	g := geometryOf(size / sectorBytes)
	be.PutUint16(p[56:], g.cylinders)
	p[58], p[59] = g.heads, g.sectors
	be.PutUint32(p[60:], diskType)
	copy(p[68:84], id[:])
	be.PutUint32(p[64:], checksum(p, 64))
	return p
}

// newHeader returns the 1024 bytes of a dynamic disk header.
func newHeader(tableOffset, entries, blockSize int64) []byte {
	p := make([]byte, headerBytes)
	be := binary.BigEndian
	copy(p, headerMagic)
	be.PutUint64(p[8:], noOffset) // "data offset" is unused
	be.PutUint64(p[16:], uint64(tableOffset))
	be.PutUint32(p[24:], fileVersion)
	be.PutUint32(p[28:], uint32(entries))
	be.PutUint32(p[32:], uint32(blockSize))
	be.PutUint32(p[36:], checksum(p, 36))
	return p
}

// A geometry is a disk's cylinders, heads, and sectors of a track.
type geometry struct {
	cylinders      uint16
	heads, sectors uint8
}

// Bounds of the geometry in the specification's appendix "CHS Calculation".
const (
	maxCylinders  = 65535
	maxHeads      = 16
	mostSectors   = 255
	largeSectors  = 63
	cylinderLimit = 1024 // above it, tracks get longer
)

// geometryOf returns the geometry that the specification's appendix "CHS
// Calculation" gives a disk of so many sectors. It stands for at most as many.
func geometryOf(sectors int64) geometry {
	sectors = min(sectors, maxCylinders*maxHeads*mostSectors)
	perTrack, heads := int64(mostSectors), int64(maxHeads)
	if sectors < maxCylinders*maxHeads*largeSectors {
		perTrack = 17
		heads = max(4, (sectors/perTrack+cylinderLimit-1)/cylinderLimit)
		if sectors/perTrack >= heads*cylinderLimit || heads > maxHeads {
			perTrack, heads = 31, maxHeads
		}
		if sectors/perTrack >= heads*cylinderLimit {
			perTrack, heads = largeSectors, maxHeads
		}
	}
	return geometry{uint16(sectors / perTrack / heads), uint8(heads), uint8(perTrack)}
}
