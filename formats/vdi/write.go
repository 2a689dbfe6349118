package vdi

import (
	"encoding/binary"

	"ingest/formats"
	"ingest/formats/blocks"
)

const (
	// writeText is the pre-header's line of text; readers take any.
	writeText = "<<< Oracle VM VirtualBox Disk Image >>>\n"
	// writeHeaderBytes is the size of VirtualBox's latest header, VDIHEADER1PLUS.
	writeHeaderBytes = 0x190
)

// newHeader returns pre-header and header, padded to the block map.
//
// Both geometries are cylinders, heads and sectors of zero, and sectors of 512
// bytes: VirtualBox's way to say that they are not known. It then asks the
// partition table for the logical one, and derives the physical one from the
// size. Link and parent stay zero. UUIDs are stored as VirtualBox keeps them in
// memory, the first three fields little endian.
func newHeader(s blocks.Shape, allocated int64, id, lastSnap formats.ID) []byte {
	p := make([]byte, headBytes)
	le := binary.LittleEndian
	copy(p[:signatureOff], writeText)
	le.PutUint32(p[signatureOff:], signature)
	le.PutUint32(p[68:], version11)
	le.PutUint32(p[72:], writeHeaderBytes)
	le.PutUint32(p[76:], typeDynamic)
	le.PutUint32(p[340:], bmapOffset)
	le.PutUint32(p[344:], uint32(s.Head))
	le.PutUint32(p[360:], sectorBytes) // of the legacy geometry
	le.PutUint64(p[368:], uint64(s.VirtualSize))
	le.PutUint32(p[376:], uint32(s.BlockSize))
	le.PutUint32(p[384:], uint32(s.Blocks()))
	le.PutUint32(p[388:], uint32(allocated))
	image, snap := id.GUID(), lastSnap.GUID()
	copy(p[392:], image[:])
	copy(p[408:], snap[:])
	le.PutUint32(p[468:], sectorBytes) // of the logical geometry, which is at 456
	return p
}
