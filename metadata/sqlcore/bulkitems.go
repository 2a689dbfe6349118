package sqlcore

import (
	"context"
	"slices"
	"strconv"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type bulkItemRow struct {
	bun.BaseModel `bun:"table:bulk_items"`

	BulkID    string `bun:"bulk_id,pk"`
	N         int64  `bun:"n,pk"`
	Key       string `bun:"item_key"`
	Host      string `bun:"source_host"`
	Store     string `bun:"store"`
	Urgency   int64  `bun:"urgency"`
	State     string `bun:"state"`
	SameAs    int64  `bun:"same_as"`
	TaskID    string `bun:"task_id"`
	ImageID   string `bun:"image_id"`
	Attempt   int64  `bun:"attempt"`
	Code      string `bun:"code"`
	Message   string `bun:"message"`
	Bytes     int64  `bun:"size_bytes"`
	StartedUS *int64 `bun:"started_us"`
	EndedUS   *int64 `bun:"ended_us"`
	Digest    string `bun:"digest"`
	Request   string `bun:"request"`
}

// changing are the columns of an item that PutBulkItem writes.
var changing = []string{"state", "same_as", "task_id", "image_id", "attempt", "code", "message", "size_bytes", "started_us", "ended_us"}

func newItemRow(it metadata.BulkItem) (bulkItemRow, error) {
	if err := checkItem(it); err != nil {
		return bulkItemRow{}, err
	}
	return bulkItemRow{
		BulkID: it.BulkID, N: int64(it.N), Key: it.Key, Host: it.Host, Store: it.Store, Urgency: int64(it.Urgency), State: string(it.State),
		SameAs: int64(it.SameAs), TaskID: it.TaskID, ImageID: it.ImageID, Attempt: int64(it.Attempt), Code: it.Code, Message: it.Message,
		Bytes: it.Bytes, StartedUS: microsPtr(it.StartedAt), EndedUS: microsPtr(it.EndedAt), Digest: it.Digest, Request: string(it.Request),
	}, nil
}

func (r bulkItemRow) item() (metadata.BulkItem, error) {
	return metadata.BulkItem{
		BulkID: r.BulkID, N: int(r.N), Key: r.Key, Host: r.Host, Store: r.Store, Urgency: int(r.Urgency), State: metadata.ItemState(r.State),
		SameAs: int(r.SameAs), TaskID: r.TaskID, ImageID: r.ImageID, Attempt: int(r.Attempt), Code: r.Code, Message: r.Message,
		Bytes: r.Bytes, StartedAt: momentPtr(r.StartedUS), EndedAt: momentPtr(r.EndedUS), Digest: r.Digest, Request: raw(r.Request),
	}, nil
}

func (t *tx) AddBulkItems(ctx context.Context, items []metadata.BulkItem) error {
	if err := t.writable(); err != nil {
		return err
	}
	for part := range slices.Chunk(items, itemsAtOnce) {
		rows, err := each(part, newItemRow)
		if err != nil {
			return err
		}
		if _, err := t.db.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return unavailable(ctx, err, "insert items of a bulk")
		}
	}
	return nil
}

func (t *tx) BulkItem(ctx context.Context, bulkID string, n int) (metadata.BulkItem, error) {
	var row bulkItemRow
	q := t.db.NewSelect().Model(&row).Where("bulk_id = ?", bulkID).Where("n = ?", n)
	if err := t.one(ctx, q, "item of a bulk", strconv.Itoa(n)); err != nil {
		return metadata.BulkItem{}, err
	}
	return row.item()
}

func (t *tx) BulkItems(ctx context.Context, bulkID string, f metadata.ItemFilter) ([]metadata.BulkItem, error) {
	rows, ok, err := t.turns(ctx, bulkID, f)
	if err != nil || ok {
		return items(rows, err)
	}
	q := t.db.NewSelect().Model(&rows).Where("bulk_id = ?", bulkID)
	inStates(q, f.States)
	equal(q, "source_host", f.Host)
	if f.After > 0 {
		q.Where("n > ?", f.After)
	}
	if len(f.NotHosts) > 0 {
		q.Where("source_host NOT IN (?)", bun.In(f.NotHosts))
	}
	if len(f.NotStores) > 0 {
		q.Where("store NOT IN (?)", bun.In(f.NotStores))
	}
	switch {
	case f.Turns:
		q.Order("urgency", "n")
	case len(f.States) > 0 && f.Limit <= 0:
		// A few of many: the sign keeps the database from going through all items in the
		// order of their numbers.
		q.OrderExpr("+n")
	default:
		q.Order("n")
	}
	if f.Limit > 0 {
		q.Limit(int64(f.Limit))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list items of a bulk")
	}
	return items(rows, nil)
}

