package client

import (
	"context"
	"net/http"
	"net/url"

	"ingest/api/wire"
)

// Restore makes an image active again that was deleted and whose bytes are kept.
func (c *Client) Restore(ctx context.Context, imageID string) (wire.Image, error) {
	var out wire.Image
	_, err := c.call(ctx, http.MethodPost, "/v1/images/"+url.PathEscape(imageID)+"/restore", nil, nil, &out)
	return out, err
}
