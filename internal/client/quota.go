package client

import (
	"context"
	"net/http"

	"ingest/api/wire"
)

// Quotas returns what the client's project uses and may use.
func (c *Client) Quotas(ctx context.Context) (wire.QuotaList, error) {
	var out wire.QuotaList
	_, err := c.call(ctx, http.MethodGet, "/v1/quota", nil, nil, &out)
	return out, err
}
