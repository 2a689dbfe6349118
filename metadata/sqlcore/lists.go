package sqlcore

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// Images implements metadata.Tx.
func (t *tx) Images(ctx context.Context, f metadata.ImageFilter) ([]metadata.Image, error) {
	if err := checkFilter(f); err != nil {
		return nil, err
	}
	l := &imageList{t: t, f: f}
	var err error
	if l.keys, err = sortKeys(f.Sort); err != nil {
		return nil, err
	}
	if l.after, err = l.marker(ctx); err != nil {
		return nil, err
	}
	var rows []imageRow
	if f.Seen == nil && f.Limit == 0 {
		q := t.db.NewSelect().Model(&rows)
		l.having(q, "i.id")
		if err = l.narrow(q); err == nil {
			err = l.sorted(q).Scan(ctx)
		}
	} else {
		rows, err = l.page(ctx)
	}
	if err != nil {
		return nil, unavailable(ctx, err, "list images")
	}
	images, err := each(rows, t.seenImage)
	if err != nil {
		return nil, err
	}
	return images, t.addCopies(ctx, images)
}

// An imageList is one query of images.
type imageList struct {
	t     *tx
	f     metadata.ImageFilter
	keys  []sortKey
	after []any // the marker's value of each key, nil without marker
}

// page reads the ids of a page first, from indexes as far as that is possible, and then
// the rows.
func (l *imageList) page(ctx context.Context) ([]imageRow, error) {
	branches, err := l.branches(ctx)
	if err != nil {
		return nil, err
	}
	var parts []string
	var args []any
	for n, q := range branches {
		if err := l.narrow(q); err != nil {
			return nil, err
		}
		q.ColumnExpr("i.id AS id")
		for k, key := range l.keys {
			q.ColumnExpr(fmt.Sprintf("%s AS k%d", key.expr, k))
		}
		parts = append(parts, fmt.Sprintf("SELECT * FROM (?) AS b%d", n))
		args = append(args, l.sorted(q))
	}
	whole := l.t.db.NewSelect().TableExpr("("+strings.Join(parts, " UNION ALL ")+") AS page", args...).Column("page.id")
	for k, key := range l.keys {
		whole.OrderExpr(fmt.Sprintf("page.k%d%s", k, key.direction()))
	}
	if l.f.Limit > 0 {
		whole.Limit(int64(l.f.Limit))
	}
	var ids []string
	if err := whole.Scan(ctx, &ids); err != nil {
		return nil, err
	}
	return l.t.imageRows(ctx, ids)
}

// imageRows reads the rows of ids, in their order.
func (t *tx) imageRows(ctx context.Context, ids []string) ([]imageRow, error) {
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		at[id] = i
	}
	out := make([]imageRow, len(ids))
	for from := 0; from < len(ids); from += idsAtOnce {
		var rows []imageRow
		err := t.db.NewSelect().Model(&rows).Where("id IN (?)", bun.In(ids[from:min(from+idsAtOnce, len(ids))])).Scan(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			out[at[row.ID]] = row
		}
	}
	return out, nil
}

// sorted puts a query of images into the list's order.
func (l *imageList) sorted(q *bun.SelectQuery) *bun.SelectQuery {
	for _, k := range l.keys {
		q.OrderExpr(k.expr + k.direction())
	}
	if l.f.Limit > 0 {
		q.Limit(int64(l.f.Limit))
	}
	return q
}
