package metadata

import (
	"context"
	"slices"
	"strconv"

	"ingest/internal/errcode"
)

// AddTag gives an image a tag; one that it has stays. One more than most is
// errcode.QuotaExceeded.
func (c *Catalogue) AddTag(ctx context.Context, imageID, tag string, most int, guards ...Guard) error {
	return c.retag(ctx, imageID, guards, func(tags []string) ([]string, error) {
		switch {
		case slices.Contains(tags, tag):
			return tags, nil
		case len(tags) >= most:
			return nil, errcode.New(errcode.QuotaExceeded, "image %s may have %d tags, this would make it %d", imageID, most, len(tags)+1).
				With(errcode.Evidence{Structure: "quota", Field: "image_tag_quota", Value: strconv.Itoa(len(tags) + 1), Limit: strconv.Itoa(most)})
		}
		return append(slices.Clone(tags), tag), nil
	})
}

// RemoveTag takes a tag from an image; errcode.NotFound says that it has none.
func (c *Catalogue) RemoveTag(ctx context.Context, imageID, tag string, guards ...Guard) error {
	return c.retag(ctx, imageID, guards, func(tags []string) ([]string, error) {
		if !slices.Contains(tags, tag) {
			return nil, errcode.New(errcode.NotFound, "image %s has no tag %q", imageID, tag)
		}
		return slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == tag }), nil
	})
}

// retag changes an image's tags in one transaction. What stays as it is is not written.
func (c *Catalogue) retag(ctx context.Context, id string, guards []Guard, change func([]string) ([]string, error)) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		before, err := guarded(ctx, tx, id, guards)
		if err != nil {
			return err
		}
		after := before
		if after.Tags, err = change(before.Tags); err != nil || slices.Equal(after.Tags, before.Tags) {
			return err
		}
		_, err = c.storeImage(ctx, tx, before, after)
		return err
	})
}
