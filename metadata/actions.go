package metadata

import (
	"context"

	"ingest/internal/errcode"
)

// Deactivate withholds an active image from those who are no admins. One that is
// deactivated stays so; any other is errcode.Forbidden.
func (c *Catalogue) Deactivate(ctx context.Context, id string, guards ...Guard) (Image, error) {
	return c.turn(ctx, id, ImageActive, ImageDeactivated, guards)
}

// Reactivate ends what Deactivate has begun. An active image stays so; one that is
// neither is errcode.Forbidden.
func (c *Catalogue) Reactivate(ctx context.Context, id string, guards ...Guard) (Image, error) {
	return c.turn(ctx, id, ImageDeactivated, ImageActive, guards)
}

func (c *Catalogue) turn(ctx context.Context, id string, from, to ImageStatus, guards []Guard) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		before, err := guarded(ctx, tx, id, guards)
		if err != nil || before.Status == to {
			return before, err
		}
		if before.Status != from {
			return Image{}, errcode.New(errcode.Forbidden, "image %s is %s, and only what is active can be deactivated, or active again", id, string(before.Status)).
				With(errcode.Evidence{Structure: "image", Field: "status", Value: string(before.Status)})
		}
		after := before
		after.Status = to
		return c.storeImage(ctx, tx, before, after)
	})
}
