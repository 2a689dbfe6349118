package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type scheduleRow struct {
	bun.BaseModel `bun:"table:schedules"`

	ID         string `bun:"id,pk"`
	Owner      string `bun:"owner"`
	Name       string `bun:"name"`
	UserID     string `bun:"user_id"`
	Spec       string `bun:"spec"`
	Paused     bool   `bun:"paused"`
	Note       string `bun:"note"`
	Deleted    bool   `bun:"deleted"`
	Revision   int64  `bun:"revision"`
	Told       int64  `bun:"told"`
	Current    string `bun:"current_image"`
	Held       string `bun:"held"`
	CreatedUS  int64  `bun:"created_us"`
	UpdatedUS  int64  `bun:"updated_us"`
	RowVersion int64  `bun:"row_version"`
}

type versionRow struct {
	bun.BaseModel `bun:"table:schedule_versions"`

	ID         string `bun:"id,pk"`
	ScheduleID string `bun:"schedule_id"`
	TaskID     string `bun:"task_id"`
	Images     string `bun:"images"`
	Source     string `bun:"source"`
	Status     string `bun:"status"`
	CreatedUS  int64  `bun:"created_us"`
	UpdatedUS  int64  `bun:"updated_us"`
	RowVersion int64  `bun:"row_version"`
}

type runRow struct {
	bun.BaseModel `bun:"table:schedule_runs"`

	ID         string `bun:"id,pk"`
	ScheduleID string `bun:"schedule_id"`
	ImageID    string `bun:"image_id"`
	ByHand     bool   `bun:"by_hand"`
	Outcome    string `bun:"outcome"`
	Code       string `bun:"code"`
	Message    string `bun:"message"`
	CreatedUS  int64  `bun:"created_us"`
	UpdatedUS  int64  `bun:"updated_us"`
	RowVersion int64  `bun:"row_version"`
}

// Schedule implements metadata.ScheduleTx.
func (t *tx) Schedule(ctx context.Context, id string) (metadata.Schedule, error) {
	var row scheduleRow
	if check("schedule", id, []column{{"id", id, maxID}}) != nil { // not every database takes the question
		return metadata.Schedule{}, errcode.New(errcode.NotFound, "schedule %q does not exist", id)
	}
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", id), "schedule", id); err != nil {
		return metadata.Schedule{}, err
	}
	return t.seenSchedule(row)
}

// Schedules implements metadata.ScheduleTx.
func (t *tx) Schedules(ctx context.Context, f metadata.ScheduleFilter) ([]metadata.Schedule, error) {
	var rows []scheduleRow
	q := t.db.NewSelect().Model(&rows).Order("created_us", "id")
	equal(q, "owner", f.Owner)
	equal(q, "name", f.Name)
	if err := q.Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list schedules")
	}
	return each(rows, t.seenSchedule)
}

// PutSchedule implements metadata.ScheduleTx.
func (t *tx) PutSchedule(ctx context.Context, s metadata.Schedule) error {
	err := check("schedule", s.ID, []column{
		{"id", s.ID, maxID}, {"owner", s.Owner, maxName}, {"name", s.Name, maxName}, {"user_id", s.UserID, maxName},
		{"spec", string(s.Spec), maxText}, {"note", s.Note, maxLong}, {"current", s.Current, maxID}, {"held", string(s.Held), maxText},
	})
	if err != nil {
		return err
	}
	row := scheduleRow{
		ID: s.ID, Owner: s.Owner, Name: s.Name, UserID: s.UserID, Spec: string(s.Spec), Paused: s.Paused, Note: s.Note, Deleted: s.Deleted,
		Revision: s.Revision, Told: s.Told, Current: s.Current, Held: string(s.Held), CreatedUS: micros(s.CreatedAt), UpdatedUS: micros(s.UpdatedAt),
	}
	return t.put(ctx, "schedules", s.ID, &row, &row.RowVersion)
}

// DeleteSchedule implements metadata.ScheduleTx. Versions and runs go with the row that
// they refer to.
func (t *tx) DeleteSchedule(ctx context.Context, id string) error {
	return t.remove(ctx, "schedules", id)
}

// Version implements metadata.ScheduleTx.
func (t *tx) Version(ctx context.Context, imageID string) (metadata.Version, error) {
	var row versionRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", imageID), "version", imageID); err != nil {
		return metadata.Version{}, err
	}
	return t.seenVersion(row)
}

// Versions implements metadata.ScheduleTx.
func (t *tx) Versions(ctx context.Context, scheduleID string) ([]metadata.Version, error) {
	var rows []versionRow
	err := t.db.NewSelect().Model(&rows).Where("schedule_id = ?", scheduleID).OrderExpr("created_us DESC, id DESC").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "list versions")
	}
	return each(rows, t.seenVersion)
}

