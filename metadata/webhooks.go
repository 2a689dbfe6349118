package metadata

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
)

// What webhooks are told of.
const (
	TaskSucceeded = "task.success"
	TaskFailed    = "task.failure"
	TaskPaused    = "task.paused"
	TaskResumed   = "task.resumed"
	// WebhookTest is sent by hand, and to whom it is sent need not have asked for it.
	WebhookTest = "webhook.test"
)

// WebhookEvents lists what a webhook can be told of.
func WebhookEvents() []string { return []string{TaskSucceeded, TaskFailed, TaskPaused, TaskResumed} }

// MaxWebhooks is how many a project may have: each end of a task is a row for each.
const MaxWebhooks = 20

// maxNotice is how long a notice may be, bytes. What is longer goes without the task's
// result, which can be asked for.
const maxNotice = 64 << 10

// States of deliveries.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed" // given up
)

// A Webhook is an address that is told of what happens to a project's tasks.
type Webhook struct {
	ID             string
	Owner          string // project
	URL            string
	Events         []string // some of WebhookEvents
	Secret         string   // by which notices are signed; shown to nobody once it is kept
	Description    string
	FailingSince   *time.Time // of the first failure after the last success, nil if it took the last notice
	DisabledAt     *time.Time // nothing is sent any more
	DisabledReason string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// A Delivery is one notice for one webhook: a row of the outbox until it was taken, and
// of the webhook's history afterwards.
type Delivery struct {
	ID         string
	WebhookID  string
	TaskID     string // "" of a test
	Event      string
	Body       json.RawMessage // as it is sent and signed, byte by byte
	Status     string
	Attempts   int
	HTTPStatus int    // of the last answer, 0 if there was none
	Error      string // why the last attempt failed, "" if it did not
	CreatedAt  time.Time
	NextAt     time.Time // when it is tried again, or whoever sends it has given up
	UpdatedAt  time.Time
}

// A WebhookTx is the part of a transaction that deals with webhooks.
type WebhookTx interface {
	Webhook(ctx context.Context, id string) (Webhook, error)
	// Webhooks lists those of a project, the oldest first.
	Webhooks(ctx context.Context, owner string) ([]Webhook, error)
	PutWebhook(ctx context.Context, w Webhook) error
	// DeleteWebhook removes a webhook and its deliveries, if there is one.
	DeleteWebhook(ctx context.Context, id string) error
	Delivery(ctx context.Context, id string) (Delivery, error)
	// Deliveries lists those of a webhook, the newest first, or those that are due, the
	// most overdue first.
	Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error)
	// DueWebhooks lists the webhooks for which something is due, the one that has waited
	// longest first.
	DueWebhooks(ctx context.Context, at time.Time, limit int) ([]string, error)
	PutDelivery(ctx context.Context, d Delivery) error
	// DropDeliveries removes those that have ended and were last touched before the
	// given time.
	DropDeliveries(ctx context.Context, before time.Time) error
}

// A DeliveryFilter selects deliveries.
type DeliveryFilter struct {
	WebhookID string
	Due       *time.Time // only pending ones whose time has come by then
	Limit     int        // 0 means no limit
}

// A Notice is the body that a webhook is sent.
type Notice struct {
	ID        string      `json:"id"`    // of the delivery: the same in every attempt
	Event     string      `json:"event"` // one of WebhookEvents, or WebhookTest
	CreatedAt time.Time   `json:"created_at"`
	Task      *NoticeTask `json:"task,omitempty"` // not of a test
}

