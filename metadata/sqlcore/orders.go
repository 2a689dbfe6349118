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

// imageColumn is the column of a field that lists know.
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
		switch o.Field {
		case metadata.FieldSize:
			expr = "i.size_order"
		case metadata.FieldVirtualSize:
			expr = "COALESCE(" + expr + ", -1)"
		}
		out = append(out, sortKey{expr, o.Desc})
		if o.Field == metadata.FieldID {
			break // what comes behind cannot matter
		}
	}
	return out, nil
}

func (k sortKey) direction() string {
	if k.desc {
		return " DESC"
	}
	return " ASC"
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
		if strings.Contains(k.expr, "_bytes") || k.expr == "i.size_order" || strings.Contains(k.expr, "_us") {
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
