package sqlcore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

type onceRow struct {
	bun.BaseModel `bun:"table:idempotency_keys"`

	Owner     string `bun:"owner,pk"`
	Key       string `bun:"idempotency_key,pk"`
	Request   string `bun:"request"`
	Answer    string `bun:"answer"`
	CreatedUS int64  `bun:"created_us"`
}

// Once implements metadata.OnceTx.
func (t *tx) Once(ctx context.Context, owner, key string) (metadata.Once, error) {
	var row onceRow
	q := t.db.NewSelect().Model(&row).Where("owner = ?", owner).Where("idempotency_key = ?", key)
	if err := t.one(ctx, q, "idempotency key", key); err != nil {
		return metadata.Once{}, err
	}
	return metadata.Once{Owner: row.Owner, Key: row.Key, Request: row.Request, Answer: json.RawMessage(row.Answer), CreatedAt: moment(row.CreatedUS)}, nil
}

// PutOnce implements metadata.OnceTx.
func (t *tx) PutOnce(ctx context.Context, o metadata.Once) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := check("idempotency key", o.Key, []column{
		{"owner", o.Owner, maxName}, {"key", o.Key, maxName}, {"request", o.Request, maxName}, {"answer", string(o.Answer), maxText},
	}); err != nil {
		return err
	}
	row := onceRow{Owner: o.Owner, Key: o.Key, Request: o.Request, Answer: string(o.Answer), CreatedUS: micros(o.CreatedAt)}
	_, err := t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write idempotency key")
}

// TrimOnce implements metadata.OnceTx.
func (t *tx) TrimOnce(ctx context.Context, before time.Time, owner string, keep int) error {
	if err := t.writable(); err != nil {
		return err
	}
	const table = "idempotency_keys"
	if _, err := t.db.NewDelete().Table(table).Where("created_us < ?", before.UnixMicro()).Exec(ctx); err != nil {
		return unavailable(ctx, err, "remove old idempotency keys")
	}
	var beyond []int64
	err := t.db.NewSelect().Table(table).Column("created_us").Where("owner = ?", owner).
		Order("created_us DESC").Offset(int64(keep)).Limit(1).Scan(ctx, &beyond)
	if err != nil || len(beyond) == 0 {
		return unavailable(ctx, err, "count idempotency keys")
	}
	_, err = t.db.NewDelete().Table(table).Where("owner = ?", owner).Where("created_us <= ?", beyond[0]).Exec(ctx)
	return unavailable(ctx, err, "remove idempotency keys")
}
