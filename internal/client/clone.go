package client

import (
	"context"
	"net/http"

	"ingest/api/wire"
	"ingest/internal/contract"
)

// A CloneSource says which image is cloned: its id, and its image service by URL, by the
// name of a region, or by the credential of its cloud.
type CloneSource struct {
	ImageID    string `json:"image_id"`
	URL        string `json:"url,omitempty"`
	Region     string `json:"region,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// A Clone asks for a copy of another image service's image, with its bytes as they are.
type Clone struct {
	Source  CloneSource `json:"source"`
	SameID  bool        `json:"same_id,omitempty"`
	ImageID string      `json:"image_id,omitempty"` // "" lets the server choose
	// Properties are the members of the image that shall be other than its source's.
	Properties map[string]any `json:"image_properties,omitempty"`
	Priority   *int           `json:"priority,omitempty"`
	contract.StoresSpec
}

// Clone asks the server to clone an image, and returns the task that does it.
func (c *Client) Clone(ctx context.Context, what Clone) (wire.Task, error) {
	var t glanceTask
	_, err := c.call(ctx, http.MethodPost, "/v2/tasks", nil, map[string]any{"type": contract.TypeClone, "input": what}, &t)
	return t.whole(), err
}
