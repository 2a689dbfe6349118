package qcow2

import (
	"encoding/binary"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const magic = "QFI\xfb"

// Lengths of the header, bytes; section "Header" of the specification.
const (
	headerV2     = 72
	headerV3     = 104
	headerFilled = 112 // v3 with the compression type and its padding
)

// Bounds that QEMU itself keeps, so that every image it can open is accepted.
const (
	minClusterBits   = 9
	maxClusterBits   = 21
	minExtendedBits  = 14
	maxL1Bytes       = 32 << 20
	maxRefTableBytes = 8 << 20 // of what is written
	maxRefcountOrder = 6
	maxNameBytes     = 1023
)

// Incompatible features, bits 0 to 4 of byte 72.
const (
	featureDirty       = 1 << 0
	featureCorrupt     = 1 << 1
	featureDataFile    = 1 << 2
	featureCompression = 1 << 3
	featureExtendedL2  = 1 << 4
	featuresKnown      = 1<<5 - 1
)

// autoclearRawData says that a data file is raw; bit 1 of byte 88.
const autoclearRawData = 1 << 1

// Values of the compression type, byte 104.
const (
	compressDeflate = 0
	compressZstd    = 1
)

// compressNot is no value of the field: the target has no compressed clusters.
const compressNot = 255

// A header holds the fields of an image's header as they stand in the file.
type header struct {
	version       uint32
	backingOff    uint64
	backingSize   uint32
	clusterBits   uint32
	size          uint64 // virtual size, bytes
	crypt         uint32
	l1Entries     uint32
	l1Off         uint64
	refTableOff   uint64
	refTableLen   uint32 // clusters
	snapshots     uint32
	snapshotsOff  uint64
	incompatible  uint64
	compatible    uint64
	autoclear     uint64
	refcountOrder uint32
	length        uint32 // header_length, bytes
	compression   uint8
}

func (h *header) extendedL2() bool   { return h.incompatible&featureExtendedL2 != 0 }
func (h *header) clusterSize() int64 { return 1 << h.clusterBits }

// readHeader reads the header's fields and checks those whose meaning does not
// depend on the rest of the file.
func readHeader(r io.ReaderAt, size int64, lim formats.Limits) (*header, error) {
	if size < headerV2 {
		return nil, errcode.New(errcode.Truncated, "a file of %d bytes cannot hold a qcow2 header", size).
			With(limited(evidence("header", "", 0, size), headerV2))
	}
	p := make([]byte, min(size, headerFilled))
	if err := binio.ReadFull(r, p, 0); err != nil {
		return nil, readError(err, "read header", 0)
	}
	if string(p[:4]) != magic {
		return nil, errcode.New(errcode.FormatUnknown, "the file does not begin with the qcow2 magic").
			With(evidence("header", "magic", 0, hex(uint64(binary.BigEndian.Uint32(p)))))
	}
	h, err := parseHeader(p)
	if err != nil {
		return nil, err
	}
	if err := h.checkClusters(); err != nil {
		return nil, err
	}
	if err := h.checkFeatures(); err != nil {
		return nil, err
	}
	if h.clusterSize() > lim.BlockBytes {
		return nil, errcode.New(errcode.ParserLimit, "clusters of %d bytes", h.clusterSize()).
			With(limited(evidence("header", "cluster_bits", 20, h.clusterBits), lim.BlockBytes))
	}
	return h, h.checkSize(lim)
}

// parseHeader decodes the fields of version 2 and 3.
func parseHeader(p []byte) (*header, error) {
	be := binary.BigEndian
	h := &header{
		version:       be.Uint32(p[4:]),
		backingOff:    be.Uint64(p[8:]),
		backingSize:   be.Uint32(p[16:]),
		clusterBits:   be.Uint32(p[20:]),
		size:          be.Uint64(p[24:]),
		crypt:         be.Uint32(p[32:]),
		l1Entries:     be.Uint32(p[36:]),
		l1Off:         be.Uint64(p[40:]),
		refTableOff:   be.Uint64(p[48:]),
		refTableLen:   be.Uint32(p[56:]),
		snapshots:     be.Uint32(p[60:]),
		snapshotsOff:  be.Uint64(p[64:]),
		refcountOrder: 4,
		length:        headerV2,
	}
	switch h.version {
	case 2:
		return h, nil
	case 3:
	default:
		return nil, errcode.New(errcode.QCOW2Version, "qcow2 version %d is not 2 or 3", h.version).
			With(limited(evidence("header", "version", 4, h.version), "2, 3"))
	}
	if len(p) < headerV3 {
		return nil, errcode.New(errcode.Truncated, "the file ends within the qcow2 header").
			With(limited(evidence("header", "", 0, len(p)), headerV3))
	}
	h.incompatible = be.Uint64(p[72:])
	h.compatible = be.Uint64(p[80:])
	h.autoclear = be.Uint64(p[88:])
	h.refcountOrder = be.Uint32(p[96:])
	h.length = be.Uint32(p[100:])
	if h.length > headerV3 && len(p) > headerV3 {
		h.compression = p[104]
	}
	return h, nil
}

// checkClusters checks the cluster size and what is measured by it.
func (h *header) checkClusters() error {
	least := uint32(minClusterBits)
	if h.extendedL2() {
		// 32 subclusters of at least 512 bytes.
		least = minExtendedBits
	}
	if h.clusterBits < least || h.clusterBits > maxClusterBits {
		return errcode.New(errcode.QCOW2ClusterBits, "cluster size of 2^%d bytes", h.clusterBits).
			With(limited(evidence("header", "cluster_bits", 20, h.clusterBits), "9 to 21, from 14 with extended L2 entries"))
	}
	if h.version == 3 && (h.length < headerV3 || h.length%8 != 0 || int64(h.length) > h.clusterSize()) {
		return errcode.New(errcode.QCOW2Header, "header length of %d bytes", h.length).
			With(limited(evidence("header", "header_length", 100, h.length), "104 to a cluster, in steps of 8"))
	}
	if h.refcountOrder > maxRefcountOrder {
		return errcode.New(errcode.QCOW2Header, "refcounts of 2^%d bits", h.refcountOrder).
			With(limited(evidence("header", "refcount_order", 96, h.refcountOrder), maxRefcountOrder))
	}
	return nil
}

// checkFeatures refuses what a reader must know and this one does not.
func (h *header) checkFeatures() error {
	if unknown := h.incompatible &^ featuresKnown; unknown != 0 {
		return errcode.New(errcode.QCOW2Feature, "unknown incompatible features %#x", unknown).
			With(limited(evidence("header", "incompatible_features", 72, hex(h.incompatible)), hex(featuresKnown)))
	}
	if h.compression > compressZstd {
		return errcode.New(errcode.QCOW2Compression, "compression type %d", h.compression).
			With(limited(evidence("header", "compression_type", 104, h.compression), "0 (deflate), 1 (zstd)"))
	}
	// "Bit 3 ... must be set if and only if the type is not 0".
	if marked := h.incompatible&featureCompression != 0; marked != (h.compression != compressDeflate) {
		return errcode.New(errcode.QCOW2Compression, "compression type %d contradicts the feature bits", h.compression).
			With(evidence("header", "incompatible_features", 72, hex(h.incompatible)))
	}
	return nil
}

func (h *header) checkSize(lim formats.Limits) error {
	if h.size == 0 {
		return errcode.New(errcode.VirtualSizeZero, "the virtual size is 0").
			With(evidence("header", "size", 24, 0))
	}
	if lim.VirtualSize <= 0 || h.size > uint64(lim.VirtualSize) {
		return errcode.New(errcode.VirtualSizeTooLarge, "virtual size of %d bytes", h.size).
			With(limited(evidence("header", "size", 24, h.size), lim.VirtualSize))
	}
	return nil
}

// marshal returns the header as this package writes it: version 3 with the
// compression type, no backing file, no extensions.
func (h *header) marshal() []byte {
	p := make([]byte, headerFilled)
	be := binary.BigEndian
	copy(p, magic)
	be.PutUint32(p[4:], 3)
	be.PutUint32(p[20:], h.clusterBits)
	be.PutUint64(p[24:], h.size)
	be.PutUint32(p[36:], h.l1Entries)
	be.PutUint64(p[40:], h.l1Off)
	be.PutUint64(p[48:], h.refTableOff)
	be.PutUint32(p[56:], h.refTableLen)
	be.PutUint64(p[72:], h.incompatible)
	be.PutUint32(p[96:], 4)
	be.PutUint32(p[100:], headerFilled)
	p[104] = h.compression
	return p
}
