package vmdk

import (
	"context"
	"fmt"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Validate reads every grain table and holds every grain against the file's
// end, the metadata, the other grains and the limit of expansion. Of
// compressed grains it reads only the last one's marker: each marker names its
// grain and is checked when the grain is read.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	meta, err := d.metadata(ctx)
	if err != nil {
		return d.info.Findings, err
	}
	last, n := grainAt{hostOff: -1}, int64(0)
	err = d.eachGrain(ctx, func(g grainAt) error {
		if n++; g.hostOff > last.hostOff {
			last = g
		}
		return d.checkPlace(g, meta)
	})
	if err != nil {
		return d.info.Findings, err
	}
	if n == 0 {
		return d.info.Findings, nil
	}
	if d.compressed {
		if err := d.checkLast(last, n); err != nil {
			return d.info.Findings, err
		}
	}
	return d.info.Findings, d.checkAliases(ctx, last.hostOff, windowSlots)
}

// A grainAt is a grain that is stored.
type grainAt struct{ grain, hostOff int64 }

// eachGrain calls fn for every stored grain in guest order.
func (d *disk) eachGrain(ctx context.Context, fn func(grainAt) error) error {
	grains := binio.DivCeil(d.size, d.grain)
	for i := range int64(len(d.directory) / 4) {
		if d.gde(i) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		table, err := d.table(i)
		if err != nil {
			return err
		}
		for j := int64(0); j < d.gtes && i*d.gtes+j < grains; j++ {
			entry := gte(table, j)
			if s, _ := d.state(entry); s != formats.Data {
				continue
			}
			if err := fn(grainAt{i*d.gtes + j, entry * sectorBytes}); err != nil {
				return err
			}
		}
	}
	return nil
}

// metadata returns the ranges of grain directory, grain tables and footer,
// ascending and merged. Two tables at one place are refused.
func (d *disk) metadata(ctx context.Context) ([]formats.Range, error) {
	tableLen := binio.DivCeil(d.tableBytes(), sectorBytes) * sectorBytes
	var tables []formats.Range
	for i := range int64(len(d.directory) / 4) {
		sector := d.gde(i)
		if sector == 0 {
			continue
		}
		at := sector * sectorBytes
		where := place{fmt.Sprintf("grain directory entry %d", i), "", d.gdOff + i*4}
		if at+d.tableBytes() > d.fileSize {
			return nil, where.refuse(errcode.Truncated, sector, fmt.Sprintf("%d bytes", d.fileSize), "grain table %d passes the end of the file", i)
		}
		if at < d.metaEnd || at < d.gdOff+int64(len(d.directory)) && d.gdOff < at+tableLen {
			return nil, where.refuse(errcode.AliasedBlocks, sector, "", "grain table %d overlaps other metadata", i)
		}
		if n := len(tables); n > 0 && tables[n-1].End == at {
			tables[n-1].End += tableLen
		} else {
			tables = append(tables, formats.Range{Off: at, End: at + tableLen})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sort.Slice(tables, func(i, j int) bool { return tables[i].Off < tables[j].Off })
	for i := 1; i < len(tables); i++ {
		if tables[i].Off < tables[i-1].End {
			return nil, place{"grain table", "", tables[i].Off}.refuse(errcode.AliasedBlocks, tables[i].Off/sectorBytes, "",
				"two entries of the grain directory share a grain table")
		}
	}
	tables = append(tables, formats.Range{Off: d.gdOff, End: d.gdOff + int64(len(d.directory))})
	if d.footer {
		tables = append(tables, formats.Range{Off: d.fileSize - footerBytes, End: d.fileSize})
	}
	sort.Slice(tables, func(i, j int) bool { return tables[i].Off < tables[j].Off })
	return tables, nil
}

// checkPlace holds one grain against the file's end and the metadata.
func (d *disk) checkPlace(g grainAt, meta []formats.Range) error {
	if err := d.checkGrain(g.grain, g.hostOff); err != nil {
		return err
	}
	n := min(d.grain, d.size-g.grain*d.grain)
	if d.compressed {
		n = grainHeaderBytes + 1
	}
	if g.hostOff+n > d.fileSize {
		return d.pastEnd(g.grain, g.hostOff)
	}
	i := sort.Search(len(meta), func(i int) bool { return meta[i].End > g.hostOff })
	if i < len(meta) && meta[i].Off < g.hostOff+n {
		return grainPlace(g.grain, g.hostOff).refuse(errcode.AliasedBlocks, g.hostOff/sectorBytes, "",
			"grain %d overlaps the metadata at sector %d", g.grain, meta[i].Off/sectorBytes)
	}
	return nil
}

// checkLast checks that the file holds the last grain whole, and that n grains
// are not more than a file of this size can honestly hold.
func (d *disk) checkLast(g grainAt, n int64) error {
	p, err := binio.ReadRange(d.r, d.fileSize, g.hostOff, grainHeaderBytes, grainHeaderBytes)
	if err != nil {
		return grainPlace(g.grain, g.hostOff).unread(err)
	}
	stored, err := d.grainLen(p, g.grain, g.hostOff)
	if err != nil {
		return err
	}
	if g.hostOff+stored > d.fileSize {
		return d.pastEnd(g.grain, g.hostOff)
	}
	if ratio := n * d.grain / d.fileSize; ratio > d.lim.ExpansionRatio {
		return place{"grain tables", "", d.gdOff}.refuse(errcode.ExpansionRatio, ratio, fmt.Sprint(d.lim.ExpansionRatio),
			"%d grains of %d bytes in a file of %d bytes", n, d.grain, d.fileSize)
	}
	return nil
}
