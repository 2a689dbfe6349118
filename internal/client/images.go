package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// CreateImage makes an image without bytes. fields are the members of Glance's object.
func (c *Client) CreateImage(ctx context.Context, fields map[string]any) (wire.Image, error) {
	var out wire.Image
	_, err := c.call(ctx, http.MethodPost, "/v2/images", nil, fields, &out)
	return out, err
}

// A Change is one operation of a JSON patch.
type Change struct {
	Op    string `json:"op"` // "add", "replace", "remove"
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// ChangeImage changes members of an image, all of them or none.
func (c *Client) ChangeImage(ctx context.Context, id string, changes []Change) (wire.Image, error) {
	var out wire.Image
	h := http.Header{"Content-Type": {"application/openstack-images-v2.1-json-patch"}}
	_, err := c.call(ctx, http.MethodPatch, imagePath(id), h, changes, &out)
	return out, err
}

// An Upload is the bytes that an image gets.
type Upload struct {
	Body  io.Reader // read once
	Size  int64     // bytes, -1 if unknown
	Store string    // "" for the server's default
}

// UploadImage gives a queued image its bytes, and so makes it active.
func (c *Client) UploadImage(ctx context.Context, id string, u Upload) error {
	return c.upload(ctx, imagePath(id, "file"), u)
}

// StageImage gives a queued image bytes that an import of method glance-direct takes.
func (c *Client) StageImage(ctx context.Context, id string, u Upload) error {
	return c.upload(ctx, imagePath(id, "stage"), u)
}

func (c *Client) upload(ctx context.Context, path string, u Upload) error {
	// A server that refuses says so before the bytes are sent.
	h := http.Header{"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"}}
	if u.Store != "" {
		h.Set("X-Image-Meta-Store", u.Store)
	}
	if u.Size >= 0 {
		h.Set("X-Openstack-Image-Size", strconv.FormatInt(u.Size, 10))
	}
	resp, err := c.send(ctx, http.MethodPut, path, h, sized{u.Body, u.Size})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// sized is a body whose length is told, if it is known.
type sized struct {
	io.Reader
	size int64
}

// SetActive reactivates a deactivated image, or deactivates an active one.
func (c *Client) SetActive(ctx context.Context, id string, active bool) error {
	what := "deactivate"
	if active {
		what = "reactivate"
	}
	_, err := c.call(ctx, http.MethodPost, imagePath(id, "actions", what), nil, nil, nil)
	return err
}

// AddTag gives an image a tag, RemoveTag takes one.
func (c *Client) AddTag(ctx context.Context, id, tag string) error {
	if err := needsName("tag", tag); err != nil {
		return err
	}
	_, err := c.call(ctx, http.MethodPut, imagePath(id, "tags", tag), nil, nil, nil)
	return err
}

// RemoveTag takes a tag of an image. errcode.NotFound says that it has none.
func (c *Client) RemoveTag(ctx context.Context, id, tag string) error {
	if err := needsName("tag", tag); err != nil {
		return err
	}
	_, err := c.call(ctx, http.MethodDelete, imagePath(id, "tags", tag), nil, nil, nil)
	return err
}

// Members lists the projects that an image is shared with.
func (c *Client) Members(ctx context.Context, id string) ([]wire.Member, error) {
	var out wire.MemberList
	_, err := c.call(ctx, http.MethodGet, imagePath(id, "members"), nil, nil, &out)
	return out.Members, err
}

// AddMember shares an image with a project, by its id.
func (c *Client) AddMember(ctx context.Context, id, project string) (wire.Member, error) {
	var out wire.Member
	_, err := c.call(ctx, http.MethodPost, imagePath(id, "members"), nil, map[string]string{"member": project}, &out)
	return out, err
}

// SetMember says as the project whether it takes an image that is shared with it.
func (c *Client) SetMember(ctx context.Context, id, project, status string) (wire.Member, error) {
	if err := needsName("project", project); err != nil {
		return wire.Member{}, err
	}
	var out wire.Member
	_, err := c.call(ctx, http.MethodPut, imagePath(id, "members", project), nil, map[string]string{"status": status}, &out)
	return out, err
}

// RemoveMember ends the sharing of an image with a project.
func (c *Client) RemoveMember(ctx context.Context, id, project string) error {
	if err := needsName("project", project); err != nil {
		return err
	}
	_, err := c.call(ctx, http.MethodDelete, imagePath(id, "members", project), nil, nil, nil)
	return err
}

// imagePath is a route of an image.
func imagePath(id string, more ...string) string {
	p := "/v2/images/" + url.PathEscape(id)
	for _, m := range more {
		p += "/" + url.PathEscape(m)
	}
	return p
}

// needsName refuses what would make another route of a path.
func needsName(what, value string) error {
	if value == "" || value == "." || value == ".." {
		return errcode.New(errcode.BadRequest, "%q is no %s", value, what)
	}
	return nil
}
