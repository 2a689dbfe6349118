package qcow2

import (
	"context"

	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/internal/binio"
)

// A Planner lays an uncompressed image out from the source's extents:
//
//	header | refcount table | refcount blocks | L1 table | L2 tables |
//	data clusters in guest order
//
// A cluster is stored if any of it is data. The zero value plans clusters of
// 64 KiB.
type Planner struct {
	// ClusterBits is the base-2 logarithm of the cluster size, 9 to 21; 0
	// means DefaultClusterBits.
	ClusterBits int
}

var _ formats.Planner = Planner{}

// Plan walks the extents of src once. The plan reads src whenever its own data
// are read.
func (p Planner) Plan(ctx context.Context, src formats.Disk) (formats.Plan, error) {
	t, err := newTarget(p.ClusterBits, src.Size())
	if err != nil {
		return nil, err
	}
	t.compression = compressNot
	pl := &Plan{target: t, src: src,
		clusters: rankmap.New(binio.DivCeil(t.size, t.cluster)),
		tables:   rankmap.New(t.l1Entries)}
	for e, err := range formats.Extents(src, 0, src.Size()) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if e.State != formats.Data {
			continue
		}
		pl.clusters.SetRange(e.Off/t.cluster, binio.DivCeil(e.End(), t.cluster))
		pl.tables.SetRange(e.Off/t.span, binio.DivCeil(e.End(), t.span))
	}
	pl.clusters.Seal()
	pl.tables.Seal()
	return pl, pl.lay()
}

// lay decides where everything lies.
func (p *Plan) lay() error {
	l1 := binio.DivCeil(p.l1Entries*8, p.cluster)
	others := 1 + l1 + p.tables.Len() + p.clusters.Len()
	blocks, table := p.refTables(others, 0)
	if err := p.checkRefTable(blocks); err != nil {
		return err
	}
	p.refTable = p.cluster
	p.refBlocks = p.refTable + table*p.cluster
	p.l1 = p.refBlocks + blocks*p.cluster
	p.l2 = p.l1 + l1*p.cluster
	p.data = p.l2 + p.tables.Len()*p.cluster
	p.end = p.data + p.clusters.Len()*p.cluster
	p.head = p.header(p.l1, p.refTable, table)
	return nil
}
