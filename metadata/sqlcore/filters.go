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

// mostJoined is how many marks are joined: SQLite joins 64 tables at most, and MariaDB 61.
const mostJoined = 16

// having narrows q to images with all tags and properties that are asked for. id is the
// column of the image's id in what is read before: each row's marks are looked up behind
// it, in this order, and images that do not have them are not read at all. An image has a
// mark once, so that no row is doubled. Of very many, the rest is looked up by itself.
func (l *imageList) having(q *bun.SelectQuery, id string) {
	n := 0
	mark := func(table, index string, is func(q *bun.SelectQuery, as string)) {
		as := fmt.Sprintf("mark%d", n)
		from := l.t.dialect.from(table, as, index)
		if n++; n <= mostJoined {
			q.Join("CROSS JOIN " + from).Where(as + ".image_id = " + id)
			is(q, as)
			return
		}
		has := l.t.db.NewSelect().TableExpr(from).ColumnExpr("1").Where(as + ".image_id = " + id)
		is(has, as)
		q.Where("EXISTS (?)", has)
	}
	for _, name := range slices.Sorted(maps.Keys(l.f.Properties)) {
		mark("image_properties", "image_properties_by_value", func(q *bun.SelectQuery, as string) {
			q.Where(as+".name = ?", name).Where(as+".value_hash = ?", valueHash(l.f.Properties[name]))
		})
	}
	for _, tag := range l.f.Tags {
		mark("image_tags", "", func(q *bun.SelectQuery, as string) { q.Where(as+".tag = ?", tag) })
	}
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
