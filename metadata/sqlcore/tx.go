package sqlcore

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// tx is one run of a transaction.
type tx struct {
	db       bun.Tx
	dialect  Dialect
	readOnly bool
	// versions holds the row version of every row that this run has read or
	// written, by table and id.
	versions map[string]int64
	// copies holds the copies of every image that this run has read or written.
	copies map[string][]metadata.Copy
	// marks holds the tags and properties, as text, of every image that this run has
	// read or written.
	marks map[string]marked
}

var _ metadata.Tx = (*tx)(nil)

func (t *tx) Image(ctx context.Context, id string) (metadata.Image, error) {
	if check("image", id, []column{{"id", id, maxID}}) != nil { // not every database takes the question
		return metadata.Image{}, errcode.New(errcode.NotFound, "image %q does not exist", id)
	}
	var row imageRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "image", id); err != nil {
		return metadata.Image{}, err
	}
	img, err := t.seenImage(row)
	if err != nil {
		return metadata.Image{}, err
	}
	one := []metadata.Image{img}
	if err := t.addCopies(ctx, one); err != nil {
		return metadata.Image{}, err
	}
	return one[0], nil
}

func (t *tx) PutImage(ctx context.Context, img metadata.Image) error {
	row, err := newImageRow(img)
	if err != nil {
		return err
	}
	if err := t.put(ctx, "images", img.ID, &row, &row.RowVersion); err != nil {
		return err
	}
	if row.RowVersion == 1 { // it was inserted just now
		t.marks[img.ID], t.copies[img.ID] = marked{}, nil
	}
	if err := t.putMarks(ctx, img, marked{row.Tags, row.Properties}); err != nil {
		return err
	}
	return t.putCopies(ctx, img)
}

// RemoveImage implements metadata.Tx. Locations, provenance, members and marks go with
// the row they refer to.
func (t *tx) RemoveImage(ctx context.Context, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("images").Where("id = ?", id).Exec(ctx)
	delete(t.versions, "images/"+id)
	delete(t.copies, id)
	delete(t.marks, id)
	return unavailable(ctx, err, "remove image")
}

func (t *tx) Task(ctx context.Context, id string) (metadata.Task, error) {
	var row taskRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "task", id); err != nil {
		return metadata.Task{}, err
	}
	return t.seenTask(row)
}

func (t *tx) TaskByKey(ctx context.Context, owner, idempotencyKey string) (metadata.Task, error) {
	var row taskRow
	q := t.db.NewSelect().Model(&row).Where("owner = ?", owner).Where("idempotency_key = ?", idempotencyKey)
	if err := t.one(ctx, q, "task of idempotency key", idempotencyKey); err != nil {
		return metadata.Task{}, err
	}
	return t.seenTask(row)
}

func (t *tx) Tasks(ctx context.Context, f metadata.TaskFilter) ([]metadata.Task, error) {
	var rows []taskRow
	q := t.db.NewSelect().Model(&rows)
	equal(q, "owner", f.Owner)
	equal(q, "type", f.Type)
	equal(q, "status", string(f.Status))
	equal(q, "image_id", f.ImageID)
	if f.Result != "" {
		q.Where("result LIKE ?", `%"`+likeLiteral(f.Result)+`"%`)
	}
	if f.Unfinished {
		q.Where("status IN (?, ?)", string(metadata.TaskPending), string(metadata.TaskProcessing))
	}
	if f.ExpiredBefore != nil {
		q.Where("expires_us < ?", f.ExpiredBefore.UnixMicro()).
			Where("status IN (?, ?)", string(metadata.TaskSuccess), string(metadata.TaskFailure))
	}
	if f.LiveAt != nil {
		q.Where("(expires_us IS NULL OR expires_us > ?)", f.LiveAt.UnixMicro())
	}
	if err := t.page(ctx, q, "tasks", f.Owner, f.Marker, f.Limit); err != nil {
		return nil, err
	}
	return each(rows, t.seenTask)
}

func (t *tx) PutTask(ctx context.Context, task metadata.Task) error {
	row, err := newTaskRow(task)
	if err != nil {
		return err
	}
	return t.put(ctx, "tasks", task.ID, &row, &row.RowVersion)
}

func (t *tx) DeleteTask(ctx context.Context, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	if _, err := t.db.NewDelete().Table("events").Where("task_id = ?", id).Exec(ctx); err != nil {
		return unavailable(ctx, err, "delete events")
	}
	_, err := t.db.NewDelete().Table("tasks").Where("id = ?", id).Exec(ctx)
	delete(t.versions, "tasks/"+id)
	return unavailable(ctx, err, "delete task")
}

