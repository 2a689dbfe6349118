package client

import (
	"bytes"
	"context"
	"encoding/json"
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

// Task returns a whole task with its history.
func (c *Client) Task(ctx context.Context, id string) (wire.Task, error) {
	var out wire.Task
	_, err := c.call(ctx, http.MethodGet, "/v1/tasks/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// Progress says how far a task is.
func (c *Client) Progress(ctx context.Context, id string) (contract.Progress, error) {
	var out contract.Progress
	_, err := c.call(ctx, http.MethodGet, "/v1/tasks/"+url.PathEscape(id)+"/progress", nil, nil, &out)
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

// Tasks lists at most limit tasks, newest first; limit <= 0 lists all. q holds
// the filters of GET /v1/tasks.
func (c *Client) Tasks(ctx context.Context, q url.Values, limit int) ([]wire.Task, error) {
	return pages(limit, listURL("/v1/tasks", q, limit), func(path string) ([]wire.Task, string, error) {
		var out wire.TaskList
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return out.Tasks, out.Next, err
	})
}

// Images lists at most limit images, newest first; limit <= 0 lists all. q holds
// the filters of GET /v2/images.
func (c *Client) Images(ctx context.Context, q url.Values, limit int) ([]wire.Image, error) {
	return pages(limit, listURL("/v2/images", q, limit), func(path string) ([]wire.Image, string, error) {
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

// CopyImage asks for copies of an image in further stores, and returns the id of the
// task that makes them.
func (c *Client) CopyImage(ctx context.Context, id string, to contract.StoresSpec) (string, error) {
	type method struct {
		Name string `json:"name"`
	}
	raw, err := json.Marshal(struct {
		Method method `json:"method"`
		contract.StoresSpec
	}{method{contract.MethodCopy}, to})
	if err != nil {
		return "", errcode.Wrap(err, errcode.Internal, "write request")
	}
	resp, err := c.send(ctx, http.MethodPost, "/v2/images/"+url.PathEscape(id)+"/import", nil, bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	task := resp.Header.Get("X-Ingest-Task-Id")
	if task == "" {
		return "", c.stranger(resp)
	}
	return task, nil
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

// Download opens an image's stored bytes from off to their end, which the
// caller closes. off is less than the image's size. It fails with
// errcode.Conflict if the image has no bytes.
func (c *Client) Download(ctx context.Context, img wire.Image, off int64) (io.ReadCloser, error) {
	h := http.Header{}
	if off > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
	}
	resp, err := c.send(ctx, http.MethodGet, "/v2/images/"+url.PathEscape(img.ID)+"/file", h, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusNoContent:
		resp.Body.Close()
		return nil, errcode.New(errcode.Conflict, "image %s is %s and has no bytes", img.ID, img.Status)
	case off > 0 && resp.StatusCode != http.StatusPartialContent, off == 0 && resp.StatusCode != http.StatusOK:
		resp.Body.Close()
		return nil, c.stranger(resp)
	}
	return resp.Body, nil
}

// pages follows a list over its pages.
func pages[T any](limit int, path string, get func(path string) ([]T, string, error)) ([]T, error) {
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
		// A page's successor is a path of the same server and never itself.
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
