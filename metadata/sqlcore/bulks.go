package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// itemsAtOnce is how many items one statement inserts.
const itemsAtOnce = 500

type bulkRow struct {
	bun.BaseModel `bun:"table:bulks"`

	ID         string `bun:"id,pk"`
	Owner      string `bun:"owner"`
	UserID     string `bun:"user_id"`
	Name       string `bun:"name"`
	Digest     string `bun:"digest"`
	Status     string `bun:"status"`
	WorkflowID string `bun:"workflow_id"`
	Settings   string `bun:"settings"`
	Gates      string `bun:"gates"`
	Message    string `bun:"message"`
	Total      int64  `bun:"total"`
	SeenEvent  int64  `bun:"seen_event"`
	Revision   int64  `bun:"revision"`
	Told       int64  `bun:"told"`
	CreatedUS  int64  `bun:"created_us"`
	UpdatedUS  int64  `bun:"updated_us"`
	EndedUS    *int64 `bun:"ended_us"`
	RowVersion int64  `bun:"row_version"`
}

func (t *tx) Bulk(ctx context.Context, id string) (metadata.Bulk, error) {
	var row bulkRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "bulk", id); err != nil {
		return metadata.Bulk{}, err
	}
	return t.seenBulk(row)
}

func (t *tx) Bulks(ctx context.Context, f metadata.BulkFilter) ([]metadata.Bulk, error) {
	var rows []bulkRow
	q := t.db.NewSelect().Model(&rows)
	equal(q, "owner", f.Owner)
	equal(q, "name", f.Name)
	equal(q, "digest", f.Digest)
	if f.Unfinished {
		q.Where("status IN (?)", bun.In([]metadata.BulkStatus{
			metadata.BulkLoading, metadata.BulkRunning, metadata.BulkPaused, metadata.BulkCancelling, metadata.BulkAborting}))
	}
	if err := t.page(ctx, q, "bulks", f.Owner, f.Marker, f.Limit); err != nil {
		return nil, err
	}
	return each(rows, t.seenBulk)
}

func (t *tx) PutBulk(ctx context.Context, b metadata.Bulk) error {
	settings, err := encode("bulk", "settings", b.Settings, false)
	if err != nil {
		return err
	}
	gates, err := encode("bulk", "gates", b.Gates, len(b.Gates) == 0)
	if err != nil {
		return err
	}
	if err := check("bulk", b.ID, []column{
		{"id", b.ID, maxID}, {"owner", b.Owner, maxName}, {"user_id", b.UserID, maxName}, {"name", b.Name, maxName},
		{"digest", b.Digest, maxName}, {"status", string(b.Status), maxWord}, {"workflow_id", b.WorkflowID, maxLong},
		{"settings", settings, maxText}, {"gates", gates, maxText}, {"message", b.Message, maxText},
	}); err != nil {
		return err
	}
	row := bulkRow{
		ID: b.ID, Owner: b.Owner, UserID: b.UserID, Name: b.Name, Digest: b.Digest, Status: string(b.Status), WorkflowID: b.WorkflowID,
		Settings: settings, Gates: gates, Message: b.Message, Total: int64(b.Total), SeenEvent: b.SeenEvent, Revision: b.Revision, Told: b.Told,
		CreatedUS: micros(b.CreatedAt), UpdatedUS: micros(b.UpdatedAt), EndedUS: microsPtr(b.EndedAt),
	}
	return t.put(ctx, "bulks", b.ID, &row, &row.RowVersion)
}

// DeleteBulk implements metadata.BulkTx. Items go with the row they refer to.
func (t *tx) DeleteBulk(ctx context.Context, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("bulks").Where("id = ?", id).Exec(ctx)
	delete(t.versions, "bulks/"+id)
	return unavailable(ctx, err, "remove bulk")
}

func (t *tx) seenBulk(r bulkRow) (metadata.Bulk, error) {
	t.versions["bulks/"+r.ID] = r.RowVersion
	b := metadata.Bulk{
		ID: r.ID, Owner: r.Owner, UserID: r.UserID, Name: r.Name, Digest: r.Digest, Status: metadata.BulkStatus(r.Status), WorkflowID: r.WorkflowID,
		Message: r.Message, Total: int(r.Total), SeenEvent: r.SeenEvent, Revision: r.Revision, Told: r.Told,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS), EndedAt: momentPtr(r.EndedUS),
	}
	if err := decode("bulk "+r.ID, "settings", r.Settings, &b.Settings); err != nil {
		return metadata.Bulk{}, err
	}
	return b, decode("bulk "+r.ID, "gates", r.Gates, &b.Gates)
}

// RunningBulkItems implements metadata.BulkTx.
func (t *tx) RunningBulkItems(ctx context.Context, owner string) (int, error) {
	mine := t.db.NewSelect().Table("bulks").Column("id").Where("owner = ?", owner).Where("ended_us IS NULL")
	n, err := t.db.NewSelect().Table("bulk_items").Where("bulk_id IN (?)", mine).Where("state = ?", string(metadata.ItemRunning)).Count(ctx)
	return int(n), unavailable(ctx, err, "count running items")
}

// StatusesOfTasks implements metadata.BulkTx.
func (t *tx) StatusesOfTasks(ctx context.Context, ids []string) (map[string]metadata.TaskStatus, error) {
	out := make(map[string]metadata.TaskStatus, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var rows []struct{ ID, Status string }
	err := t.db.NewSelect().Table("tasks").Column("id", "status").Where("id IN (?)", bun.In(ids)).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.ID] = metadata.TaskStatus(r.Status)
	}
	return out, unavailable(ctx, err, "read statuses of tasks")
}

// StageEvents implements metadata.BulkTx.
func (t *tx) StageEvents(ctx context.Context, after int64, taskIDs []string) ([]metadata.Event, error) {
	if len(taskIDs) == 0 {
		return nil, nil
	}
	var rows []eventRow
	err := t.db.NewSelect().Model(&rows).Where("task_id IN (?)", bun.In(taskIDs)).Where("seq > ?", after).
		Where("kind = ?", metadata.EventStage).Where("attempt > 0").Order("seq").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "read events of stages")
	}
	return each(rows, func(r eventRow) (metadata.Event, error) { return r.event(), nil })
}

// checkItem is check for an item.
func checkItem(it metadata.BulkItem) error {
	if it.N < 1 {
		return errcode.New(errcode.Internal, "an item of a bulk has the number %d", it.N)
	}
	return check("bulk item", it.BulkID, []column{
		{"bulk_id", it.BulkID, maxID}, {"key", it.Key, maxName}, {"host", it.Host, maxName}, {"store", it.Store, maxName},
		{"state", string(it.State), maxWord}, {"task_id", it.TaskID, maxID}, {"image_id", it.ImageID, maxID}, {"code", it.Code, maxWord},
		{"message", it.Message, maxText}, {"digest", it.Digest, maxID}, {"request", string(it.Request), maxText},
	})
}
