package qcow2

import (
	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// DefaultClusterBits gives clusters of 64 KiB, as qemu-img does.
const DefaultClusterBits = 16

// A target is the shape of an image that is to be written.
type target struct {
	geometry
	size        int64 // virtual size, bytes: the source's rounded up to whole sectors
	l1Entries   int64
	compression uint8
	features    uint64
}

// newTarget checks the options and the source's size.
func newTarget(clusterBits int, sourceSize int64) (target, error) {
	if clusterBits == 0 {
		clusterBits = DefaultClusterBits
	}
	if clusterBits < minClusterBits || clusterBits > maxClusterBits {
		return target{}, errcode.New(errcode.TargetOption, "qcow2 cluster size of 2^%d bytes", clusterBits).
			With(limited(evidence("option", "cluster bits", 0, clusterBits), "9 to 21"))
	}
	if sourceSize <= 0 {
		return target{}, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", sourceSize).
			With(evidence("source", "virtual size", 0, sourceSize))
	}
	size, err := binio.AlignUp(sourceSize, sectorSize)
	if err != nil {
		return target{}, errcode.Wrap(err, errcode.VirtualSizeTooLarge, "virtual size of %d bytes", sourceSize).
			With(evidence("source", "virtual size", 0, sourceSize))
	}
	t := target{geometry: newGeometry(uint32(clusterBits), false), size: size}
	t.l1Entries = t.l1Need(size)
	if t.l1Entries > maxL1Bytes/8 {
		return target{}, errcode.New(errcode.TargetOption, "clusters of %d bytes are too small for a disk of %d bytes", t.cluster, size).
			With(limited(evidence("option", "cluster bits", 0, clusterBits), maxL1Bytes))
	}
	return t, nil
}

// header returns the header of the image, given where its tables lie.
func (t target) header(l1Off, refTableOff, refTableLen int64) []byte {
	h := header{clusterBits: t.bits, size: uint64(t.size), incompatible: t.features,
		l1Entries: uint32(t.l1Entries), l1Off: uint64(l1Off), refTableOff: uint64(refTableOff), refTableLen: uint32(refTableLen)}
	if t.compression == compressZstd {
		h.compression = compressZstd
	}
	return h.marshal()
}

// summary says what was written.
func (t target) summary(fileSize int64) formats.Summary {
	return formats.Summary{Format: formats.QCOW2, FileSize: fileSize, VirtualSize: t.size}
}

// checkRefTable refuses a refcount table of more than the bytes that QEMU reads.
func (t target) checkRefTable(blocks int64) error {
	if blocks > maxRefTableBytes/8 {
		return errcode.New(errcode.TargetOption, "clusters of %d bytes are too small for the disk's data", t.cluster).
			With(limited(evidence("refcount table", "entries", 0, blocks), maxRefTableBytes/8))
	}
	return nil
}

// refTables returns how many refcount blocks and how many clusters of refcount
// table a file needs that has `others` clusters besides the table and besides
// the blocks from the first `written` on, which are counted in it.
func (t target) refTables(others, written int64) (blocks, table int64) {
	for {
		all := binio.DivCeil(others+blocks+table, t.refsPerBlock())
		b, n := all-written, binio.DivCeil(all*8, t.cluster)
		if b == blocks && n == table {
			return blocks, table
		}
		blocks, table = b, n
	}
}
