package vmdk

import (
	"encoding/binary"
	"fmt"
	"math"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	sectorBytes = 512
	magicSparse = "KDMV"
	magicCOWD   = "COWD"
	magicSE     = "\xBE\xBA\xFE\xCA\x00\x00\x00\x00"

	// gdAtEnd in gdOffset says that the grain directory is named in the footer.
	gdAtEnd = math.MaxUint64
	// algorithmDeflate in compressAlgorithm means zlib streams.
	algorithmDeflate = 1
	// minGrainSectors and maxGTEs are what the technical note allows.
	minGrainSectors = 8
	maxGTEs         = 512
	// maxGrainSectors keeps a sector within a grain in 16 bits (aliases.go);
	// real grains have 128.
	maxGrainSectors = 1 << 15
)

// Flags of the header. The upper half must be understood by every reader.
const (
	flagNewlines   = 1 << 0
	flagZeroGrain  = 1 << 2
	flagCompressed = 1 << 16
	flagMarkers    = 1 << 17
	flagsRequired  = 0xFFFF0000
)

// header is the sparse extent header, 512 bytes, little endian.
type header struct {
	version           uint32
	flags             uint32
	capacity          uint64 // sectors
	grainSize         uint64 // sectors
	descriptorOffset  uint64 // sector
	descriptorSize    uint64 // sectors
	numGTEsPerGT      uint32
	gdOffset          uint64 // sector
	overHead          uint64 // sectors
	uncleanShutdown   byte
	newlines          [4]byte
	compressAlgorithm uint16

	at int64 // host offset of the header itself
}

// decodeHeader reads the fields of p, at least 79 bytes that lay at off.
func decodeHeader(p []byte, off int64) header {
	le := binary.LittleEndian
	return header{
		version:           le.Uint32(p[4:]),
		flags:             le.Uint32(p[8:]),
		capacity:          le.Uint64(p[12:]),
		grainSize:         le.Uint64(p[20:]),
		descriptorOffset:  le.Uint64(p[28:]),
		descriptorSize:    le.Uint64(p[36:]),
		numGTEsPerGT:      le.Uint32(p[44:]),
		gdOffset:          le.Uint64(p[56:]),
		overHead:          le.Uint64(p[64:]),
		uncleanShutdown:   p[72],
		newlines:          [4]byte(p[73:77]),
		compressAlgorithm: le.Uint16(p[77:]),
		at:                off,
	}
}

// refuse returns an error about the field that lies rel bytes into the header.
func (h *header) refuse(code errcode.Code, field string, rel int64, value any, limit, format string, args ...any) error {
	return place{"sparse extent header", field, h.at + rel}.refuse(code, value, limit, format, args...)
}

// check holds the header of a disk in one file against the format and the
// limits.
func (h *header) check(lim formats.Limits) error {
	if err := h.checkExtent(lim); err != nil {
		return err
	}
	if h.descriptorOffset == 0 {
		return h.refuse(errcode.VMDKSubformat, "descriptorOffset", 28, 0, "1",
			"the extent file has no descriptor, so it is one piece of a disk that is split over several files")
	}
	return h.checkDescriptor(lim)
}

// checkExtent holds what every sparse extent has against the format and the
// limits.
func (h *header) checkExtent(lim formats.Limits) error {
	if h.version < 1 || h.version > 3 {
		return h.refuse(errcode.VMDKHeader, "version", 4, h.version, "1 to 3", "header version %d is not supported", h.version)
	}
	if h.flags&flagNewlines != 0 && h.newlines != [4]byte{'\n', ' ', '\r', '\n'} {
		return h.refuse(errcode.VMDKHeader, "newline detector", 73, fmt.Sprintf("% x", h.newlines), "0a 20 0d 0a",
			"the file was changed by a transfer in text mode")
	}
	if unknown := h.flags & flagsRequired &^ (flagCompressed | flagMarkers); unknown != 0 {
		return h.refuse(errcode.VMDKHeader, "flags", 8, fmt.Sprintf("%#x", h.flags), "", "flags %#x are not known", unknown)
	}
	if err := h.checkCompression(); err != nil {
		return err
	}
	if err := h.checkCapacity(lim); err != nil {
		return err
	}
	return h.checkGeometry(lim)
}

// checkCompression refuses what different readers would read differently: the
// flag and the algorithm disagree, or grains have no markers.
func (h *header) checkCompression() error {
	compressed := h.flags&flagCompressed != 0
	if compressed != (h.compressAlgorithm == algorithmDeflate) || h.compressAlgorithm > algorithmDeflate {
		return h.refuse(errcode.VMDKHeader, "compressAlgorithm", 77, h.compressAlgorithm, "1 with the compressed flag, else 0",
			"compression algorithm %d contradicts flags %#x", h.compressAlgorithm, h.flags)
	}
	if compressed != (h.flags&flagMarkers != 0) {
		return h.refuse(errcode.VMDKHeader, "flags", 8, fmt.Sprintf("%#x", h.flags), "",
			"flags %#x: compressed grains and markers come together", h.flags)
	}
	return nil
}

