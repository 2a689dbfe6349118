package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
)

// reapPause is the time between two questions whether a collection has ended; the
// server itself waits a few seconds before it answers.
const reapPause = 200 * time.Millisecond

// Reap has the server remove what nobody needs any more, and waits for the end.
func (c *Client) Reap(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error) {
	var out wire.Reap
	if _, err := c.call(ctx, http.MethodPost, "/v1/gc", nil, p, &out); err != nil {
		return contract.ReapResult{}, err
	}
	for {
		if _, err := c.call(ctx, http.MethodGet, "/v1/gc/"+url.PathEscape(out.ID), nil, nil, &out); err != nil {
			return contract.ReapResult{}, err
		}
		if out.Done && out.Result != nil {
			return *out.Result, nil
		}
		select {
		case <-time.After(reapPause):
		case <-ctx.Done():
			return contract.ReapResult{}, ctx.Err()
		}
	}
}
