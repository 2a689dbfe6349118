package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"ingest/internal/provenance"
)

// Provenance returns the record of where an image's bytes come from, byte by byte as
// the server keeps it. errcode.NotFound says that there is none.
func (c *Client) Provenance(ctx context.Context, imageID string) ([]byte, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/images/"+url.PathEscape(imageID)+"/provenance", nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// One byte more than is taken, so that a longer one is seen to be.
	doc, err := io.ReadAll(io.LimitReader(resp.Body, provenance.MaxDocumentBytes+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return doc, nil
}
