package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"ingest/cache"
)

// Cache returns what is in the server's image cache. errcode.NotFound says that it
// has none.
func (c *Client) Cache(ctx context.Context) (cache.View, error) {
	var out cache.View
	_, err := c.call(ctx, http.MethodGet, "/v1/cache", nil, nil, &out)
	return out, err
}

// CacheQueue has an image fetched into the cache in the background.
func (c *Client) CacheQueue(ctx context.Context, imageID string) error {
	_, err := c.call(ctx, http.MethodPut, "/v2/cache/"+url.PathEscape(imageID), nil, nil, nil)
	return err
}

// CacheDelete removes an image from the cache and its queue.
func (c *Client) CacheDelete(ctx context.Context, imageID string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v2/cache/"+url.PathEscape(imageID), nil, nil, nil)
	return err
}

// CacheClear empties the "cache", the "queue", or both if target is "".
func (c *Client) CacheClear(ctx context.Context, target string) error {
	h := http.Header{}
	if target != "" {
		h.Set("X-Image-Cache-Clear-Target", target)
	}
	_, err := c.call(ctx, http.MethodDelete, "/v2/cache", h, nil, nil)
	return err
}

// CachePrune removes what was not read for longest until at most so many bytes are
// left; less than 0 means what the server allows.
func (c *Client) CachePrune(ctx context.Context, most int64) (cache.Removed, error) {
	path := "/v2/cache/prune"
	if most >= 0 {
		path += "?max_bytes=" + strconv.FormatInt(most, 10)
	}
	var out cache.Removed
	_, err := c.call(ctx, http.MethodPost, path, nil, nil, &out)
	return out, err
}

// CacheClean removes what is of no use; with verify the server reads every copy and
// compares its digest, which takes its time.
func (c *Client) CacheClean(ctx context.Context, verify bool) (cache.Cleaned, error) {
	var out cache.Cleaned
	_, err := c.call(ctx, http.MethodPost, "/v2/cache/clean?verify="+strconv.FormatBool(verify), nil, nil, &out)
	return out, err
}
