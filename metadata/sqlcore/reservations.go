package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

type reservationRow struct {
	bun.BaseModel `bun:"table:reservations"`

	TaskID    string `bun:"task_id,pk"`
	Kind      string `bun:"kind,pk"`
	Part      string `bun:"part,pk"`
	Owner     string `bun:"owner"`
	Place     string `bun:"place"`
	ObjectKey string `bun:"object_key"`
	SizeBytes int64  `bun:"size_bytes"`
	RoomBytes int64  `bun:"room_bytes"`
	CreatedUS int64  `bun:"created_us"`
	UpdatedUS int64  `bun:"updated_us"`
}

func (r reservationRow) reservation() metadata.Reservation {
	return metadata.Reservation{
		TaskID: r.TaskID, Kind: r.Kind, Part: r.Part, Owner: r.Owner, Place: r.Place, Key: r.ObjectKey,
		Bytes: r.SizeBytes, Room: r.RoomBytes, CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
}

func checkReservation(r metadata.Reservation) error {
	return check("reservation", r.TaskID, []column{
		{"task_id", r.TaskID, maxID}, {"kind", r.Kind, maxWord}, {"part", r.Part, maxName},
		{"owner", r.Owner, maxName}, {"place", r.Place, maxName}, {"key", r.Key, maxLong},
	})
}

// Reservations implements metadata.Tx.
func (t *tx) Reservations(ctx context.Context) ([]metadata.Reservation, error) {
	var rows []reservationRow
	if err := t.db.NewSelect().Model(&rows).Order("task_id", "kind", "part").Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list reservations")
	}
	return each(rows, func(r reservationRow) (metadata.Reservation, error) { return r.reservation(), nil })
}

// PutReservation implements metadata.Tx.
func (t *tx) PutReservation(ctx context.Context, r metadata.Reservation) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := checkReservation(r); err != nil {
		return err
	}
	row := reservationRow{TaskID: r.TaskID, Kind: r.Kind, Part: r.Part, Owner: r.Owner, Place: r.Place, ObjectKey: r.Key,
		SizeBytes: r.Bytes, RoomBytes: r.Room, CreatedUS: micros(r.CreatedAt), UpdatedUS: micros(r.UpdatedAt)}
	if _, err := t.db.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return unavailable(ctx, err, "replace reservation")
	}
	_, err := t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write reservation")
}

// DeleteReservations implements metadata.Tx.
func (t *tx) DeleteReservations(ctx context.Context, taskID string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Model((*reservationRow)(nil)).Where("task_id = ?", taskID).Exec(ctx)
	return unavailable(ctx, err, "delete reservations")
}

// Usage implements metadata.Tx.
func (t *tx) Usage(ctx context.Context, owner string) (metadata.Usage, error) {
	var u metadata.Usage
	var images []struct {
		Status string `bun:"status"`
		Count  int64  `bun:"n"`
		Bytes  int64  `bun:"total_bytes"`
	}
	err := t.db.NewSelect().Table("images").Column("status").ColumnExpr("COUNT(*) AS n").
		ColumnExpr("COALESCE(SUM(size_bytes), 0) AS total_bytes").
		Where("owner = ?", owner).Where("status <> ?", string(metadata.ImageDeleted)).Group("status").Scan(ctx, &images)
	if err != nil {
		return u, unavailable(ctx, err, "sum up images")
	}
	for _, row := range images {
		s := metadata.ImageStatus(row.Status)
		if s == metadata.ImageKilled { // has no bytes, and is in no list
			continue
		}
		if s != metadata.ImagePendingDelete { // hidden from its owner, and still there
			u.Images += row.Count
		}
		u.ImageBytes += row.Bytes
		if s == metadata.ImageSaving || s == metadata.ImageUploading {
			u.Uploading += row.Count
		}
	}
	var copies int64
	err = t.db.NewSelect().TableExpr("image_locations AS l").Join("JOIN images AS i ON i.id = l.image_id").
		ColumnExpr("COALESCE(SUM(i.size_bytes), 0)").
		Where("i.owner = ?", owner).Where("i.status NOT IN (?, ?)", string(metadata.ImageDeleted), string(metadata.ImageKilled)).Scan(ctx, &copies)
	if err != nil {
		return u, unavailable(ctx, err, "sum up copies")
	}
	u.ImageBytes += copies
	n, err := t.db.NewSelect().Table("tasks").Where("owner = ?", owner).
		Where("status IN (?, ?)", string(metadata.TaskPending), string(metadata.TaskProcessing)).Count(ctx)
	if err != nil {
		return u, unavailable(ctx, err, "count tasks")
	}
	u.Uploading += int64(n)
	var rows []reservationRow
	if err := t.db.NewSelect().Model(&rows).Where("owner = ?", owner).Scan(ctx); err != nil {
		return u, unavailable(ctx, err, "sum up reservations")
	}
	for _, r := range rows {
		switch r.Kind {
		case metadata.ReserveStage:
			u.StageBytes += r.SizeBytes
		case metadata.ReserveStore:
			u.Reserved += r.SizeBytes
		}
	}
	return u, nil
}
