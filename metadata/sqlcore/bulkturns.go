package sqlcore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// mostGroups is how many groups of items are asked one by one which of theirs begin next.
const mostGroups = 64

// A group is the items of one host that go into one store.
type group struct {
	Host  string `bun:"source_host"`
	Store string `bun:"store"`
}

// turns are the items in a state that begin next, of those groups that the filter does not
// leave out. Each group is asked by itself: a query that goes through all items in their
// order reads every item of a host that is left out, and often that is all there are. ok is
// false if there are too many groups for that.
func (t *tx) turns(ctx context.Context, bulkID string, f metadata.ItemFilter) (rows []bulkItemRow, ok bool, err error) {
	if !f.Turns || f.Limit <= 0 || f.After > 0 || f.Host != "" || len(f.States) != 1 || len(f.NotHosts)+len(f.NotStores) == 0 {
		return nil, false, nil
	}
	groups, err := t.groups(ctx, bulkID, f)
	if err != nil || len(groups) > mostGroups {
		return nil, false, err
	}
	for _, g := range groups {
		var part []bulkItemRow
		err := t.db.NewSelect().Model(&part).Where("bulk_id = ?", bulkID).Where("state = ?", string(f.States[0])).
			Where("source_host = ?", g.Host).Where("store = ?", g.Store).Order("urgency", "n").Limit(int64(f.Limit)).Scan(ctx)
		if err != nil {
			return nil, false, unavailable(ctx, err, "list items of a bulk")
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b bulkItemRow) int {
		return cmp.Or(cmp.Compare(a.Urgency, b.Urgency), cmp.Compare(a.N, b.N))
	})
	return rows[:min(len(rows), f.Limit)], true, nil
}

// groups lists the groups that the filter does not leave out, or more than mostGroups of
// them. From each the index leads to the next one, however many items it has.
func (t *tx) groups(ctx context.Context, bulkID string, f metadata.ItemFilter) ([]group, error) {
	next := func(narrow func(*bun.SelectQuery)) (g group, found bool, err error) {
		q := t.db.NewSelect().Table("bulk_items").Column("source_host", "store").Where("bulk_id = ?", bulkID).Where("state = ?", string(f.States[0]))
		narrow(q)
		err = q.Order("source_host", "store").Limit(1).Scan(ctx, &g)
		if errors.Is(err, sql.ErrNoRows) {
			return g, false, nil
		}
		return g, err == nil, unavailable(ctx, err, "list hosts of a bulk")
	}
	var out []group
	behind := func(*bun.SelectQuery) {} // the hosts that have been asked
	for {
		g, found, err := next(behind)
		if err != nil || !found {
			return out, err
		}
		host := g.Host
		behind = func(q *bun.SelectQuery) { q.Where("source_host > ?", host) }
		for found && !slices.Contains(f.NotHosts, host) {
			if !slices.Contains(f.NotStores, g.Store) {
				out = append(out, g)
			}
			if len(out) > mostGroups {
				return out, nil
			}
			store := g.Store
			g, found, err = next(func(q *bun.SelectQuery) { q.Where("source_host = ?", host).Where("store > ?", store) })
			if err != nil {
				return nil, err
			}
		}
	}
}
