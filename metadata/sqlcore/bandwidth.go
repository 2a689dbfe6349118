package sqlcore

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

type bandwidthRow struct {
	bun.BaseModel `bun:"table:bandwidth_shares"`

	Key       string `bun:"budget_key,pk"`
	Worker    string `bun:"worker,pk"`
	Want      int64  `bun:"wanted"`
	Granted   int64  `bun:"granted"`
	RenewedUS int64  `bun:"renewed_us"`
}

// BandwidthShares implements metadata.BandwidthTx.
func (t *tx) BandwidthShares(ctx context.Context, keys []string) ([]metadata.BandwidthShare, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var rows []bandwidthRow
	if err := t.db.NewSelect().Model(&rows).Where("budget_key IN (?)", bun.In(keys)).Order("budget_key", "worker").Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list shares of bandwidth")
	}
	return each(rows, func(r bandwidthRow) (metadata.BandwidthShare, error) {
		return metadata.BandwidthShare{Key: r.Key, Worker: r.Worker, Want: r.Want, Granted: r.Granted, Renewed: moment(r.RenewedUS)}, nil
	})
}

// PutBandwidthShare implements metadata.BandwidthTx.
func (t *tx) PutBandwidthShare(ctx context.Context, s metadata.BandwidthShare) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := check("share of bandwidth", s.Worker, []column{{"key", s.Key, maxID}, {"worker", s.Worker, maxID}}); err != nil {
		return err
	}
	row := bandwidthRow{Key: s.Key, Worker: s.Worker, Want: s.Want, Granted: s.Granted, RenewedUS: micros(s.Renewed)}
	res, err := t.db.NewUpdate().Model(&row).WherePK().Exec(ctx)
	if err != nil {
		return unavailable(ctx, err, "update share of bandwidth")
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return unavailable(ctx, err, "count shares of bandwidth")
	}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write share of bandwidth")
}

// DropBandwidthShares implements metadata.BandwidthTx.
func (t *tx) DropBandwidthShares(ctx context.Context, before time.Time) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Model((*bandwidthRow)(nil)).Where("renewed_us < ?", micros(before)).Exec(ctx)
	return unavailable(ctx, err, "drop shares of bandwidth")
}

// BulkItemOfTask implements metadata.BandwidthTx.
func (t *tx) BulkItemOfTask(ctx context.Context, taskID string) (metadata.BulkItem, error) {
	var row bulkItemRow
	q := t.db.NewSelect().Model(&row).ExcludeColumn("request").Where("task_id = ?", taskID).Order("bulk_id", "n").Limit(1)
	if err := t.one(ctx, q, "item of the task", taskID); err != nil {
		return metadata.BulkItem{}, err
	}
	return row.item()
}
