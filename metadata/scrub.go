package metadata

import (
	"context"
	"time"

	"ingest/internal/errcode"
)

// WithDelayedDelete keeps the bytes of an active image that is deleted, for its
// time: it is pending_delete until ScrubImages ends it or RestoreImage brings it
// back. One that has no whole bytes is deleted at once.
func WithDelayedDelete(on bool) Option { return func(c *Catalogue) { c.delayed = on } }

// PendingImages lists the images whose deletion was asked for before the given
// time and that wait for it, newest first.
func (c *Catalogue) PendingImages(ctx context.Context, before time.Time) ([]Image, error) {
	all, err := c.Images(ctx, ImageFilter{Status: ImagePendingDelete})
	var out []Image
	for _, img := range all {
		if img.DeletedAt == nil || img.DeletedAt.Before(before) {
			out = append(out, img)
		}
	}
	return out, err
}

// ScrubImage ends an image that waits for its deletion since before the given time,
// and returns where its objects lie, for the caller to remove; a reaper finds them
// if the caller dies before. Those that other images are made of, too, are not among
// them. One that was restored or scrubbed meanwhile is
// errcode.Conflict.
func (c *Catalogue) ScrubImage(ctx context.Context, id string, before time.Time) ([]Location, error) {
	return update(ctx, c, func(tx Tx) ([]Location, error) {
		img, err := pendingImage(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if img.DeletedAt != nil && !img.DeletedAt.Before(before) {
			return nil, errcode.New(errcode.Conflict, "the time of image %s is not over", id)
		}
		after := img
		after.Status = ImageDeleted
		if after.DeletedAt == nil {
			at := c.moment()
			after.DeletedAt = &at
		}
		if _, err := c.storeImage(ctx, tx, img, after); err != nil {
			return nil, err
		}
		return unshared(ctx, tx, id, img.places())
	})
}

// RestoreImage makes an image active again that waits for its deletion. It counts
// against the quota as a fresh one does.
func (c *Catalogue) RestoreImage(ctx context.Context, id string, guards ...Guard) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		if _, err := guarded(ctx, tx, id, guards); err != nil {
			return Image{}, err
		}
		img, err := pendingImage(ctx, tx, id)
		if err != nil {
			return Image{}, err
		}
		if err := c.admitImage(ctx, tx, img.Owner); err != nil {
			return Image{}, err
		}
		after := img
		after.Status, after.DeletedAt = ImageActive, nil
		return c.storeImage(ctx, tx, img, after)
	})
}

func pendingImage(ctx context.Context, tx Tx, id string) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	if err == nil && img.Status != ImagePendingDelete {
		return Image{}, errcode.New(errcode.Conflict, "image %s is %s, and does not wait for its deletion", id, string(img.Status))
	}
	return img, err
}
