package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/client"
	"ingest/internal/errcode"
)

// findImage returns the image that a person names, by its id or by its name if
// only one image has that.
func findImage(ctx context.Context, c *client.Client, idOrName string) (wire.Image, error) {
	if uuid.Validate(idOrName) == nil {
		return c.Image(ctx, idOrName)
	}
	found, err := c.Images(ctx, url.Values{"name": {idOrName}}, 0)
	if err != nil {
		return wire.Image{}, err
	}
	return only(found, idOrName)
}

// findShared is findImage for what others share with the project, be it accepted or not.
func findShared(ctx context.Context, c *client.Client, idOrName string) (wire.Image, error) {
	if uuid.Validate(idOrName) == nil {
		return c.Image(ctx, idOrName)
	}
	found, err := c.Images(ctx, url.Values{"name": {idOrName}, "visibility": {"shared"}, "member_status": {"all"}}, 0)
	if err != nil {
		return wire.Image{}, err
	}
	return only(found, idOrName)
}

// only is the one image that a name stands for.
func only(found []wire.Image, idOrName string) (wire.Image, error) {
	switch len(found) {
	case 0:
		return wire.Image{}, errcode.New(errcode.NotFound, "there is no image with the id or name %q", idOrName)
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, img := range found {
		ids[i] = img.ID
	}
	return wire.Image{}, errcode.New(errcode.BadRequest, "%d images are named %q: give the id of one of %s", len(found), idOrName, strings.Join(ids, ", ")).
		With(errcode.Evidence{Structure: "command line", Field: "IMAGE", Value: idOrName})
}