func (t *tx) AddEvent(ctx context.Context, e metadata.Event) error {
	if err := t.writable(); err != nil {
		return err
	}
	row, err := newEventRow(e)
	if err != nil {
		return err
	}
	if _, seen := t.versions["tasks/"+e.TaskID]; !seen {
		known, err := t.db.NewSelect().Table("tasks").Where("id = ?", e.TaskID).Exists(ctx)
		if err != nil {
			return unavailable(ctx, err, "read task of event")
		}
		if !known {
			return errcode.New(errcode.NotFound, "task %q does not exist", e.TaskID)
		}
	}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write event")
}

func (t *tx) Events(ctx context.Context, taskID string) ([]metadata.Event, error) {
	var rows []eventRow
	err := t.db.NewSelect().Model(&rows).Where("task_id = ?", taskID).Order("seq").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "read events")
	}
	return each(rows, func(r eventRow) (metadata.Event, error) { return r.event(), nil })
}

func (t *tx) LastEvent(ctx context.Context, taskID string, kinds ...string) (metadata.Event, error) {
	var row eventRow
	q := t.db.NewSelect().Model(&row).Where("task_id = ?", taskID).Where("kind IN (?)", bun.In(kinds)).Order("seq DESC").Limit(1)
	if err := t.one(ctx, q, "event of task", taskID); err != nil {
		return metadata.Event{}, err
	}
	return row.event(), nil
}

// one reads the single row of q.
func (t *tx) one(ctx context.Context, q *bun.SelectQuery, what, name string) error {
	err := q.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return errcode.New(errcode.NotFound, "%s %q does not exist", what, name)
	}
	return unavailable(ctx, err, "read "+what)
}

// page reads the rows of q that follow marker, newest first. Rows made at the
// same moment go by id, so that no page skips or repeats one.
func (t *tx) page(ctx context.Context, q *bun.SelectQuery, table, owner, marker string, limit int) error {
	if marker != "" {
		at := t.db.NewSelect().Table(table).Column("created_us").Where("id = ?", marker)
		equal(at, "owner", owner)
		var createdUS int64
		err := at.Scan(ctx, &createdUS)
		if errors.Is(err, sql.ErrNoRows) {
			return errcode.New(errcode.BadRequest, "marker %q is not among the %s", marker, table).
				With(errcode.Evidence{Field: "marker", Value: marker})
		}
		if err != nil {
			return unavailable(ctx, err, "read marker")
		}
		q.Where("(created_us < ? OR (created_us = ? AND id < ?))", createdUS, createdUS, marker)
	}
	if limit > 0 {
		q.Limit(int64(limit))
	}
	return unavailable(ctx, q.OrderExpr("created_us DESC, id DESC").Scan(ctx), "list "+table)
}

// put inserts a row, or replaces the version of it that this run has read.
func (t *tx) put(ctx context.Context, table, id string, row any, version *int64) error {
	if err := t.writable(); err != nil {
		return err
	}
	seen, known := t.versions[table+"/"+id]
	if !known {
		err := t.db.NewSelect().Table(table).Column("row_version").Where("id = ?", id).Scan(ctx, &seen)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return unavailable(ctx, err, "read version in "+table)
		}
	}
	*version = seen + 1
	if seen == 0 {
		if _, err := t.db.NewInsert().Model(row).Exec(ctx); err != nil {
			return unavailable(ctx, err, "insert into "+table)
		}
	} else {
		res, err := t.db.NewUpdate().Model(row).WherePK().Where("row_version = ?", seen).Exec(ctx)
		if err != nil {
			return unavailable(ctx, err, "update "+table)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return unavailable(ctx, err, "count rows of "+table)
		}
		if n != 1 {
			return errcode.Wrap(errStale, errcode.CatalogueBusy, "update %s", table)
		}
	}
	t.versions[table+"/"+id] = *version
	return nil
}

func (t *tx) writable() error {
	if t.readOnly {
		return errcode.New(errcode.Internal, "write to the catalogue in a transaction for reading")
	}
	return nil
}

func (t *tx) seenImage(row imageRow) (metadata.Image, error) {
	t.versions["images/"+row.ID] = row.RowVersion
	t.marks[row.ID] = marked{row.Tags, row.Properties}
	return row.image()
}

func (t *tx) seenTask(row taskRow) (metadata.Task, error) {
	t.versions["tasks/"+row.ID] = row.RowVersion
	return row.task()
}

// equal narrows q to rows with the value, unless that is empty.
func equal(q *bun.SelectQuery, column, value string) {
	if value != "" {
		q.Where("? = ?", bun.Ident(column), value)
	}
}

func each[R, T any](rows []R, turn func(R) (T, error)) ([]T, error) {
	out := make([]T, 0, len(rows))
	for _, row := range rows {
		v, err := turn(row)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// likeLiteral leaves of an id what stands for itself in a LIKE pattern in every
// dialect: letters, digits and hyphens, of which ids are made.
func likeLiteral(id string) string {
	return strings.Map(func(r rune) rune {
		if r == '%' || r == '_' || r == '\\' {
			return -1
		}
		return r
	}, id)
}
