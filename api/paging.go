package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// Page sizes, as in Glance.
const (
	defaultLimit = 25
	maxLimit     = 1000
)

// scanChunk is how many rows are read at once while looking for those that a
// filter keeps.
const scanChunk = 250

// An order is one key of a sort.
type order struct {
	key  string
	desc bool
}

// A page is what a client asks for of a list.
type page struct {
	limit  int
	marker string
	orders []order // empty: newest first
}

// parsePage reads limit, marker, and either sort or sort_key and sort_dir.
func parsePage(q url.Values, keys []string) (page, error) {
	p := page{limit: defaultLimit, marker: q.Get("marker")}
	if s := q.Get("limit"); q.Has("limit") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return p, badField("limit", s, "expected a number, 0 or greater")
		}
		p.limit = min(n, maxLimit)
	}
	var err error
	if q.Has("sort") {
		if q.Has("sort_key") || q.Has("sort_dir") {
			return p, badField("sort", q.Get("sort"), "sort and sort_key or sort_dir exclude each other")
		}
		for _, part := range strings.Split(q.Get("sort"), ",") {
			key, dir, _ := strings.Cut(strings.TrimSpace(part), ":")
			if p.orders, err = addOrder(p.orders, key, dir, keys); err != nil {
				return p, err
			}
		}
		return p, nil
	}
	dirs := q["sort_dir"]
	if len(dirs) > 1 && len(dirs) != len(q["sort_key"]) {
		return p, badField("sort_dir", "", "there are %d directions for %d keys", len(dirs), len(q["sort_key"]))
	}
	for i, key := range q["sort_key"] {
		dir := ""
		switch {
		case i < len(dirs):
			dir = dirs[i]
		case len(dirs) == 1: // one direction holds for all keys
			dir = dirs[0]
		}
		if p.orders, err = addOrder(p.orders, key, dir, keys); err != nil {
			return p, err
		}
	}
	if len(q["sort_key"]) == 0 && len(dirs) > 0 {
		if p.orders, err = addOrder(nil, "created_at", dirs[0], keys); err != nil {
			return p, err
		}
	}
	return p, nil
}

func addOrder(orders []order, key, dir string, keys []string) ([]order, error) {
	if !slices.Contains(keys, key) {
		return nil, badField("sort_key", key, "%q is not one of %s", key, strings.Join(keys, ", "))
	}
	if dir != "" && dir != "asc" && dir != "desc" {
		return nil, badField("sort_dir", dir, "expected asc or desc")
	}
	return append(orders, order{key, dir != "asc"}), nil
}

// tidy drops an order that the catalogue has by itself.
func tidy(p page) page {
	if len(p.orders) > 0 && p.orders[0] == (order{"created_at", true}) {
		p.orders = nil
	}
	return p
}

// A lister makes pages of rows that come newest first.
type lister[T any] struct {
	id    func(T) string
	fetch func(marker string, limit int) ([]T, error)
	keep  func(T) bool
	// compare orders two rows by one key, ascending.
	compare func(a, b T, key string) int
}

// page returns the rows that were asked for, and whether there are more.
func (l lister[T]) page(p page) ([]T, bool, error) {
	if len(p.orders) > 0 {
		return l.sorted(p)
	}
	var out []T
	for marker := p.marker; ; {
		rows, err := l.fetch(marker, scanChunk)
		if err != nil {
			return nil, false, err
		}
		for _, row := range rows {
			if !l.keep(row) {
				continue
			}
			if len(out) == p.limit {
				return out, p.limit > 0, nil
			}
			out = append(out, row)
		}
		if len(rows) < scanChunk {
			return out, false, nil
		}
		marker = l.id(rows[len(rows)-1])
	}
}

// sorted reads everything: another order than the catalogue's own needs it.
func (l lister[T]) sorted(p page) ([]T, bool, error) {
	rows, err := l.fetch("", 0)
	if err != nil {
		return nil, false, err
	}
	rows = slices.DeleteFunc(rows, func(row T) bool { return !l.keep(row) })
	slices.SortStableFunc(rows, func(a, b T) int {
		for _, o := range p.orders {
			if c := l.compare(a, b, o.key); c != 0 {
				if o.desc {
					return -c
				}
				return c
			}
		}
		return 0
	})
	if p.marker != "" {
		i := slices.IndexFunc(rows, func(row T) bool { return l.id(row) == p.marker })
		if i < 0 {
			return nil, false, errcode.New(errcode.BadRequest, "marker %q is not in the list", p.marker).
				With(errcode.Evidence{Structure: "request", Field: "marker", Value: p.marker})
		}
		rows = rows[i+1:]
	}
	n := min(p.limit, len(rows))
	return rows[:n], n > 0 && n < len(rows), nil
}

// firstURL is the relative URL of a list's first page.
func firstURL(r *http.Request) string { return listURL(r, "") }

// nextURL is the relative URL of the page that follows marker.
func nextURL(r *http.Request, marker string) string { return listURL(r, marker) }

func listURL(r *http.Request, marker string) string {
	q := r.URL.Query()
	q.Del("marker")
	if marker != "" {
		q.Set("marker", marker)
	}
	if len(q) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + q.Encode()
}