// PutVersion implements metadata.ScheduleTx.
func (t *tx) PutVersion(ctx context.Context, v metadata.Version) error {
	images, err := encode("version", "images", v.Images, len(v.Images) == 0)
	if err != nil {
		return err
	}
	err = check("version", v.ID, []column{
		{"id", v.ID, maxID}, {"schedule_id", v.ScheduleID, maxID}, {"task_id", v.TaskID, maxID}, {"images", images, maxText},
		{"source", string(v.Source), maxText}, {"status", v.Status, maxWord},
	})
	if err != nil {
		return err
	}
	row := versionRow{
		ID: v.ID, ScheduleID: v.ScheduleID, TaskID: v.TaskID, Images: images, Source: string(v.Source), Status: v.Status,
		CreatedUS: micros(v.CreatedAt), UpdatedUS: micros(v.UpdatedAt),
	}
	return t.put(ctx, "schedule_versions", v.ID, &row, &row.RowVersion)
}

// DeleteVersion implements metadata.ScheduleTx.
func (t *tx) DeleteVersion(ctx context.Context, imageID string) error {
	return t.remove(ctx, "schedule_versions", imageID)
}

// Run implements metadata.ScheduleTx.
func (t *tx) Run(ctx context.Context, taskID string) (metadata.Run, error) {
	var row runRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("id = ?", taskID), "run", taskID); err != nil {
		return metadata.Run{}, err
	}
	return t.seenRun(row)
}

// Runs implements metadata.ScheduleTx.
func (t *tx) Runs(ctx context.Context, scheduleID string, limit int) ([]metadata.Run, error) {
	var rows []runRow
	q := t.db.NewSelect().Model(&rows).Where("schedule_id = ?", scheduleID).OrderExpr("created_us DESC, id DESC")
	if limit > 0 {
		q.Limit(int64(limit))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list runs")
	}
	return each(rows, t.seenRun)
}

// PutRun implements metadata.ScheduleTx.
func (t *tx) PutRun(ctx context.Context, r metadata.Run) error {
	err := check("run", r.ID, []column{
		{"id", r.ID, maxID}, {"schedule_id", r.ScheduleID, maxID}, {"image_id", r.ImageID, maxID}, {"outcome", r.Outcome, maxWord},
		{"code", string(r.Code), maxWord}, {"message", r.Message, maxText},
	})
	if err != nil {
		return err
	}
	row := runRow{
		ID: r.ID, ScheduleID: r.ScheduleID, ImageID: r.ImageID, ByHand: r.ByHand, Outcome: r.Outcome, Code: string(r.Code), Message: r.Message,
		CreatedUS: micros(r.CreatedAt), UpdatedUS: micros(r.UpdatedAt),
	}
	return t.put(ctx, "schedule_runs", r.ID, &row, &row.RowVersion)
}

// TrimRuns implements metadata.ScheduleTx.
func (t *tx) TrimRuns(ctx context.Context, scheduleID string, keep int) error {
	if err := t.writable(); err != nil {
		return err
	}
	var beyond []string
	err := t.db.NewSelect().Table("schedule_runs").Column("id").Where("schedule_id = ?", scheduleID).
		OrderExpr("created_us DESC, id DESC").Limit(1000).Offset(int64(keep)).Scan(ctx, &beyond)
	if err != nil || len(beyond) == 0 {
		return unavailable(ctx, err, "count runs")
	}
	_, err = t.db.NewDelete().Table("schedule_runs").Where("id IN (?)", bun.In(beyond)).Exec(ctx)
	for _, id := range beyond {
		delete(t.versions, "schedule_runs/"+id)
	}
	return unavailable(ctx, err, "remove old runs")
}

// remove deletes a row, if there is one.
func (t *tx) remove(ctx context.Context, table, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table(table).Where("id = ?", id).Exec(ctx)
	delete(t.versions, table+"/"+id)
	return unavailable(ctx, err, "remove from "+table)
}

func (t *tx) seenSchedule(r scheduleRow) (metadata.Schedule, error) {
	t.versions["schedules/"+r.ID] = r.RowVersion
	return metadata.Schedule{
		ID: r.ID, Owner: r.Owner, Name: r.Name, UserID: r.UserID, Spec: raw(r.Spec), Paused: r.Paused, Note: r.Note, Deleted: r.Deleted,
		Revision: r.Revision, Told: r.Told, Current: r.Current, Held: raw(r.Held), CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}, nil
}

func (t *tx) seenVersion(r versionRow) (metadata.Version, error) {
	t.versions["schedule_versions/"+r.ID] = r.RowVersion
	v := metadata.Version{
		ID: r.ID, ScheduleID: r.ScheduleID, TaskID: r.TaskID, Source: raw(r.Source), Status: r.Status,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
	return v, decode("version "+r.ID, "images", r.Images, &v.Images)
}

func (t *tx) seenRun(r runRow) (metadata.Run, error) {
	t.versions["schedule_runs/"+r.ID] = r.RowVersion
	return metadata.Run{
		ID: r.ID, ScheduleID: r.ScheduleID, ImageID: r.ImageID, ByHand: r.ByHand, Outcome: r.Outcome, Code: errcode.Code(r.Code),
		Message: r.Message, CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}, nil
}
