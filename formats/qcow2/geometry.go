package qcow2

import (
	"ingest/internal/binio"
)

// A geometry holds the sizes that follow from the cluster size.
type geometry struct {
	bits     uint32
	cluster  int64 // bytes in a cluster
	entries  int64 // entries in an L2 table
	span     int64 // guest bytes under one L2 table
	extended bool
}

func newGeometry(bits uint32, extended bool) geometry {
	g := geometry{bits: bits, cluster: 1 << bits, extended: extended}
	g.entries = g.cluster / g.entryBytes()
	g.span = g.entries * g.cluster
	return g
}

// entryBytes is the size of an L2 entry: 8, or 16 with two bitmaps of
// subclusters behind it.
func (g geometry) entryBytes() int64 {
	if g.extended {
		return 16
	}
	return 8
}

// subcluster is the size of a subcluster, bytes.
func (g geometry) subcluster() int64 { return g.cluster / 32 }

// l1Need is how many L1 entries a virtual size needs.
func (g geometry) l1Need(size int64) int64 { return binio.DivCeil(size, g.span) }

// round returns n rounded up to whole clusters. n is at most the size of a
// file, which no file system lets come near the end of int64.
func (g geometry) round(n int64) int64 { return binio.DivCeil(n, g.cluster) * g.cluster }

// refsPerBlock is how many 16-bit refcounts a refcount block holds.
func (g geometry) refsPerBlock() int64 { return g.cluster / 2 }
