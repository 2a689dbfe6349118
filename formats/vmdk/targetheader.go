package vmdk

import "encoding/binary"

// flagRedundant says that there is a redundant grain directory.
const flagRedundant = 1 << 1

// An extentHeader is what differs between the headers that are written
// ("Hosted Sparse Extent Header"). Offsets and lengths are in sectors.
type extentHeader struct {
	version        uint32
	flags          uint32
	capacity       int64
	descriptorSize int64
	rgdOffset      int64
	gdOffset       uint64 // or gdAtEnd
	overHead       int64
	algorithm      uint16 // compressAlgorithm
}

// marshal returns the header's sector.
func (h extentHeader) marshal() []byte {
	le := binary.LittleEndian
	p := make([]byte, sectorBytes)
	copy(p, magicSparse)
	le.PutUint32(p[4:], h.version)
	le.PutUint32(p[8:], h.flags)
	le.PutUint64(p[12:], uint64(h.capacity))
	le.PutUint64(p[20:], grainSectors)
	le.PutUint64(p[28:], 1) // the descriptor follows the header
	le.PutUint64(p[36:], uint64(h.descriptorSize))
	le.PutUint32(p[44:], tableEntries)
	le.PutUint64(p[48:], uint64(h.rgdOffset))
	le.PutUint64(p[56:], h.gdOffset)
	le.PutUint64(p[64:], uint64(h.overHead))
	copy(p[73:], "\n \r\n")
	le.PutUint16(p[77:], h.algorithm)
	return p
}