// A NoticeTask is what a notice says of a task. The request is not in it: the URL of a
// source may hold a secret.
type NoticeTask struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Status    TaskStatus      `json:"status"`
	Stage     string          `json:"stage,omitempty"`
	Owner     string          `json:"owner"`
	ImageID   string          `json:"image_id"`
	RetryOf   string          `json:"retry_of,omitempty"`
	Message   string          `json:"message,omitempty"`
	Error     *TaskError      `json:"error,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// AddWebhook keeps a new webhook. More than MaxWebhooks of a project are
// errcode.QuotaExceeded.
func (c *Catalogue) AddWebhook(ctx context.Context, w Webhook) (Webhook, error) {
	return update(ctx, c, func(tx Tx) (Webhook, error) {
		known, err := tx.Webhooks(ctx, w.Owner)
		if err != nil {
			return Webhook{}, err
		}
		if len(known) >= MaxWebhooks {
			return Webhook{}, errcode.New(errcode.QuotaExceeded, "the project has %d webhooks, and may not have more", len(known))
		}
		w.ID, w.CreatedAt = uuid.NewString(), c.moment()
		w.UpdatedAt = w.CreatedAt
		return w, tx.PutWebhook(ctx, w)
	})
}

// Webhook returns a webhook.
func (c *Catalogue) Webhook(ctx context.Context, id string) (Webhook, error) {
	return view(ctx, c, func(tx Tx) (Webhook, error) { return tx.Webhook(ctx, id) })
}

// Webhooks lists those of a project, the oldest first.
func (c *Catalogue) Webhooks(ctx context.Context, owner string) ([]Webhook, error) {
	return view(ctx, c, func(tx Tx) ([]Webhook, error) { return tx.Webhooks(ctx, owner) })
}

// RemoveWebhook removes a webhook and what has not been sent to it yet.
func (c *Catalogue) RemoveWebhook(ctx context.Context, id string) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		if _, err := tx.Webhook(ctx, id); err != nil {
			return err
		}
		return tx.DeleteWebhook(ctx, id)
	})
}

// EnableWebhook lets a webhook that was disabled be told again of what happens from
// here on.
func (c *Catalogue) EnableWebhook(ctx context.Context, id string) (Webhook, error) {
	return update(ctx, c, func(tx Tx) (Webhook, error) {
		w, err := tx.Webhook(ctx, id)
		if err != nil || w.DisabledAt == nil {
			return w, err
		}
		w.DisabledAt, w.DisabledReason, w.FailingSince, w.UpdatedAt = nil, "", nil, c.moment()
		return w, tx.PutWebhook(ctx, w)
	})
}

// Deliveries lists the last deliveries to a webhook, the newest first.
func (c *Catalogue) Deliveries(ctx context.Context, webhookID string, limit int) ([]Delivery, error) {
	return view(ctx, c, func(tx Tx) ([]Delivery, error) {
		return tx.Deliveries(ctx, DeliveryFilter{WebhookID: webhookID, Limit: limit})
	})
}

// TestWebhook puts a test notice for a webhook into the outbox.
func (c *Catalogue) TestWebhook(ctx context.Context, id string) (Delivery, error) {
	return update(ctx, c, func(tx Tx) (Delivery, error) {
		w, err := tx.Webhook(ctx, id)
		if err != nil {
			return Delivery{}, err
		}
		if w.DisabledAt != nil {
			return Delivery{}, errcode.New(errcode.Conflict, "webhook %s is disabled: %s", id, w.DisabledReason)
		}
		return c.post(ctx, tx, w, Notice{Event: WebhookTest})
	})
}

// endOf is what a finished task is told as.
func endOf(t Task) string {
	if t.Status == TaskSuccess {
		return TaskSucceeded
	}
	return TaskFailed
}

// wordOf is the last word of an event's name.
func wordOf(event string) string { return event[strings.LastIndexByte(event, '.')+1:] }

// notify puts a notice of what has happened to a task into the outbox, for each webhook
// that asked for it. It is called in the transaction in which it happens: what is
// recorded is told, and nothing else is.
func (c *Catalogue) notify(ctx context.Context, tx Tx, t Task, event string) error {
	hooks, err := tx.Webhooks(ctx, t.Owner)
	if err != nil {
		return err
	}
	for _, w := range hooks {
		if w.DisabledAt != nil || !slices.Contains(w.Events, event) {
			continue
		}
		n := Notice{Event: event, Task: &NoticeTask{
			ID: t.ID, Type: t.Type, Status: t.Status, Stage: t.Stage, Owner: t.Owner, ImageID: t.ImageID, RetryOf: t.RetryOf,
			Message: t.Message, Error: t.Error, Result: t.Result, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
		}}
		if _, err := c.post(ctx, tx, w, n); err != nil {
			return err
		}
	}
	return nil
}

// post puts a notice into the outbox.
func (c *Catalogue) post(ctx context.Context, tx Tx, w Webhook, n Notice) (Delivery, error) {
	now := c.moment()
	n.ID, n.CreatedAt = uuid.NewString(), now
	body, err := json.Marshal(n)
	if err == nil && len(body) > maxNotice && n.Task != nil {
		short := *n.Task
		short.Result = nil
		n.Task = &short
		body, err = json.Marshal(n)
	}
	if err != nil {
		return Delivery{}, errcode.Wrap(err, errcode.Internal, "write notice for webhook %s", w.ID)
	}
	d := Delivery{ID: n.ID, WebhookID: w.ID, Event: n.Event, Body: body, Status: DeliveryPending, CreatedAt: now, NextAt: now, UpdatedAt: now}
	if n.Task != nil {
		d.TaskID = n.Task.ID
	}
	return d, tx.PutDelivery(ctx, d)
}
