package metadata

import (
	"context"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// External reports whether an object was put into its store by somebody else. Such a one
// is no image's own: it is never removed, and no image is made of it because it has the
// same bytes.
func (l Location) External() bool { return strings.HasPrefix(l.Key, "external/") }

// stillNamed makes sure, in the transaction that lets an image name objects which were
// there before, that each of them is an external one or another active image's. One that
// has lost its last name may be about to be removed.
func stillNamed(ctx context.Context, tx Tx, places []Location, imageID string) error {
	for _, at := range places {
		if at.External() {
			continue
		}
		names, err := tx.Images(ctx, ImageFilter{At: &at, Status: ImageActive, Limit: 2})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(names, func(img Image) bool { return img.ID != imageID }) {
			return errcode.New(errcode.Conflict, "no active image is made of the object any more").
				With(errcode.Evidence{Structure: "location", Field: "url"})
		}
	}
	return nil
}

// AddLocation lets an active image name one more object, of which the caller knows that it
// has the image's stored bytes, b. errcode.Conflict says that the image is not active, has
// other bytes or an object in the same store, that a task works on it, or that no active
// image names the object any more.
func (c *Catalogue) AddLocation(ctx context.Context, imageID string, at Location, b Bytes, guards ...Guard) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		before, err := guarded(ctx, tx, imageID, guards)
		if err != nil {
			return Image{}, err
		}
		if err := stillActive(before); err != nil {
			return Image{}, err
		}
		if err := idle(ctx, tx, imageID); err != nil {
			return Image{}, err
		}
		if before.HashAlgo != b.HashAlgo || before.HashValue != b.HashValue || before.Size == nil || *before.Size != b.Size {
			return Image{}, errcode.New(errcode.Conflict, "image %s has other bytes than it had", imageID)
		}
		if _, there := before.in(at.Store); there {
			return Image{}, errcode.New(errcode.Conflict, "image %s has a location in store %q already", imageID, at.Store).
				With(errcode.Evidence{Structure: "location", Field: "url", Limit: "one in each store"})
		}
		if err := stillNamed(ctx, tx, []Location{at}, imageID); err != nil {
			return Image{}, err
		}
		if err := c.admitCopy(ctx, tx, before); err != nil {
			return Image{}, err
		}
		after := before
		after.Copies = slices.DeleteFunc(slices.Clone(before.Copies), func(old Copy) bool { return old.Store == at.Store })
		after.Copies = append(after.Copies, Copy{Location: at, Status: CopyActive, CreatedAt: c.moment()})
		return c.storeImage(ctx, tx, before, after)
	})
}

// admitCopy returns errcode.QuotaExceeded if the owner of an image may not have its bytes
// once more.
func (c *Catalogue) admitCopy(ctx context.Context, tx Tx, img Image) error {
	l := c.limitsOf(img.Owner)
	if l.ImageBytes < 0 {
		return nil
	}
	u, err := tx.Usage(ctx, img.Owner)
	if err != nil {
		return err
	}
	return within(QuotaImageBytes, img.Owner, u.ImageBytes+u.Reserved+*img.Size, l.ImageBytes)
}
