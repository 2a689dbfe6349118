package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// by is what the images of a scope have in common.
type by string

const (
	byNothing    by = ""
	byOwner      by = "owner"
	byVisibility by = "visibility"
)

// A scope is a part of the images that a list is made of.
type scope struct {
	by    by
	where func(q *bun.SelectQuery)
	// members narrows it to images that are shared with somebody.
	members *metadata.Seen
}

// byAge is the order of a list that asks for none.
const byAge = "images_by_age"

// ordered are the indexes that have all images in the order of one key, then of age.
var ordered = map[string]string{
	"i.id": "images_by_id", "i.created_us": byAge, "i.name": "images_by_name", "i.size_order": "images_by_size", "i.updated_us": "images_by_update",
	"i.status": "images_by_status", "i.disk_format": "images_by_disk_format", "i.container_format": "images_by_container_format",
}

// alike are the keys by which very many images can be equal.
var alike = map[string]bool{"i.status": true, "i.disk_format": true, "i.container_format": true}

// order returns the index that has all images in the order of the list, "" if there is
// none. There is one for each key that clients sort by, and none for two of them: one that
// has the images in the order of the first key will do if few are equal in it, since a
// database sorts only these until the page is full.
func (l *imageList) order() string {
	first := l.keys[0].expr
	if alike[first] && !l.byOne() {
		return ""
	}
	return ordered[first]
}

// byOne reports whether the list is sorted by one key, and by age and id behind it, all
// of them in one direction.
func (l *imageList) byOne() bool {
	for _, k := range l.keys {
		if k.desc != l.keys[0].desc {
			return false
		}
	}
	return len(l.keys) == 3 && l.keys[1].expr == "i.created_us"
}

// within returns the query of a scope's images, read by the index by which its page is
// found soonest. A small scope is read whole and sorted. Of a large one, a page is soon
// full if all images are read in the list's order: so that not every order needs an index
// for every scope, but for those that most lists have, age and name.
func (l *imageList) within(ctx context.Context, s scope) (*bun.SelectQuery, error) {
	if s.members != nil {
		return l.shared(ctx, s)
	}
	index, err := l.index(ctx, s)
	q := l.read(s, index)
	l.having(q, "i.id")
	return q, err
}

func (l *imageList) read(s scope, index string) *bun.SelectQuery {
	q := l.t.db.NewSelect().TableExpr(l.t.dialect.from("images", "i", index))
	s.where(q)
	return q
}

// index is that by which a scope is read, "" if the database chooses.
func (l *imageList) index(ctx context.Context, s scope) (string, error) {
	f := l.f
	if f.Seen == nil || f.At != nil || f.Name != "" || f.HashValue != "" || f.DeletedBefore != nil {
		return "", nil // there are better ones
	}
	order := l.order()
	if s.by == byNothing {
		return order, nil
	}
	own := "images_by_" + string(s.by) // in the order of age
	switch order {
	case byAge, "":
		return own, nil
	case "images_by_name":
		return own + "_and_name", nil
	}
	some := l.read(s, own)
	if s.by == byOwner {
		equal(some, "i.owner", f.Owner)
	} else {
		equal(some, "i.visibility", f.Visibility)
	}
	n, err := l.count(ctx, some, few+1)
	if n > few {
		return order, err
	}
	return own, err
}

// shared returns the query of images that are shared with the viewer: beginning with the
// memberships, unless these are many.
func (l *imageList) shared(ctx context.Context, s scope) (*bun.SelectQuery, error) {
	members := l.t.db.NewSelect().TableExpr("image_members AS m").Where("m.member = ?", s.members.Project)
	memberStatus(members, *s.members)
	n, err := l.count(ctx, members, few+1)
	if err != nil {
		return nil, err
	}
	if order := l.order(); n > few && order != "" {
		q, err := l.within(ctx, scope{by: s.by, where: s.where})
		return q.Where("EXISTS (?)", membership(l.t, *s.members)), err
	}
	q := l.t.db.NewSelect().TableExpr("image_members AS m").Where("m.member = ?", s.members.Project)
	l.found(q, "m.image_id")
	s.where(q)
	memberStatus(q, *s.members)
	return q, nil
}

// count counts the rows of a query, and no further than most.
func (l *imageList) count(ctx context.Context, q *bun.SelectQuery, most int) (n int, err error) {
	err = l.t.db.NewSelect().TableExpr("(?) AS c", q.ColumnExpr("1").Limit(int64(most))).ColumnExpr("COUNT(*)").Scan(ctx, &n)
	return n, err
}
