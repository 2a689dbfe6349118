package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// ServerInfo says what the server takes and makes.
func (c *Client) ServerInfo(ctx context.Context) (wire.Server, error) {
	var out wire.Server
	_, err := c.call(ctx, http.MethodGet, "/v1/server", nil, nil, &out)
	return out, err
}

// Healthy returns nil if the server takes requests.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodGet, "/v1/healthz", nil, nil, nil)
	return err
}

// Import submits an import. With an idempotency key in req it may be repeated.
func (c *Client) Import(ctx context.Context, req contract.ImportRequest) (wire.Submitted, error) {
	var out wire.Submitted
	_, err := c.call(ctx, http.MethodPost, "/v1/imports", nil, req, &out)
	return out, err
}

// Plan says what an import would do, without doing it.
func (c *Client) Plan(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	var out contract.Forecast
	_, err := c.call(ctx, http.MethodPost, "/v1/imports?dry_run=true", nil, req, &out)
	return out, err
}

// TaskPolicy returns what the operator's policy said of a task.
func (c *Client) TaskPolicy(ctx context.Context, id string) (wire.TaskPolicy, error) {
	var out wire.TaskPolicy
	_, err := c.call(ctx, http.MethodGet, "/v1/tasks/"+url.PathEscape(id)+"/policy", nil, nil, &out)
	return out, err
}

// Cancel asks a task to stop.
func (c *Client) Cancel(ctx context.Context, id string) (wire.Task, error) {
	var out wire.Task
	_, err := c.call(ctx, http.MethodPost, "/v1/tasks/"+url.PathEscape(id)+"/cancel", nil, nil, &out)
	return out, err
}

// Images lists at most limit images, newest first; limit <= 0 lists all. q holds
// the filters of GET /v2/images.
func (c *Client) Images(ctx context.Context, q url.Values, limit int) ([]wire.Image, error) {
	return pages(c.prefix, limit, listURL("/v2/images", q, limit), func(path string) ([]wire.Image, string, error) {
		var out wire.ImageList
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return out.Images, out.Next, err
	})
}

// Image returns an image.
func (c *Client) Image(ctx context.Context, id string) (wire.Image, error) {
	var out wire.Image
	_, err := c.call(ctx, http.MethodGet, "/v2/images/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// DeleteFromStore takes an image out of one of the stores that have it.
func (c *Client) DeleteFromStore(ctx context.Context, id, store string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v2/stores/"+url.PathEscape(store)+"/"+url.PathEscape(id), nil, nil, nil)
	return err
}

// DeleteImage deletes an image.
func (c *Client) DeleteImage(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v2/images/"+url.PathEscape(id), nil, nil, nil)
	return err
}

// A Body is an image's bytes from an offset on.
type Body struct {
	io.ReadCloser
	ETag string // of all bytes, "" if the server tells none
}

// Download opens an image's stored bytes from off to their end, which the caller closes.
// off is less than the image's size. etag is that of the answer that they continue, ""
// for none: errcode.VerifyMismatch says that the server has other bytes. It fails with
// errcode.Conflict if the image has no bytes.
func (c *Client) Download(ctx context.Context, img wire.Image, off int64, etag string) (Body, error) {
	h := http.Header{}
	if off > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
	}
	resp, err := c.send(ctx, http.MethodGet, "/v2/images/"+url.PathEscape(img.ID)+"/file", h, nil)
	if err != nil {
		return Body{}, err
	}
	got := resp.Header.Get("ETag")
	switch {
	case resp.StatusCode == http.StatusNoContent:
		resp.Body.Close()
		return Body{}, errcode.New(errcode.Conflict, "image %s is %s and has no bytes", img.ID, img.Status)
	case etag != "" && got != "" && got != etag:
		resp.Body.Close()
		return Body{}, errcode.New(errcode.VerifyMismatch, "image %s has other bytes than those that the download began with", img.ID)
	case off > 0 && resp.StatusCode == http.StatusOK: // a server or proxy without ranges
		_, err := io.CopyN(io.Discard, resp.Body, off)
		if err != nil {
			resp.Body.Close()
			return Body{}, c.unreachable(ctx, err)
		}
	case off > 0 && !begins(resp, off), off == 0 && resp.StatusCode != http.StatusOK:
		resp.Body.Close()
		return Body{}, c.stranger(resp)
	}
	return Body{resp.Body, got}, nil
}

// begins reports whether an answer holds bytes from off on.
func begins(resp *http.Response, off int64) bool {
	return resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(off, 10)+"-")
}

// pages follows a list over its pages.
func pages[T any](prefix string, limit int, path string, get func(path string) ([]T, string, error)) ([]T, error) {
	var out []T
	for path != "" {
		rows, next, err := get(path)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
		if limit > 0 && len(out) >= limit {
			return out[:limit], nil
		}
		// A page's successor is a path of the same server, with the prefix that a
		// proxy has put before it or without, and never the page itself.
		next = strings.TrimPrefix(next, prefix)
		if next == path || len(rows) == 0 || !strings.HasPrefix(next, "/") {
			break
		}
		path = next
	}
	return out, nil
}

// listURL asks for pages that are as long as what is wanted, or as allowed.
func listURL(path string, q url.Values, limit int) string {
	out := url.Values{}
	for k, v := range q {
		out[k] = v
	}
	const most = 1000
	if limit <= 0 || limit > most {
		limit = most
	}
	out.Set("limit", strconv.Itoa(limit))
	return path + "?" + out.Encode()
}
