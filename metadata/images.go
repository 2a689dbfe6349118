package metadata

import (
	"context"

	"ingest/internal/errcode"
)

// DefaultVisibility is Glance's for an image that asks for none.
const DefaultVisibility = "shared"

// CreateImage records an image in status queued. errcode.Conflict says that the
// id is taken.
func (c *Catalogue) CreateImage(ctx context.Context, img Image) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) { return c.addImage(ctx, tx, img) })
}

func (c *Catalogue) addImage(ctx context.Context, tx Tx, img Image) (Image, error) {
	if img.ID == "" {
		return Image{}, errcode.New(errcode.BadRequest, "image has no id")
	}
	switch _, err := tx.Image(ctx, img.ID); {
	case err == nil:
		return Image{}, errcode.New(errcode.Conflict, "image %s exists already", img.ID)
	case !isNotFound(err):
		return Image{}, err
	}
	if err := c.admitImage(ctx, tx, img.Owner); err != nil {
		return Image{}, err
	}
	img.Status = ImageQueued
	img.Size, img.VirtualSize, img.DeletedAt = nil, nil, nil
	if img.Visibility == "" {
		img.Visibility = DefaultVisibility
	}
	img.CreatedAt = c.moment()
	img.UpdatedAt = img.CreatedAt
	return img, tx.PutImage(ctx, img)
}

// UpdateImage lets change alter an image, and returns it as stored. All of it is one
// transaction: what others change meanwhile is not lost. change may run more than once;
// its error is returned and nothing is stored. Id and times are not for change to set,
// and a deletion goes through DeleteImage. A further owner's quotas are those that bind.
func (c *Catalogue) UpdateImage(ctx context.Context, id string, change func(*Image) error) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		before, err := liveImage(ctx, tx, id)
		if err != nil {
			return Image{}, err
		}
		// A second read and not a copy: change may write into maps and slices.
		after, err := tx.Image(ctx, id)
		if err != nil {
			return Image{}, err
		}
		if err := change(&after); err != nil {
			return Image{}, err
		}
		if after.Status == ImageDeleted {
			return Image{}, errcode.New(errcode.StatusTransition, "image %s is deleted by its own operation only", id)
		}
		after.ID, after.CreatedAt, after.DeletedAt = before.ID, before.CreatedAt, before.DeletedAt
		if after.Owner != before.Owner {
			if err := c.handOver(ctx, tx, after); err != nil {
				return Image{}, err
			}
		}
		return c.storeImage(ctx, tx, before, after)
	})
}

// handOver admits an image to another project, whose quotas it must fit. What belongs to
// a project is not shared with it.
func (c *Catalogue) handOver(ctx context.Context, tx Tx, img Image) error {
	if err := c.admitImage(ctx, tx, img.Owner); err != nil {
		return err
	}
	if l := c.limitsOf(img.Owner); l.ImageBytes >= 0 && img.Size != nil {
		u, err := tx.Usage(ctx, img.Owner)
		if err != nil {
			return err
		}
		use := u.ImageBytes + u.Reserved + *img.Size*int64(len(img.places()))
		if err := within(QuotaImageBytes, img.Owner, use, l.ImageBytes); err != nil {
			return err
		}
	}
	return tx.DeleteMembers(ctx, img.ID, img.Owner)
}

// DeleteImage marks an image as deleted and returns where its objects lie, for
// the caller to remove; a reaper finds it if the caller dies before. Objects that
// other images are made of, too, are not among them. A protected
// image is errcode.Forbidden. An image that is being imported may be deleted:
// its task then fails at its end.
func (c *Catalogue) DeleteImage(ctx context.Context, id string, guards ...Guard) ([]Location, error) {
	return update(ctx, c, func(tx Tx) ([]Location, error) {
		before, err := guarded(ctx, tx, id, guards)
		if err != nil {
			return nil, err
		}
		return c.remove(ctx, tx, before)
	})
}

// remove deletes an image, and returns the objects that were its alone.
func (c *Catalogue) remove(ctx context.Context, tx Tx, before Image) ([]Location, error) {
	at := c.moment()
	after := before
	after.Status, after.DeletedAt = ImageDeleted, &at
	if c.delayed && before.Status == ImageActive {
		after.Status = ImagePendingDelete
		_, err := c.storeImage(ctx, tx, before, after)
		return nil, err
	}
	if _, err := c.storeImage(ctx, tx, before, after); err != nil {
		return nil, err
	}
	return unshared(ctx, tx, before.ID, before.places())
}

// storeImage stores a changed image by the rules of its status.
func (c *Catalogue) storeImage(ctx context.Context, tx Tx, before, after Image) (Image, error) {
	if err := CheckImageTransition(before.Status, after.Status); err != nil {
		return Image{}, err
	}
	if before.Status != after.Status {
		if err := enter(before, &after); err != nil {
			return Image{}, err
		}
	}
	after.UpdatedAt = c.moment()
	if err := tx.PutImage(ctx, after); err != nil {
		return Image{}, err
	}
	if after.Status == ImageDeleted {
		return after, tx.DeleteMembers(ctx, after.ID)
	}
	return after, nil
}

// enter applies what a new status demands of an image or does to it.
func enter(before Image, after *Image) error {
	switch after.Status {
	case ImageQueued:
		after.Size, after.VirtualSize = nil, nil
	case ImageSaving, ImageActive:
		// Entering importing asks for nothing: the format may be found later.
		if after.DiskFormat == "" || after.ContainerFormat == "" {
			return errcode.New(errcode.Conflict, "image %s needs its disk format and container format set to be %s", after.ID, string(after.Status))
		}
	case ImageDeleted, ImagePendingDelete:
		if before.Protected {
			return errcode.New(errcode.Forbidden, "image %s is protected", after.ID)
		}
	}
	return nil
}
