package vdi

import (
	"context"
	"fmt"

	"ingest/formats"
	"ingest/internal/errcode"
)

// windowPlaces bounds the memory of checkAliases: 8 MiB, one bit a place, are
// enough for 64 TiB of blocks of 1 MiB in one walk over the map.
const windowPlaces = 64 << 20

// Validate reads the block map and holds every block against the number of
// places, the file's end and the other blocks. Entries beyond the virtual size
// belong to no block and are not looked at.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	findings := d.info.Findings
	used, last := int64(0), int64(-1)
	err := d.bmap.Each(ctx, noPlace, func(i int64, at uint32) error {
		used, last = used+1, max(last, int64(at))
		return d.checkBlock(i, at)
	})
	if err != nil {
		return findings, err
	}
	if err := d.checkAliases(ctx, last+1, windowPlaces); err != nil {
		return findings, err
	}
	if used < d.allocated {
		findings = append(findings[:len(findings):len(findings)], formats.Note(errcode.VDIHeader, formats.SeverityInfo,
			fmt.Sprintf("the header counts %d allocated blocks, of which the guest has %d", d.allocated, used),
			errcode.Evidence{Format: string(formats.VDI), Structure: "header", Field: "blocks allocated", Offset: errcode.At(388), Value: fmt.Sprint(d.allocated)}))
	}
	return findings, nil
}

// checkAliases refuses two blocks in one of the first n places. It walks the
// map once for each window of places, so that its memory does not grow with
// the file; the number of windows is bounded by the file's size and by the 32
// bits of an entry.
func (d *disk) checkAliases(ctx context.Context, n, window int64) error {
	seen := make([]uint64, (min(n, window)+63)/64)
	for from := int64(0); from < n; from += window {
		clear(seen)
		err := d.bmap.Each(ctx, noPlace, func(i int64, at uint32) error {
			bit := int64(at) - from
			if bit < 0 || bit >= window {
				return nil
			}
			if seen[bit/64]&(1<<(bit%64)) != 0 {
				return d.entryPlace(i).refuse(errcode.AliasedBlocks, at, "", "block %d shares place %d with another block", i, at)
			}
			seen[bit/64] |= 1 << (bit % 64)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
