package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A method is how an image gets its bytes by an import of Glance's API.
type method struct {
	Name    string `json:"name"`
	URI     string `json:"uri,omitempty"`
	Region  string `json:"glance_region,omitempty"`
	ImageID string `json:"glance_image_id,omitempty"`
}

// An ImportMethod says how an image gets its bytes.
type ImportMethod struct {
	Name    string // glance-direct, web-download, glance-download, copy-image
	URI     string // of web-download
	Region  string // of glance-download
	ImageID string // of glance-download: in that region
	Stores  contract.StoresSpec
}

// ImportInto starts an import into an image, and returns the id of its task, "" if the
// server does not tell it.
func (c *Client) ImportInto(ctx context.Context, id string, m ImportMethod) (string, error) {
	resp, err := c.sendJSON(ctx, http.MethodPost, imagePath(id, "import"), struct {
		Method method `json:"method"`
		contract.StoresSpec
	}{method{m.Name, m.URI, m.Region, m.ImageID}, m.Stores})
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	return resp.Header.Get("X-Ingest-Task-Id"), nil
}

// CopyImage asks for copies of an image in further stores, and returns the id of the
// task that makes them.
func (c *Client) CopyImage(ctx context.Context, id string, to contract.StoresSpec) (string, error) {
	task, err := c.ImportInto(ctx, id, ImportMethod{Name: contract.MethodCopy, Stores: to})
	if err != nil || task != "" {
		return task, err
	}
	return c.LastTask(ctx, id)
}

// LastTask returns the id of an image's last task, "" if it has none.
func (c *Client) LastTask(ctx context.Context, id string) (string, error) {
	all, err := c.imageTasks(ctx, id)
	if err != nil || len(all) == 0 {
		return "", err
	}
	last := all[0]
	for _, t := range all {
		if t.CreatedAt.After(last.CreatedAt) {
			last = t
		}
	}
	return last.ID, nil
}

// A glanceTask is a task as every image service shows it.
type glanceTask struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Status    string          `json:"status"`
	Owner     string          `json:"owner"`
	UserID    string          `json:"user_id"`
	RequestID string          `json:"request_id"`
	ImageID   string          `json:"image_id"`
	Message   string          `json:"message"`
	CreatedAt string          `json:"created_at"`
	UpdatedAt string          `json:"updated_at"`
	ExpiresAt string          `json:"expires_at"`
	Input     json.RawMessage `json:"input"`
}

// whole is a task in the form of ingest's own.
func (t glanceTask) whole() wire.Task {
	out := wire.Task{ID: t.ID, Type: t.Type, Status: t.Status, Owner: t.Owner, UserID: t.UserID, RequestID: t.RequestID, ImageID: t.ImageID,
		Message: t.Message, CreatedAt: moment(t.CreatedAt), UpdatedAt: moment(t.UpdatedAt), Request: t.Input}
	if end := moment(t.ExpiresAt); !end.IsZero() {
		out.ExpiresAt = &end
	}
	return out
}

// moment reads a time as Glance writes it: with a zone in one place, without in another.
func moment(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05.999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// Task returns a whole task with its history, or what an image service without ingest's
// own routes says of it.
func (c *Client) Task(ctx context.Context, id string) (wire.Task, error) {
	var out wire.Task
	_, err := c.call(ctx, http.MethodGet, "/v1/tasks/"+url.PathEscape(id), nil, nil, &out)
	if !errors.Is(err, ErrNotIngest) {
		return out, err
	}
	var t glanceTask
	if _, err := c.call(ctx, http.MethodGet, "/v2/tasks/"+url.PathEscape(id), nil, nil, &t); err != nil {
		return wire.Task{}, forAdministrators(err)
	}
	return t.whole(), nil
}

// Progress says how far a task is.
func (c *Client) Progress(ctx context.Context, id string) (contract.Progress, error) {
	var out contract.Progress
	_, err := c.call(ctx, http.MethodGet, "/v1/tasks/"+url.PathEscape(id)+"/progress", nil, nil, &out)
	if !errors.Is(err, ErrNotIngest) {
		return out, err
	}
	t, err := c.Task(ctx, id)
	return progressOf(t), err
}

func progressOf(t wire.Task) contract.Progress {
	return contract.Progress{Stage: "import", Status: t.Status, Message: t.Message, Total: -1, ETA: -1}
}

// Tasks lists at most limit tasks, newest first; limit <= 0 lists all. q holds the
// filters of GET /v1/tasks.
func (c *Client) Tasks(ctx context.Context, q url.Values, limit int) ([]wire.Task, error) {
	all, err := pages(c.prefix, limit, listURL("/v1/tasks", q, limit), func(path string) ([]wire.Task, string, error) {
		var out wire.TaskList
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return out.Tasks, out.Next, err
	})
	if !errors.Is(err, ErrNotIngest) {
		return all, err
	}
	if image := q.Get("image_id"); image != "" {
		return c.tasksOf(ctx, image, q.Get("status"), limit)
	}
	all, err = pages(c.prefix, limit, listURL("/v2/tasks", q, limit), func(path string) ([]wire.Task, string, error) {
		var out struct {
			Tasks []glanceTask `json:"tasks"`
			Next  string       `json:"next"`
		}
		_, err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
		return whole(out.Tasks), out.Next, err
	})
	return all, forAdministrators(err)
}

// tasksOf lists the tasks of one image, which every user may see of their own.
func (c *Client) tasksOf(ctx context.Context, image, status string, limit int) ([]wire.Task, error) {
	all, err := c.imageTasks(ctx, image)
	var out []wire.Task
	for _, t := range all {
		if (status == "" || t.Status == status) && (limit <= 0 || len(out) < limit) {
			out = append(out, t)
		}
	}
	return out, err
}

func (c *Client) imageTasks(ctx context.Context, image string) ([]wire.Task, error) {
	var out struct {
		Tasks []glanceTask `json:"tasks"`
	}
	_, err := c.call(ctx, http.MethodGet, imagePath(image, "tasks"), nil, nil, &out)
	return whole(out.Tasks), err
}

func whole(list []glanceTask) []wire.Task {
	var out []wire.Task
	for _, t := range list {
		out = append(out, t.whole())
	}
	return out
}

// forAdministrators says what a user of Glance can do who is refused.
func forAdministrators(err error) error {
	if e, ok := errcode.As(err); ok && e.Code == errcode.Forbidden {
		return errcode.Wrap(err, errcode.Forbidden, "%s (this image service shows tasks to administrators only; those of an image are listed by `ingest task list --image ID`)", e.Message)
	}
	return err
}

// ByImage follows a task of an image service that shows its owner only the tasks of an
// image. It is a cli.Watcher.
type ByImage struct {
	*Client
	Image string
}

// Task returns the task among those of the image.
func (b ByImage) Task(ctx context.Context, id string) (wire.Task, error) {
	all, err := b.imageTasks(ctx, b.Image)
	for _, t := range all {
		if t.ID == id {
			return t, nil
		}
	}
	if err == nil {
		err = errcode.New(errcode.NotFound, "image %s has no task %s", b.Image, id)
	}
	return wire.Task{}, err
}

// Progress says how far the task is.
func (b ByImage) Progress(ctx context.Context, id string) (contract.Progress, error) {
	t, err := b.Task(ctx, id)
	return progressOf(t), err
}

func (c *Client) sendJSON(ctx context.Context, method, path string, body any) (*http.Response, error) {
	r, err := encoded(body)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, method, path, nil, r)
}
