package sqlcore

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

type webhookRow struct {
	bun.BaseModel `bun:"table:webhooks"`

	ID             string `bun:"id,pk"`
	Owner          string `bun:"owner"`
	URL            string `bun:"url"`
	Events         string `bun:"events"`
	Secret         string `bun:"secret"`
	Description    string `bun:"description"`
	FailingUS      *int64 `bun:"failing_us"`
	DisabledUS     *int64 `bun:"disabled_us"`
	DisabledReason string `bun:"disabled_reason"`
	CreatedUS      int64  `bun:"created_us"`
	UpdatedUS      int64  `bun:"updated_us"`
	RowVersion     int64  `bun:"row_version"`
}

type deliveryRow struct {
	bun.BaseModel `bun:"table:webhook_deliveries"`

	ID         string `bun:"id,pk"`
	WebhookID  string `bun:"webhook_id"`
	TaskID     string `bun:"task_id"`
	Event      string `bun:"event"`
	Body       string `bun:"body"`
	Status     string `bun:"status"`
	Attempts   int64  `bun:"attempts"`
	HTTPStatus int64  `bun:"http_status"`
	Error      string `bun:"error"`
	CreatedUS  int64  `bun:"created_us"`
	NextUS     int64  `bun:"next_us"`
	UpdatedUS  int64  `bun:"updated_us"`
	RowVersion int64  `bun:"row_version"`
}

func (t *tx) Webhook(ctx context.Context, id string) (metadata.Webhook, error) {
	var row webhookRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "webhook", id); err != nil {
		return metadata.Webhook{}, err
	}
	return t.seenWebhook(row)
}

func (t *tx) Webhooks(ctx context.Context, owner string) ([]metadata.Webhook, error) {
	var rows []webhookRow
	err := t.db.NewSelect().Model(&rows).Where("owner = ?", owner).Order("created_us", "id").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "list webhooks")
	}
	return each(rows, t.seenWebhook)
}

func (t *tx) PutWebhook(ctx context.Context, w metadata.Webhook) error {
	events := strings.Join(w.Events, ",")
	err := check("webhook", w.ID, []column{
		{"id", w.ID, maxID}, {"owner", w.Owner, maxName}, {"url", w.URL, maxLong}, {"events", events, maxLong},
		{"secret", w.Secret, maxName}, {"description", w.Description, maxName}, {"disabled_reason", w.DisabledReason, maxLong},
	})
	if err != nil {
		return err
	}
	row := webhookRow{
		ID: w.ID, Owner: w.Owner, URL: w.URL, Events: events, Secret: w.Secret, Description: w.Description,
		FailingUS: microsPtr(w.FailingSince), DisabledUS: microsPtr(w.DisabledAt), DisabledReason: w.DisabledReason,
		CreatedUS: micros(w.CreatedAt), UpdatedUS: micros(w.UpdatedAt),
	}
	return t.put(ctx, "webhooks", w.ID, &row, &row.RowVersion)
}

// DeleteWebhook implements metadata.Tx. Deliveries go with the row they refer to.
func (t *tx) DeleteWebhook(ctx context.Context, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("webhooks").Where("id = ?", id).Exec(ctx)
	delete(t.versions, "webhooks/"+id)
	return unavailable(ctx, err, "remove webhook")
}

func (t *tx) Delivery(ctx context.Context, id string) (metadata.Delivery, error) {
	var row deliveryRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "delivery", id); err != nil {
		return metadata.Delivery{}, err
	}
	return t.seenDelivery(row)
}

func (t *tx) Deliveries(ctx context.Context, f metadata.DeliveryFilter) ([]metadata.Delivery, error) {
	var rows []deliveryRow
	q := t.db.NewSelect().Model(&rows)
	equal(q, "webhook_id", f.WebhookID)
	if f.Due != nil {
		q.Where("status = ?", metadata.DeliveryPending).Where("next_us <= ?", f.Due.UnixMicro()).Order("next_us", "id")
	} else {
		q.OrderExpr("created_us DESC, id DESC")
	}
	if f.Limit > 0 {
		q.Limit(int64(f.Limit))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list deliveries")
	}
	return each(rows, t.seenDelivery)
}

func (t *tx) DueWebhooks(ctx context.Context, at time.Time, limit int) ([]string, error) {
	var out []string
	err := t.db.NewSelect().Table("webhook_deliveries").Column("webhook_id").
		Where("status = ?", metadata.DeliveryPending).Where("next_us <= ?", at.UnixMicro()).
		Group("webhook_id").OrderExpr("MIN(next_us), webhook_id").Limit(int64(limit)).Scan(ctx, &out)
	return out, unavailable(ctx, err, "list webhooks that wait")
}

func (t *tx) PutDelivery(ctx context.Context, d metadata.Delivery) error {
	err := check("delivery", d.ID, []column{
		{"id", d.ID, maxID}, {"webhook_id", d.WebhookID, maxID}, {"task_id", d.TaskID, maxID}, {"event", d.Event, maxWord},
		{"body", string(d.Body), maxText}, {"status", d.Status, maxWord}, {"error", d.Error, maxLong},
	})
	if err != nil {
		return err
	}
	row := deliveryRow{
		ID: d.ID, WebhookID: d.WebhookID, TaskID: d.TaskID, Event: d.Event, Body: string(d.Body), Status: d.Status,
		Attempts: int64(d.Attempts), HTTPStatus: int64(d.HTTPStatus), Error: d.Error,
		CreatedUS: micros(d.CreatedAt), NextUS: micros(d.NextAt), UpdatedUS: micros(d.UpdatedAt),
	}
	return t.put(ctx, "webhook_deliveries", d.ID, &row, &row.RowVersion)
}

func (t *tx) DropDeliveries(ctx context.Context, before time.Time) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("webhook_deliveries").
		Where("status <> ?", metadata.DeliveryPending).Where("updated_us < ?", before.UnixMicro()).Exec(ctx)
	return unavailable(ctx, err, "remove deliveries")
}

func (t *tx) seenWebhook(r webhookRow) (metadata.Webhook, error) {
	t.versions["webhooks/"+r.ID] = r.RowVersion
	w := metadata.Webhook{
		ID: r.ID, Owner: r.Owner, URL: r.URL, Secret: r.Secret, Description: r.Description,
		FailingSince: momentPtr(r.FailingUS), DisabledAt: momentPtr(r.DisabledUS), DisabledReason: r.DisabledReason,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
	if r.Events != "" {
		w.Events = strings.Split(r.Events, ",")
	}
	return w, nil
}

func (t *tx) seenDelivery(r deliveryRow) (metadata.Delivery, error) {
	t.versions["webhook_deliveries/"+r.ID] = r.RowVersion
	return metadata.Delivery{
		ID: r.ID, WebhookID: r.WebhookID, TaskID: r.TaskID, Event: r.Event, Body: raw(r.Body), Status: r.Status,
		Attempts: int(r.Attempts), HTTPStatus: int(r.HTTPStatus), Error: r.Error,
		CreatedAt: moment(r.CreatedUS), NextAt: moment(r.NextUS), UpdatedAt: moment(r.UpdatedUS),
	}, nil
}
