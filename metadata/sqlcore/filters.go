package sqlcore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// checkFilter returns errcode.BadRequest for a text that no database could have kept, and
// that some do not even take in a query.
func checkFilter(f metadata.ImageFilter) error {
	columns := []column{{"owner", f.Owner, maxText}, {"name", f.Name, maxText}, {"visibility", f.Visibility, maxText}, {"marker", f.Marker, maxText}}
	for _, m := range f.Matches {
		for _, v := range m.Values {
			columns = append(columns, column{string(m.Field), v, maxText})
		}
	}
	for _, tag := range f.Tags {
		columns = append(columns, column{"tag", tag, maxText})
	}
	for name, value := range f.Properties {
		columns = append(columns, column{"properties", name, maxText}, column{"properties", value, maxText})
	}
	return check("filter", "of images", columns)
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
	l.behind(q)
	return nil
}

// mostJoined is how many marks of a kind are joined: SQLite joins 64 tables at most, and
// MariaDB 61. PostgreSQL looks for the best order of many for minutes.
const mostJoined = 6

// having narrows q to images with all tags and properties that are asked for. id is the
// column of the image's id in what is read before: each row's marks are looked up behind
// it, in this order, and images that do not have them are not read at all. An image has a
// mark once, so that no row is doubled. Of very many, the rest is counted.
func (l *imageList) having(q *bun.SelectQuery, id string) {
	n := 0
	next := func(table, index string) string {
		as := fmt.Sprintf("mark%d", n)
		n++
		q.Join("CROSS JOIN " + l.t.dialect.from(table, as, index)).Where(as + ".image_id = " + id)
		return as
	}
	names := slices.Sorted(maps.Keys(l.f.Properties))
	joined := min(len(names), mostJoined)
	for _, name := range names[:joined] {
		as := next("image_properties", "image_properties_by_value")
		q.Where(as+".name = ?", name).Where(as+".value_hash = ?", valueHash(l.f.Properties[name]))
	}
	if rest := names[joined:]; len(rest) > 0 {
		l.counted(q, "image_properties", id, len(rest), func(some *bun.SelectQuery) {
			for _, name := range rest {
				some.WhereOr("(c.name = ? AND c.value_hash = ?)", name, valueHash(l.f.Properties[name]))
			}
		})
	}
	tags := slices.Compact(slices.Sorted(slices.Values(l.f.Tags)))
	joined = min(len(tags), mostJoined)
	for _, tag := range tags[:joined] {
		q.Where(next("image_tags", "")+".tag = ?", tag)
	}
	if rest := tags[joined:]; len(rest) > 0 {
		l.counted(q, "image_tags", id, len(rest), func(some *bun.SelectQuery) { some.Where("c.tag IN (?)", bun.In(rest)) })
	}
}

// counted narrows q to images that have n of the marks that some are.
func (l *imageList) counted(q *bun.SelectQuery, table, id string, n int, some func(q *bun.SelectQuery)) {
	marks := l.t.db.NewSelect().TableExpr(table + " AS c").ColumnExpr("COUNT(*)").Where("c.image_id = " + id)
	marks.WhereGroup(" AND ", func(g *bun.SelectQuery) *bun.SelectQuery {
		some(g)
		return g
	})
	q.Where("(?) = ?", marks, n)
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
	if r.Field == metadata.FieldSize && !r.Not { // for its index; an unknown size is in no range
		least := int64(0)
		if r.Min != nil {
			least = max(*r.Min, 0)
		}
		col, r.Min = "i.size_order", &least
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