func items(rows []bulkItemRow, err error) ([]metadata.BulkItem, error) {
	if err != nil {
		return nil, err
	}
	return each(rows, bulkItemRow.item)
}

// inStates narrows q to items in any of the states.
func inStates(q *bun.SelectQuery, states []metadata.ItemState) {
	switch len(states) {
	case 0:
	case 1:
		q.Where("state = ?", string(states[0]))
	default:
		q.Where("state IN (?)", bun.In(states))
	}
}

func (t *tx) PutBulkItem(ctx context.Context, it metadata.BulkItem) error {
	if err := t.writable(); err != nil {
		return err
	}
	row, err := newItemRow(it)
	if err != nil {
		return err
	}
	_, err = t.db.NewUpdate().Model(&row).Column(changing...).WherePK().Exec(ctx)
	return unavailable(ctx, err, "update item of a bulk")
}

func (t *tx) MoveBulkItems(ctx context.Context, bulkID string, m metadata.ItemMove) error {
	if err := t.writable(); err != nil {
		return err
	}
	if len(m.From) == 0 {
		return errcode.New(errcode.Internal, "items of a bulk are moved from no state")
	}
	q := t.db.NewUpdate().Table("bulk_items").
		Set("state = ?", string(m.To)).Set("code = ?", m.Code).Set("message = ?", m.Message).Set("ended_us = ?", microsPtr(m.EndedAt)).
		Where("bulk_id = ?", bulkID)
	if m.Host != "" {
		q.Where("source_host = ?", m.Host)
	}
	state := "state"
	if m.SameAs > 0 {
		q.Where("same_as = ?", m.SameAs)
		state = "COALESCE(state, '')" // few are of one source, and thousands may be in a state
	}
	q.Where(state+" IN (?)", bun.In(m.From))
	_, err := q.Exec(ctx)
	return unavailable(ctx, err, "move items of a bulk")
}

func (t *tx) BulkCounts(ctx context.Context, bulkID string) ([]metadata.BulkCount, error) {
	var rows []struct {
		State string
		Items int64
		Bytes int64
	}
	err := t.db.NewSelect().Table("bulk_items").Column("state").ColumnExpr("COUNT(*) AS items").ColumnExpr("SUM(size_bytes) AS bytes").
		Where("bulk_id = ?", bulkID).Group("state").Order("state").Scan(ctx, &rows)
	out := make([]metadata.BulkCount, 0, len(rows))
	for _, r := range rows {
		out = append(out, metadata.BulkCount{State: metadata.ItemState(r.State), Items: int(r.Items), Bytes: r.Bytes})
	}
	return out, unavailable(ctx, err, "count items of a bulk")
}

// DoneBulkItems implements metadata.BulkTx.
func (t *tx) DoneBulkItems(ctx context.Context, digests []string) (map[string]metadata.BulkItem, error) {
	out := map[string]metadata.BulkItem{}
	if len(digests) == 0 {
		return out, nil
	}
	var rows []bulkItemRow
	whole := t.db.NewSelect().Table("images").Column("id").Where("images.id = bulk_item_row.image_id").Where("status = ?", string(metadata.ImageActive))
	err := t.db.NewSelect().Model(&rows).ModelTableExpr("bulk_items AS bulk_item_row").Where("digest IN (?)", bun.In(digests)).
		Where("state = ?", string(metadata.ItemActive)).Where("EXISTS (?)", whole).Order("bulk_id", "n").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "look for items that are done")
	}
	for _, r := range rows {
		it, err := r.item()
		if err != nil {
			return nil, err
		}
		out[r.Digest] = it
	}
	return out, nil
}
