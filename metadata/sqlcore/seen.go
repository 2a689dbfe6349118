package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// few is how many candidates are better looked at one by one than an index in the
// order of the list is read for those among them.
const few = 2000

// branches returns queries that together hold the images which the viewer sees, none
// twice, each of which a database can read in the list's order from one index: a
// condition with OR makes it read everything. Where something rare is asked for, one
// query over the images that have it does.
func (l *imageList) branches(ctx context.Context) ([]*bun.SelectQuery, error) {
	rare, err := l.rare(ctx)
	if err != nil {
		return nil, err
	}
	s := l.f.Seen
	if rare != nil {
		q := l.t.db.NewSelect().TableExpr("(?) AS d", rare)
		l.found(q, "d.image_id")
		if s != nil {
			visible(q, l.t, *s)
		}
		return []*bun.SelectQuery{q}, nil
	}
	var out []*bun.SelectQuery
	for _, part := range l.scopes() {
		q, err := l.within(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// found reads the images of ids that have all marks which are asked for. CROSS JOIN keeps
// SQLite from choosing another order; for others it is a join.
func (l *imageList) found(q *bun.SelectQuery, id string) {
	l.having(q, id)
	q.Join("CROSS JOIN images AS i").Where("i.id = " + id)
}

// scopes are the parts of what the viewer sees, none of which holds an image of another.
func (l *imageList) scopes() []scope {
	s := l.f.Seen
	if s == nil || s.All {
		return []scope{l.everything()}
	}
	var out []scope
	if l.f.Owner == "" || l.f.Owner == s.Project {
		out = append(out, scope{by: byOwner, where: func(q *bun.SelectQuery) { q.Where("i.owner = ?", s.Project) }})
	}
	if l.f.Owner == s.Project && s.Project != "" {
		return out
	}
	open := func(visibility string) scope {
		return scope{by: byVisibility, where: func(q *bun.SelectQuery) {
			q.Where("i.visibility = ?", visibility).Where("i.owner <> ?", s.Project)
		}}
	}
	if l.wants("public") {
		out = append(out, open("public"))
	}
	if s.Community && l.wants("community") {
		out = append(out, open("community"))
	}
	if l.wants(metadata.VisibilityShared) {
		shared := open(metadata.VisibilityShared)
		out = append(out, scope{by: byVisibility, members: s, where: shared.where})
	}
	if len(out) == 0 { // another owner's private images
		out = append(out, scope{where: func(q *bun.SelectQuery) { q.Where("1 = 0") }})
	}
	return out
}

// everything is what somebody sees who sees all, or what is listed for nobody.
func (l *imageList) everything() scope {
	out := scope{by: byNothing, where: func(q *bun.SelectQuery) {
		if l.f.Seen != nil {
			visible(q, l.t, *l.f.Seen)
		}
	}}
	switch {
	case l.f.Owner != "":
		out.by = byOwner
	case l.f.Visibility != "":
		out.by = byVisibility
	}
	return out
}

// wants reports whether images of a visibility are asked for.
func (l *imageList) wants(visibility string) bool {
	return l.f.Visibility == "" || l.f.Visibility == visibility
}

// memberStatus narrows a query of memberships.
func memberStatus(q *bun.SelectQuery, s metadata.Seen) {
	switch s.Member {
	case metadata.MemberAny:
	case "":
		q.Where("m.status = ?", string(metadata.MemberAccepted))
	default:
		q.Where("m.status = ?", string(s.Member))
	}
}

// membership asks whether an image is shared with somebody.
func membership(t *tx, s metadata.Seen) *bun.SelectQuery {
	member := t.db.NewSelect().TableExpr("image_members AS m").ColumnExpr("1").
		Where("m.image_id = i.id").Where("m.member = ?", s.Project)
	memberStatus(member, s)
	return member
}

// visible narrows a query of images to those that somebody sees.
func visible(q *bun.SelectQuery, t *tx, s metadata.Seen) {
	if s.All {
		if !s.Community {
			q.Where("(i.owner = ? OR i.visibility <> ?)", s.Project, "community")
		}
		return
	}
	open := []string{"public"}
	if s.Community {
		open = append(open, "community")
	}
	member := membership(t, s)
	q.Where("(i.owner = ? OR i.visibility IN (?) OR (i.visibility = ? AND EXISTS (?)))", s.Project, bun.In(open), metadata.VisibilityShared, member)
}

// rare returns the query of the ids of few images, of which all that the list can hold
// are, or nil if nothing rare is asked for. How many there are is counted, and no
// further than matters: not every database knows how often a value is there.
func (l *imageList) rare(ctx context.Context) (*bun.SelectQuery, error) {
	var best *bun.SelectQuery
	least := few + 1
	for _, candidates := range l.indexed() {
		n, err := l.count(ctx, candidates(), least)
		if err != nil {
			return nil, err
		}
		if n < least {
			best, least = candidates(), n
		}
		if least == 0 {
			break
		}
	}
	return best, nil
}

// indexed returns a query of image ids for each thing asked for that has an index.
func (l *imageList) indexed() []func() *bun.SelectQuery {
	var out []func() *bun.SelectQuery
	for _, tag := range l.f.Tags {
		out = append(out, func() *bun.SelectQuery {
			return l.t.db.NewSelect().TableExpr("image_tags AS g").ColumnExpr("g.image_id").Where("g.tag = ?", tag)
		})
	}
	for name, value := range l.f.Properties {
		out = append(out, func() *bun.SelectQuery {
			return l.t.db.NewSelect().TableExpr("image_properties AS p").ColumnExpr("p.image_id").
				Where("p.name = ?", name).Where("p.value_hash = ?", valueHash(value))
		})
	}
	for _, m := range l.f.Matches {
		switch m.Field {
		case metadata.FieldID, metadata.FieldName, metadata.FieldChecksum, metadata.FieldHashValue,
			metadata.FieldStatus, metadata.FieldDiskFormat, metadata.FieldContainerFormat:
			out = append(out, func() *bun.SelectQuery {
				q := l.t.db.NewSelect().TableExpr("images AS i").ColumnExpr("i.id AS image_id")
				col, _ := imageColumn(m.Field)
				oneOf(q, col, m.Values)
				return q
			})
		}
	}
	for _, r := range l.f.Ranges {
		switch r.Field {
		case metadata.FieldSize, metadata.FieldUpdatedAt, metadata.FieldCreatedAt:
			if r.Not || r.Min == nil && r.Max == nil {
				continue
			}
			out = append(out, func() *bun.SelectQuery {
				q := l.t.db.NewSelect().TableExpr("images AS i").ColumnExpr("i.id AS image_id")
				_ = inRange(q, r) // of fields that lists know
				return q
			})
		}
	}
	return out
}
