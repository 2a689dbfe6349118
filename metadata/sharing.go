package metadata

import (
	"context"
	"errors"
	"slices"
)

// A Sharing says whose objects a fresh image may be made of, where they have the
// very bytes that were stored for it.
type Sharing string

// The kinds of Sharing.
const (
	ShareNothing   Sharing = ""
	ShareInProject Sharing = "project" // with images of the same owner
	ShareWithAll   Sharing = "all"
)

// WithSharing lets images share objects. Which of them do already is in the
// catalogue: they stay so, whatever is said later.
func WithSharing(s Sharing) Option { return func(c *Catalogue) { c.sharing = s } }

// ErrTwins says that the objects which an image could share are others than its
// Twins says: ask Catalogue.Twins, look at the objects, and try again.
var ErrTwins = errors.New("the objects that can be shared have changed meanwhile")

// Bytes tells stored bytes from all others.
type Bytes struct {
	HashAlgo, HashValue string
	Size                int64
}

// A Twin is an object with the same bytes, which another image is made of.
type Twin struct {
	Location
	Image string // the oldest one that names it
	Owner string // of that image
}

// A Choice is what was made of the twins of an image that is activated, or copied:
// which of its places are twins, and which twins are left alone, because their
// objects could not be found.
type Choice struct {
	Shared, Unfit []Location
}

// Twins lists the objects in a store that an image of the owner may share, the
// oldest first: those of active images of the same bytes. The images that are named
// are none of them.
func (c *Catalogue) Twins(ctx context.Context, owner string, b Bytes, store string, but ...string) ([]Twin, error) {
	if c.sharing == ShareNothing {
		return nil, nil
	}
	return view(ctx, c, func(tx Tx) ([]Twin, error) { return c.twins(ctx, tx, owner, b, store, but) })
}

func (c *Catalogue) twins(ctx context.Context, tx Tx, owner string, b Bytes, store string, but []string) ([]Twin, error) {
	if c.sharing == ShareNothing || b.HashValue == "" {
		return nil, nil
	}
	same, err := tx.Images(ctx, ImageFilter{Status: ImageActive, HashValue: b.HashValue})
	if err != nil {
		return nil, err
	}
	var out []Twin
	for _, img := range slices.Backward(same) {
		if img.HashAlgo != b.HashAlgo || img.Size == nil || *img.Size != b.Size || slices.Contains(but, img.ID) {
			continue
		}
		if c.sharing != ShareWithAll && img.Owner != owner {
			continue
		}
		loc, ok := img.in(store)
		if ok && !loc.External() && !slices.ContainsFunc(out, func(t Twin) bool { return t.Location == loc }) {
			out = append(out, Twin{loc, img.ID, img.Owner})
		}
	}
	return out, nil
}

// chosen makes sure, in the transaction that makes an image of the places, that each
// of them which is a twin still is one, and that no other has a twin that was not
// looked at.
func (c *Catalogue) chosen(ctx context.Context, tx Tx, owner string, b Bytes, places []Location, ch Choice, but []string) error {
	if c.sharing == ShareNothing && len(ch.Shared) == 0 {
		return nil
	}
	for _, at := range places {
		twins, err := c.twins(ctx, tx, owner, b, at.Store, but)
		if err != nil {
			return err
		}
		if slices.Contains(ch.Shared, at) {
			if !slices.ContainsFunc(twins, func(t Twin) bool { return t.Location == at }) {
				return ErrTwins
			}
			continue
		}
		for _, t := range twins {
			if t.Location != at && !slices.Contains(ch.Unfit, t.Location) {
				return ErrTwins
			}
		}
	}
	return nil
}

// Named reports whether an image that is not deleted is made of the object. A
// location without a store is that of the key alone.
func (c *Catalogue) Named(ctx context.Context, loc Location) (bool, error) {
	return view(ctx, c, func(tx Tx) (bool, error) {
		list, err := tx.Images(ctx, ImageFilter{At: &loc, Limit: 1})
		return len(list) > 0, err
	})
}

// unshared are those of an image's places that no other image names: with the image
// they lose their last name.
func unshared(ctx context.Context, tx Tx, id string, places []Location) ([]Location, error) {
	var out []Location
	for _, loc := range places {
		names, err := tx.Images(ctx, ImageFilter{At: &loc, Limit: 2})
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(names, func(img Image) bool { return img.ID != id }) {
			out = append(out, loc)
		}
	}
	return out, nil
}
