package sqlcore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// imageColumns are the columns of the fields that lists know.
func imageColumn(f metadata.ImageField) (string, error) {
	switch f {
	case metadata.FieldID, metadata.FieldName, metadata.FieldStatus, metadata.FieldDiskFormat, metadata.FieldContainerFormat, metadata.FieldChecksum:
		return "i." + string(f), nil
	case metadata.FieldHashAlgo:
		return "i.hash_algo", nil
	case metadata.FieldHashValue:
		return "i.hash_value", nil
	case metadata.FieldSize:
		return "i.size_bytes", nil
	case metadata.FieldVirtualSize:
		return "i.virtual_size_bytes", nil
	case metadata.FieldMinDisk:
		return "i.min_disk_gib", nil
	case metadata.FieldMinRAM:
		return "i.min_ram_mib", nil
	case metadata.FieldCreatedAt:
		return "i.created_us", nil
	case metadata.FieldUpdatedAt:
		return "i.updated_us", nil
	}
	return "", errcode.New(errcode.Internal, "images have no field %q to list by", string(f))
}

// A sortKey is one key of the whole order of a list; the last one is the id, so that no
// two images are equal.
type sortKey struct {
	expr string
	desc bool
}

// sortKeys completes an order. Numbers that may be missing count as -1: databases put
// nulls at different ends.
func sortKeys(orders []metadata.Order) ([]sortKey, error) {
	if len(orders) == 0 {
		orders = []metadata.Order{{Field: metadata.FieldCreatedAt, Desc: true}}
	}
	desc := len(orders) != 1 || orders[0].Desc
	var out []sortKey
	seen := map[metadata.ImageField]bool{}
	all := append(orders[:len(orders):len(orders)], metadata.Order{Field: metadata.FieldCreatedAt, Desc: desc}, metadata.Order{Field: metadata.FieldID, Desc: desc})
	for _, o := range all {
		if seen[o.Field] {
			continue
		}
		seen[o.Field] = true
		expr, err := imageColumn(o.Field)
		if err != nil {
			return nil, err
		}
		if o.Field == metadata.FieldSize || o.Field == metadata.FieldVirtualSize {
			expr = "COALESCE(" + expr + ", -1)"
		}
		out = append(out, sortKey{expr, o.Desc})
		if o.Field == metadata.FieldID {
			break // what comes behind cannot matter
		}
	}
	return out, nil
}