// checkCapacity refuses an extent without sectors. With a descriptor such a
// header is only a wrapping: qemu follows the descriptor's extent files then.
func (h *header) checkCapacity(lim formats.Limits) error {
	if h.capacity == 0 && h.descriptorOffset != 0 {
		return h.refuse(errcode.VMDKExtentPath, "capacity", 12, 0, "> 0",
			"capacity 0 with an embedded descriptor makes other programs open the files that it names")
	}
	if h.capacity == 0 {
		return h.refuse(errcode.VirtualSizeZero, "capacity", 12, 0, "> 0", "the disk has no sectors")
	}
	if h.capacity > uint64(lim.VirtualSize/sectorBytes) {
		return h.refuse(errcode.VirtualSizeTooLarge, "capacity", 12, h.capacity, fmt.Sprintf("%d sectors", lim.VirtualSize/sectorBytes),
			"virtual size of %d sectors is above the limit", h.capacity)
	}
	return nil
}

// checkGeometry bounds grain and grain table.
func (h *header) checkGeometry(lim formats.Limits) error {
	most := min(uint64(lim.BlockBytes/sectorBytes), maxGrainSectors)
	if h.grainSize < minGrainSectors || h.grainSize > most || h.grainSize&(h.grainSize-1) != 0 {
		return h.refuse(errcode.VMDKHeader, "grainSize", 20, h.grainSize, fmt.Sprintf("a power of two, %d to %d", minGrainSectors, most),
			"grain size of %d sectors is not supported", h.grainSize)
	}
	if h.numGTEsPerGT == 0 || h.numGTEsPerGT > maxGTEs {
		return h.refuse(errcode.VMDKHeader, "numGTEsPerGT", 44, h.numGTEsPerGT, fmt.Sprintf("1 to %d", maxGTEs),
			"%d entries in a grain table", h.numGTEsPerGT)
	}
	return nil
}

// checkDescriptor bounds the embedded descriptor.
func (h *header) checkDescriptor(lim formats.Limits) error {
	if h.descriptorOffset != 1 || h.descriptorSize == 0 {
		return h.refuse(errcode.VMDKDescriptor, "descriptorOffset", 28, h.descriptorOffset, "1",
			"descriptor of %d sectors at sector %d", h.descriptorSize, h.descriptorOffset)
	}
	if h.descriptorSize > uint64(binio.DivCeil(lim.DescriptorBytes, sectorBytes)) {
		return h.refuse(errcode.VMDKDescriptor, "descriptorSize", 36, h.descriptorSize, fmt.Sprintf("%d bytes", lim.DescriptorBytes),
			"descriptor of %d sectors is above the limit", h.descriptorSize)
	}
	return nil
}

// checkOverHead refuses a file that ends before its first grain could begin.
func (h *header) checkOverHead(size int64) error {
	if h.overHead > uint64(binio.DivCeil(size, sectorBytes)) {
		return h.refuse(errcode.Truncated, "overHead", 64, h.overHead, fmt.Sprintf("%d bytes", size),
			"the file of %d bytes ends within its own tables", size)
	}
	return nil
}

// sameDisk refuses a footer that describes another disk than the header: what
// a reader shows must not depend on which of the two it trusts.
func (h *header) sameDisk(footer *header) error {
	const want = flagsRequired | flagZeroGrain
	for _, f := range []struct {
		name string
		rel  int64
		a, b uint64
	}{
		{"version", 4, uint64(h.version), uint64(footer.version)},
		{"flags", 8, uint64(h.flags & want), uint64(footer.flags & want)},
		{"capacity", 12, h.capacity, footer.capacity},
		{"grainSize", 20, h.grainSize, footer.grainSize},
		{"descriptorOffset", 28, h.descriptorOffset, footer.descriptorOffset},
		{"descriptorSize", 36, h.descriptorSize, footer.descriptorSize},
		{"numGTEsPerGT", 44, uint64(h.numGTEsPerGT), uint64(footer.numGTEsPerGT)},
		{"compressAlgorithm", 77, uint64(h.compressAlgorithm), uint64(footer.compressAlgorithm)},
	} {
		if f.a != f.b {
			return place{"footer", f.name, footer.at + f.rel}.refuse(errcode.VMDKFooter, f.b, fmt.Sprint(f.a),
				"the footer's %s is %d, the header's %d", f.name, f.b, f.a)
		}
	}
	return nil
}
