package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"ingest/internal/tools/ingestserver"
)

// A glance is an image service that runs already and converts what it imports to raw.
type glance struct {
	url, token string
	pid        int // 0: unknown
}

// glanceRow is an import beside Glance's.
func glanceRow() row {
	src := source{smallDisk, qcow2zlib}
	return row{group: groupGlance, what: "web-download, qcow2/zlib → raw", sources: []source{src}, limit: limit{Value: 0.2},
		prepare: func(ctx context.Context, b *bench, paths []string) (pair, error) {
			g, stop := b.o.glance, func() {}
			if g.url == "" {
				var err error
				if g, stop, err = startGlance(ctx, b.work); err != nil {
					return pair{}, err
				}
			}
			s, err := b.serving(ctx)
			if err != nil {
				stop()
				return pair{}, err
			}
			return pair{
				close: func() { s.stop(); stop() },
				first: s.side(src, paths[0], ""), second: g.side(s.files + filepath.Base(paths[0])),
			}, nil
		}}
}

// side is a web-download by Glance.
func (g glance) side(url string) side {
	var id string
	return side{
		is: "web-download by Glance, image_conversion to raw",
		run: func(ctx context.Context) (usage, error) {
			var image struct{ ID string }
			if err := g.call(ctx, http.MethodPost, "/v2/images", map[string]string{"name": "bench", "disk_format": "qcow2", "container_format": "bare"}, &image); err != nil {
				return usage{}, err
			}
			id = image.ID
			before := g.cpu()
			began := time.Now()
			order := map[string]any{"method": map[string]string{"name": "web-download", "uri": url}}
			if err := g.call(ctx, http.MethodPost, "/v2/images/"+id+"/import", order, nil); err != nil {
				return usage{}, err
			}
			err := g.active(ctx, id)
			u := usage{Wall: time.Since(began)}
			u.CPU = g.cpu() - before
			return u, err
		},
		after: func(ctx context.Context, check bool) error {
			return g.call(ctx, http.MethodDelete, "/v2/images/"+id, nil, nil)
		},
	}
}

// cpu is what the service has taken so far, 0 if nobody knows.
func (g glance) cpu() time.Duration {
	if g.pid == 0 {
		return 0
	}
	d, _ := ingestserver.CPU(g.pid)
	return d
}

// active waits until the image is active and raw.
func (g glance) active(ctx context.Context, id string) error {
	for begun := false; ; {
		var image struct {
			Status     string
			DiskFormat string `json:"disk_format"`
			Failed     string `json:"os_glance_failed_import"`
		}
		if err := g.call(ctx, http.MethodGet, "/v2/images/"+id, nil, &image); err != nil {
			return err
		}
		switch {
		case image.Status == "active" && image.DiskFormat == "raw":
			return nil
		case image.Status == "active":
			return fmt.Errorf("glance stored %s: its conversion plugin is off", image.DiskFormat)
		case image.Failed != "" || image.Status == "killed" || begun && image.Status == "queued":
			return fmt.Errorf("glance did not import the image: status %s, failed stores %q", image.Status, image.Failed)
		}
		begun = begun || image.Status == "importing"
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call sends a request and reads the answer into out, if that is not nil.
func (g glance) call(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if g.token != "" {
		req.Header.Set("X-Auth-Token", g.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, mib))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("glance answered %s %s with %s: %s", method, path, resp.Status, b)
	case out == nil:
		return nil
	}
	return json.Unmarshal(b, out)
}
