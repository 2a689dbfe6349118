package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// maxLine is how long one line of a bulk's dry run may be.
const maxLine = 16 << 20

func bulkURL(id, rest string) string { return "/v1/bulk/" + url.PathEscape(id) + rest }

// SubmitBulk submits a manifest of the media type. head has what stands above its own.
func (c *Client) SubmitBulk(ctx context.Context, media string, manifest []byte, head url.Values) (wire.Bulk, error) {
	resp, err := c.sendManifest(ctx, "/v1/bulk", media, manifest, head)
	if err != nil {
		return wire.Bulk{}, err
	}
	defer resp.Body.Close()
	var out wire.Bulk
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		return wire.Bulk{}, c.stranger(resp)
	}
	return out, nil
}

func (c *Client) sendManifest(ctx context.Context, path, media string, manifest []byte, head url.Values) (*http.Response, error) {
	if len(head) > 0 {
		path += "?" + head.Encode()
	}
	return c.send(ctx, http.MethodPost, path, http.Header{"Content-Type": {media}}, bytes.NewReader(manifest))
}

// PlanBulk makes a dry run of a manifest, tells of each item as it is known, and returns
// the summary.
func (c *Client) PlanBulk(ctx context.Context, media string, manifest []byte, head url.Values, tell func(wire.BulkPlanLine) error) (wire.BulkPlan, error) {
	q := url.Values{"dry_run": {"true"}}
	for name, values := range head {
		q[name] = values
	}
	resp, err := c.sendManifest(ctx, "/v1/bulk", media, manifest, q)
	if err != nil {
		return wire.BulkPlan{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line wire.BulkPlanLine
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			return wire.BulkPlan{}, c.stranger(resp)
		}
		if line.Summary != nil {
			return *line.Summary, nil
		}
		if err := tell(line); err != nil {
			return wire.BulkPlan{}, err
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return wire.BulkPlan{}, c.unreachable(ctx, err)
}

// Bulks lists at most limit bulks, newest first; limit <= 0 lists all.
func (c *Client) Bulks(ctx context.Context, q url.Values, limit int) ([]wire.Bulk, error) {
	return pages(c.prefix, limit, listURL("/v1/bulk", q, limit), func(path string) ([]wire.Bulk, string, error) {
		var out wire.BulkList
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return out.Bulks, out.Next, err
	})
}

// Bulk says how far a bulk is.
func (c *Client) Bulk(ctx context.Context, id string) (wire.Bulk, error) {
	var out wire.Bulk
	_, err := c.call(ctx, http.MethodGet, bulkURL(id, ""), nil, nil, &out)
	return out, err
}

// BulkItems lists at most limit items of a bulk, by number; limit <= 0 lists all.
func (c *Client) BulkItems(ctx context.Context, id string, q url.Values, limit int) ([]wire.BulkItem, error) {
	return pages(c.prefix, limit, listURL(bulkURL(id, "/items"), q, limit), func(path string) ([]wire.BulkItem, string, error) {
		var out wire.BulkItemList
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return out.Items, out.Next, err
	})
}

// ChangeBulk pauses, resumes, cancels or retries a bulk.
func (c *Client) ChangeBulk(ctx context.Context, id, do string) (wire.Bulk, error) {
	path := bulkURL(id, "/"+do)
	if do == metadata.BulkAbort {
		path = bulkURL(id, "/cancel?abort=true")
	}
	var out wire.Bulk
	_, err := c.call(ctx, http.MethodPost, path, nil, nil, &out)
	return out, err
}

// SetBulk changes those settings of a bulk that settings has.
func (c *Client) SetBulk(ctx context.Context, id string, settings any) (wire.Bulk, error) {
	var out wire.Bulk
	_, err := c.call(ctx, http.MethodPatch, bulkURL(id, ""), nil, settings, &out)
	return out, err
}

// BulkReport opens a bulk's report, which the caller closes.
func (c *Client) BulkReport(ctx context.Context, id, format string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, bulkURL(id, "/report?format="+url.QueryEscape(format)), nil, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errcode.New(errcode.Internal, "%s answered a report with %s", c.base, resp.Status)
	}
	return resp.Body, nil
}
