package client

import (
	"context"
	"net/http"
	"net/url"

	"ingest/api/wire"
)

// Pause lets a task's work stand still, and Resume lets it go on.
func (c *Client) Pause(ctx context.Context, id string) (wire.Task, error) {
	return c.steer(ctx, http.MethodPost, id, "pause", nil)
}

// Resume lets the work of a paused task go on.
func (c *Client) Resume(ctx context.Context, id string) (wire.Task, error) {
	return c.steer(ctx, http.MethodPost, id, "resume", nil)
}

// SetPriority gives a task another place among those that wait: 0 to 9, the highest goes
// first.
func (c *Client) SetPriority(ctx context.Context, id string, priority int) (wire.Task, error) {
	return c.steer(ctx, http.MethodPut, id, "priority", wire.Priority{Priority: &priority})
}

func (c *Client) steer(ctx context.Context, method, id, what string, body any) (wire.Task, error) {
	var out wire.Task
	_, err := c.call(ctx, method, "/v1/tasks/"+url.PathEscape(id)+"/"+what, nil, body, &out)
	return out, err
}

// Retry makes a task that repeats the request of a failed one.
func (c *Client) Retry(ctx context.Context, id string) (wire.Submitted, error) {
	var out wire.Submitted
	_, err := c.call(ctx, http.MethodPost, "/v1/tasks/"+url.PathEscape(id)+"/retry", nil, nil, &out)
	return out, err
}

// Webhooks lists the project's webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]wire.Webhook, error) {
	var out wire.WebhookList
	_, err := c.call(ctx, http.MethodGet, "/v1/webhooks", nil, nil, &out)
	return out.Webhooks, err
}

// Webhook returns a webhook with its last deliveries.
func (c *Client) Webhook(ctx context.Context, id string) (wire.Webhook, error) {
	return c.webhook(ctx, http.MethodGet, "/"+url.PathEscape(id), nil)
}

// AddWebhook adds a webhook. The answer alone has its secret.
func (c *Client) AddWebhook(ctx context.Context, w wire.NewWebhook) (wire.Webhook, error) {
	return c.webhook(ctx, http.MethodPost, "", w)
}

// EnableWebhook tells a webhook again that was disabled.
func (c *Client) EnableWebhook(ctx context.Context, id string) (wire.Webhook, error) {
	return c.webhook(ctx, http.MethodPost, "/"+url.PathEscape(id)+"/enable", nil)
}

func (c *Client) webhook(ctx context.Context, method, path string, body any) (wire.Webhook, error) {
	var out wire.Webhook
	_, err := c.call(ctx, method, "/v1/webhooks"+path, nil, body, &out)
	return out, err
}

// RemoveWebhook removes a webhook and what has not been sent to it yet.
func (c *Client) RemoveWebhook(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v1/webhooks/"+url.PathEscape(id), nil, nil, nil)
	return err
}

// TestWebhook has a test notice sent.
func (c *Client) TestWebhook(ctx context.Context, id string) (wire.Delivery, error) {
	var out wire.Delivery
	_, err := c.call(ctx, http.MethodPost, "/v1/webhooks/"+url.PathEscape(id)+"/test", nil, nil, &out)
	return out, err
}
