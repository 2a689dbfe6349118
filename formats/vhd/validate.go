package vhd

import (
	"context"
	"slices"

	"ingest/formats"
	"ingest/internal/errcode"
)

// ctxEvery is how many BAT entries are checked between looks at the context.
const ctxEvery = 1 << 16

// Validate holds every block against the file's end, the metadata, the batmap
// if there is one, and the other blocks. It needs as much memory as the BAT.
func (d *dynamic) Validate(ctx context.Context) ([]formats.Finding, error) {
	batmap, notes, err := d.checkBatmap(ctx)
	findings := slices.Concat(d.info.Findings, notes)
	if err != nil {
		return findings, err
	}
	var starts []uint32
	n := int64(len(d.bat) / 4)
	for i := range n {
		if i%ctxEvery == 0 && ctx.Err() != nil {
			return findings, ctx.Err()
		}
		e := d.entry(i)
		if e == unallocated {
			continue
		}
		if err := d.checkBlock(i, int64(e)*sectorBytes); err != nil {
			return findings, err
		}
		if err := d.apartFrom(batmap, i, int64(e)*sectorBytes); err != nil {
			return findings, err
		}
		starts = append(starts, e)
	}
	slices.Sort(starts)
	// Only the disk's last block may be shorter than the others.
	last, lastLen := d.entry(n-1), d.bitmap+d.blockLen(n-1)
	for i := 1; i < len(starts); i++ {
		length := d.bitmap + d.block
		if starts[i-1] == last {
			length = lastLen
		}
		if starts[i] == starts[i-1] || int64(starts[i]-starts[i-1])*sectorBytes < length {
			return findings, place{"BAT", "", d.batOff}.refuse(errcode.AliasedBlocks, starts[i], "",
				"two blocks overlap at sector %d", starts[i])
		}
	}
	return findings, nil
}