// Images implements metadata.Tx.
func (t *tx) Images(ctx context.Context, f metadata.ImageFilter) ([]metadata.Image, error) {
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

// marker reads where the marker stands in the order. One that the viewer does not see
// is answered like one that there is not.
func (l *imageList) marker(ctx context.Context) ([]any, error) {
	if l.f.Marker == "" {
		return nil, nil
	}
	q := l.t.db.NewSelect().TableExpr("images AS i").Where("i.id = ?", l.f.Marker)
	equal(q, "i.owner", l.f.Owner)
	if s := l.f.Seen; s != nil && !s.All {
		byID := metadata.Seen{Project: s.Project, Community: true, Member: metadata.MemberAny}
		visible(q, l.t, byID)
	}
	at := make([]any, len(l.keys))
	dest := make([]any, len(l.keys))
	for i, k := range l.keys {
		q.ColumnExpr(k.expr)
		if strings.Contains(k.expr, "_bytes") || strings.Contains(k.expr, "_us") {
			dest[i] = new(int64)
		} else {
			dest[i] = new(string)
		}
	}
	err := q.Scan(ctx, dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errcode.New(errcode.BadRequest, "marker %q is not among the images", l.f.Marker).
			With(errcode.Evidence{Structure: "request", Field: "marker", Value: l.f.Marker})
	}
	if err != nil {
		return nil, unavailable(ctx, err, "read marker")
	}
	for i, d := range dest {
		switch v := d.(type) {
		case *int64:
			at[i] = *v
		case *string:
			at[i] = *v
		}
	}
	return at, nil
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

func (k sortKey) direction() string {
	if k.desc {
		return " DESC"
	}
	return " ASC"
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

// narrow applies all that the filter says of an image itself.
func (l *imageList) narrow(q *bun.SelectQuery) error {
	f := l.f
	equal(q, "i.owner", f.Owner)
	equal(q, "i.name", f.Name)
	equal(q, "i.status", string(f.Status))
	equal(q, "i.disk_format", f.DiskFormat)
	equal(q, "i.visibility", f.Visibility)
	equal(q, "i.hash_value", f.HashValue)
	if f.At != nil {
		l.t.at(q, *f.At)
	}
	if f.Protected != nil {
		q.Where("i.protected = ?", *f.Protected)
	}
	if f.Hidden != nil {
		q.Where("i.is_hidden = ?", *f.Hidden)
	}
	l.alive(q)
	for _, m := range f.Matches {
		col, err := imageColumn(m.Field)
		if err != nil {
			return err
		}
		oneOf(q, col, m.Values)
	}
	for _, r := range f.Ranges {
		if err := inRange(q, r); err != nil {
			return err
		}
	}
	for name, value := range f.Properties {
		q.Where("EXISTS (SELECT 1 FROM image_properties AS p WHERE p.image_id = i.id AND p.name = ? AND p.value_hash = ?)", name, valueHash(value))
	}
	for _, tag := range f.Tags {
		q.Where("EXISTS (SELECT 1 FROM image_tags AS g WHERE g.image_id = i.id AND g.tag = ?)", tag)
	}
	l.behind(q)
	return nil
}

// alive leaves out what is deleted, unless it is asked for.
func (l *imageList) alive(q *bun.SelectQuery) {
	switch {
	case l.f.DeletedBefore != nil:
		q.Where("i.status = ?", string(metadata.ImageDeleted)).Where("i.deleted_us < ?", l.f.DeletedBefore.UnixMicro())
	case l.f.Seen != nil:
		q.Where("i.status NOT IN (?, ?)", string(metadata.ImageDeleted), string(metadata.ImageKilled))
		switch {
		case !l.asksFor(metadata.ImagePendingDelete):
			q.Where("i.status <> ?", string(metadata.ImagePendingDelete))
		case !l.f.Seen.All:
			q.Where("(i.status <> ? OR i.owner = ?)", string(metadata.ImagePendingDelete), l.f.Seen.Project)
		}
	case !l.f.Deleted:
		q.Where("i.status <> ?", string(metadata.ImageDeleted))
	}
}

// asksFor reports whether the filter names a status.
func (l *imageList) asksFor(s metadata.ImageStatus) bool {
	if l.f.Status == s {
		return true
	}
	for _, m := range l.f.Matches {
		for _, v := range m.Values {
			if m.Field == metadata.FieldStatus && v == string(s) {
				return true
			}
		}
	}
	return false
}

// behind leaves out what does not follow the marker. The first key is named twice: as a
// bound from which an index is read.
func (l *imageList) behind(q *bun.SelectQuery) {
	if l.after == nil {
		return
	}
	var text strings.Builder
	var args []any
	for i, k := range l.keys {
		op := " > ?"
		if k.desc {
			op = " < ?"
		}
		if i == 0 {
			text.WriteString(k.expr + strings.Replace(op, " ?", "= ? AND (", 1))
			args = append(args, l.after[i])
		}
		text.WriteString(k.expr + op)
		args = append(args, l.after[i])
		if i < len(l.keys)-1 {
			text.WriteString(" OR (" + k.expr + " = ? AND (")
			args = append(args, l.after[i])
		}
	}
	text.WriteString(strings.Repeat("))", len(l.keys)-1) + ")")
	q.Where(text.String(), args...)
}

// oneOf narrows q to rows whose column has one of the values.
func oneOf(q *bun.SelectQuery, column string, values []string) {
	switch len(values) {
	case 0:
		q.Where("1 = 0")
	case 1:
		q.Where(column+" = ?", values[0])
	default:
		q.Where(column+" IN (?)", bun.In(values))
	}
}

func inRange(q *bun.SelectQuery, r metadata.Range) error {
	col, err := imageColumn(r.Field)
	if err != nil {
		return err
	}
	lo, hi, join := " >= ?", " <= ?", " AND "
	if r.Not {
		lo, hi, join = " < ?", " > ?", " OR "
	}
	var parts []string
	var args []any
	if r.Min != nil {
		parts, args = append(parts, col+lo), append(args, *r.Min)
	}
	if r.Max != nil {
		parts, args = append(parts, col+hi), append(args, *r.Max)
	}
	switch {
	case len(parts) > 0:
		q.Where("("+strings.Join(parts, join)+")", args...)
	case r.Not:
		q.Where("1 = 0")
	default:
		q.Where(col + " IS NOT NULL")
	}
	return nil
}
