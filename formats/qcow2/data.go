package qcow2

import (
	"sync"

	"ingest/formats"
	"ingest/internal/binio"
)

// A dataReader reads stored clusters from the file, at the host offsets that
// their checked entries name. A plain run is one read into the caller's buffer;
// so is what a run of compressed clusters takes, and whole clusters are
// inflated straight into the caller's buffer.
type dataReader struct {
	d         *Disk
	clusters  *clusterCache
	inflaters sync.Pool // of *inflater
}

var _ clusterReader = (*dataReader)(nil)

func newDataReader(d *Disk) *dataReader {
	return &dataReader{d: d, clusters: newClusterCache(clusterShare(d.lim), d.m.cluster)}
}

// clusterShare is how much of Limits.CacheBytes inflated clusters may take; the
// rest is for L2 tables, which are worth more for their size.
func clusterShare(lim formats.Limits) int64 { return lim.CacheBytes / 4 }

// ReadClusters reads the run from where it lies.
func (r *dataReader) ReadClusters(p []byte, e formats.Extent) error {
	switch {
	case e.Compressed:
		return r.readPacked(p, e.Off)
	case e.HostOff < 0:
		return r.readLast(p, e.Off)
	}
	return r.readPlain(p, e.HostOff)
}

func (r *dataReader) readPlain(p []byte, hostOff int64) error {
	if err := binio.ReadFull(r.d.r, p, hostOff); err != nil {
		return readError(err, "read data", hostOff)
	}
	return nil
}

// readLast reads plain clusters that the file holds only in part; what it lacks
// reads as zeros. Only the file's last cluster can be one, but several entries
// may name it.
func (r *dataReader) readLast(p []byte, off int64) error {
	d := r.d
	for len(p) > 0 {
		raw, err := d.table(off / d.m.span)
		if err != nil {
			return err
		}
		c, err := d.mapping(raw, off/d.m.span, off)
		if err != nil {
			return err
		}
		rel := off % d.m.cluster
		q := p[:min(int64(len(p)), d.m.cluster-rel)]
		stored := q[:max(0, min(int64(len(q)), d.m.fileSize-c.host-rel))]
		clear(q[len(stored):])
		if len(stored) > 0 {
			if err := r.readPlain(stored, c.host+rel); err != nil {
				return err
			}
		}
		p, off = p[len(q):], off+int64(len(q))
	}
	return nil
}
