package qcow2

import (
	"fmt"

	"ingest/internal/errcode"
)

// Bounds on how far one read of compressed bytes reaches.
const (
	// batchBytes is the most that is read for more than one cluster: enough
	// for a unit of the transfer engine.
	batchBytes = 2 << 20
	// batchClusters bounds how many entries are looked at for one read.
	batchClusters = 256
)

// readPacked reads guest bytes of a run of compressed clusters. Of clusters
// that p covers in part the inflated whole is kept for the next reader.
func (r *dataReader) readPacked(p []byte, off int64) error {
	cluster := r.d.m.cluster
	inf, ok := r.inflaters.Get().(*inflater)
	if !ok {
		inf = &inflater{d: r.d}
	}
	defer r.inflaters.Put(inf)
	inf.begin((off + int64(len(p)) + cluster - 1) / cluster)
	for len(p) > 0 {
		index, rel := off/cluster, off%cluster
		n := min(int64(len(p)), cluster-rel)
		var err error
		if n == cluster {
			// What is inflated next may be written over.
			err = inf.inflate(p[:n:len(p)], index)
		} else {
			err = r.clusters.read(p[:n], index, rel, inf)
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// An inflater is what one goroutine needs to read compressed clusters: the
// decoders, and the compressed bytes of the clusters to come.
type inflater struct {
	d   *Disk
	end int64  // the guest cluster behind the last that is wanted
	in  []byte // compressed bytes, from host offset at on
	at  int64
	// The L2 table that was asked last.
	raw   []byte
	index int64

	decoders
}

// begin forgets what was read for another caller.
func (inf *inflater) begin(end int64) {
	inf.end, inf.in, inf.at = end, inf.in[:0], 0
	inf.raw, inf.index = nil, -1
}

// inflate inflates a guest cluster into dst, which is as long as one. What lies
// behind dst, up to its capacity, may be written over.
func (inf *inflater) inflate(dst []byte, cluster int64) error {
	c, err := inf.mapping(cluster)
	if err != nil {
		return err
	}
	src, err := inf.load(c, cluster)
	if err != nil {
		return err
	}
	if err := inf.decode(dst, src, inf.d.h.compression); err != nil {
		ev := evidence("compressed cluster", "", c.host, fmt.Sprintf("%d bytes", c.length))
		if crash, ok := errcode.As(err); ok {
			return crash.With(ev)
		}
		return errcode.Wrap(err, errcode.CompressionCorrupt, "compressed cluster at host offset %d does not inflate to %d bytes", c.host, len(dst)).With(ev)
	}
	return nil
}

// mapping returns the checked entry of a guest cluster.
func (inf *inflater) mapping(cluster int64) (mapping, error) {
	index := cluster / inf.d.m.entries
	if index != inf.index {
		raw, err := inf.d.table(index)
		if err != nil {
			return mapping{}, err
		}
		inf.raw, inf.index = raw, index
	}
	return inf.d.mapping(inf.raw, index, cluster*inf.d.m.cluster)
}

// load returns the compressed bytes of a guest cluster. It reads those of the
// clusters behind it with them if they lie close together.
func (inf *inflater) load(c mapping, cluster int64) ([]byte, error) {
	if c.host < inf.at || c.host+c.length > inf.at+int64(len(inf.in)) {
		lo, hi := inf.batch(c, cluster)
		if int64(cap(inf.in)) < hi-lo {
			// A little more than is needed, so that the next read has room too.
			inf.in = make([]byte, hi-lo, hi-lo+(hi-lo)/4)
		}
		inf.in, inf.at = inf.in[:hi-lo], lo
		if err := inf.d.readMeta(inf.in, lo, "compressed clusters"); err != nil {
			inf.in = inf.in[:0]
			return nil, err
		}
	}
	return inf.in[c.host-inf.at:][:c.length], nil
}

// batch chooses the host range to read for a cluster and some of those behind
// it. Neighbours need not lie in order: QEMU compresses several at a time and
// stores them as they get ready. So it looks on while the range is not too long,
// and settles for the longest run of clusters that fills four fifths of theirs.
func (inf *inflater) batch(c mapping, cluster int64) (lo, hi int64) {
	lo, hi = c.host, c.host+c.length
	from, to, sum := lo, hi, c.length
	for next := cluster + 1; next < min(inf.end, cluster+batchClusters); next++ {
		c, err := inf.mapping(next)
		if err != nil || !c.compressed {
			break
		}
		from, to, sum = min(from, c.host), max(to, c.host+c.length), sum+c.length
		if to-from > batchBytes {
			break
		}
		if to-from <= sum+sum/4 {
			lo, hi = from, to
		}
	}
	return lo, hi
}
