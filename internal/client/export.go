package client

import (
	"context"
	"net/http"

	"ingest/api/wire"
	"ingest/internal/contract"
)

// Export asks for an image to be sent to a destination. With an idempotency key in req it
// may be repeated.
func (c *Client) Export(ctx context.Context, req contract.ExportRequest) (wire.Submitted, error) {
	var out wire.Submitted
	_, err := c.call(ctx, http.MethodPost, "/v1/exports", nil, req, &out)
	return out, err
}
