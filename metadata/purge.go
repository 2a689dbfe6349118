package metadata

import (
	"context"
	"time"
)

// purgeAtOnce is how many rows go in one transaction, so that others write between.
const purgeAtOnce = 100

// PurgeImages removes the records of images that were deleted before the given time,
// with their locations and provenance, and returns how many: at most limit, all for
// 0. With dry it only counts them. The record of an image that a task still works on
// stays. Afterwards an id can be used again.
func (c *Catalogue) PurgeImages(ctx context.Context, before time.Time, limit int, dry bool) (int, error) {
	n, marker := 0, ""
	for {
		part := purgeAtOnce
		if limit > 0 {
			part = min(part, limit-n)
		}
		p, err := c.purgePart(ctx, before, marker, part, dry)
		n += p.gone
		if err != nil || p.last || limit > 0 && n >= limit {
			return n, err
		}
		marker = p.marker
	}
}

// A purged is what one transaction of a purge has done.
type purged struct {
	gone   int
	last   bool
	marker string // an image that is still there, after which to go on
}

func (c *Catalogue) purgePart(ctx context.Context, before time.Time, marker string, most int, dry bool) (purged, error) {
	run := update[purged]
	if dry {
		run = view[purged]
	}
	return run(ctx, c, func(tx Tx) (purged, error) {
		images, err := tx.Images(ctx, ImageFilter{DeletedBefore: &before, Marker: marker, Limit: most})
		p := purged{last: len(images) < most, marker: marker}
		for _, img := range images {
			if err != nil {
				return p, err
			}
			var busy []Task
			if busy, err = tx.Tasks(ctx, TaskFilter{ImageID: img.ID, Unfinished: true, Limit: 1}); err != nil {
				return p, err
			}
			switch {
			case len(busy) > 0:
				p.marker = img.ID
				continue
			case dry:
				p.marker = img.ID
			default:
				err = tx.RemoveImage(ctx, img.ID)
			}
			p.gone++
		}
		return p, err
	})
}
