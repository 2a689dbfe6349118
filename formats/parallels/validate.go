package parallels

import (
	"context"

	"ingest/formats"
	"ingest/internal/errcode"
)

// windowClusters bounds the memory of checkAliases: 8 MiB, one bit a cluster,
// are enough for 64 TiB of clusters of 1 MiB in one walk over the BAT.
const windowClusters = 64 << 20

// Validate reads the BAT and holds every cluster against the data area, the
// file's end, the format extension and the other clusters. Entries beyond the
// virtual size belong to no cluster and are not looked at.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	end := int64(0)
	err := d.bat.Each(ctx, noPlace, func(i int64, entry uint32) error {
		if err := d.checkCluster(i, entry); err != nil {
			return err
		}
		end = max(end, d.index(entry)+1)
		return nil
	})
	if err != nil {
		return d.info.Findings, err
	}
	return d.info.Findings, d.checkAliases(ctx, end, windowClusters)
}

// index returns the number of a cluster within the data area, on whose grid it
// lies.
func (d *disk) index(entry uint32) int64 { return (d.hostOff(entry) - d.data) / d.cluster }

// checkAliases refuses two entries for one of the first n clusters of the data
// area. It walks the BAT once for each window of clusters, so that its memory
// does not grow with the file; the number of windows is bounded by the file's
// size and by the 32 bits of an entry.
func (d *disk) checkAliases(ctx context.Context, n, window int64) error {
	seen := make([]uint64, (min(n, window)+63)/64)
	for from := int64(0); from < n; from += window {
		clear(seen)
		err := d.bat.Each(ctx, noPlace, func(i int64, entry uint32) error {
			bit := d.index(entry) - from
			if bit < 0 || bit >= window {
				return nil
			}
			if seen[bit/64]&(1<<(bit%64)) != 0 {
				return d.entryPlace(i).refuse(errcode.AliasedBlocks, entry, "", "cluster %d at %d belongs to another one, too", i, d.hostOff(entry))
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
