package metadata

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ingest/internal/bandwidth"
	"ingest/internal/errcode"
	"ingest/internal/timewindow"
)

// itemsPerTx is how many items of a new bulk one transaction writes, so that others
// write between.
const itemsPerTx = 5000

// staleLoad is how old a bulk is whose items nobody is writing down any more.
const staleLoad = 10 * time.Minute

// MaxConcurrency bounds how many items of one bulk run at once.
const MaxConcurrency = 1000

// Check returns errcode.BadRequest for settings that mean nothing.
func (s BulkSettings) Check() error {
	for _, c := range []struct {
		field string
		value int
		most  int
	}{
		{"limits.concurrency", s.Limits.Concurrency, MaxConcurrency}, {"limits.per_host", s.Limits.PerHost, MaxConcurrency},
		{"limits.per_store", s.Limits.PerStore, MaxConcurrency}, {"limits.per_project", s.Limits.PerProject, MaxConcurrency},
		{"breaker.failures", s.Breaker.Failures, 1000},
	} {
		if c.value < 0 || c.value > c.most {
			return badSetting(c.field, fmt.Sprint(c.value), "expected 0 to %d", c.most)
		}
	}
	for _, c := range []struct {
		field string
		rate  bandwidth.Rate
	}{
		{"limits.bandwidth", s.Limits.Bandwidth}, {"limits.bandwidth_per_host", s.Limits.BandwidthPerHost},
		{"limits.bandwidth_per_store", s.Limits.BandwidthPerStore}, {"limits.bandwidth_per_project", s.Limits.BandwidthPerProject},
	} {
		if c.rate.Check() != nil {
			return badSetting(c.field, fmt.Sprint(int64(c.rate)), "expected %s", bandwidth.Takes)
		}
	}
	for _, c := range []struct {
		field string
		value float64
	}{{"breaker.pause_seconds", s.Breaker.Pause}, {"breaker.max_pause_seconds", s.Breaker.MaxPause}, {"breaker.give_up_seconds", s.Breaker.GiveUp}} {
		if !(c.value >= 0 && c.value <= 30*86400) {
			return badSetting(c.field, fmt.Sprint(c.value), "expected 0 to %d seconds", 30*86400)
		}
	}
	if s.OnFailure != "" && s.OnFailure != OnFailureContinue && s.OnFailure != OnFailureStop {
		return badSetting("on_failure", s.OnFailure, "expected %s or %s", OnFailureContinue, OnFailureStop)
	}
	_, err := timewindow.Parse(s.Windows)
	return err
}

func badSetting(field, value, format string, args ...any) error {
	return errcode.New(errcode.BadRequest, field+": "+format, args...).With(errcode.Evidence{Structure: "bulk", Field: field, Value: value})
}

// AddBulk writes a bulk and its items down, to be started by its workflow. A bulk of the
// same project and content that has not ended is returned instead, with existed true; one
// of the same name and other content is errcode.Conflict. Items that an earlier bulk has
// done, and whose images are active, are skipped, unless again is set.
func (c *Catalogue) AddBulk(ctx context.Context, b Bulk, items []BulkItem, again bool) (out Bulk, existed bool, err error) {
	if err := b.Settings.Check(); err != nil {
		return Bulk{}, false, err
	}
	old, err := c.openBulk(ctx, b, len(items))
	if err != nil || old != nil {
		if old != nil {
			b = *old
		}
		return b, old != nil, err
	}
	for part := range slices.Chunk(items, itemsPerTx) {
		if err := c.addItems(ctx, b.ID, part, again); err != nil {
			return Bulk{}, false, err
		}
	}
	out, err = update(ctx, c, func(tx Tx) (Bulk, error) {
		b, err := tx.Bulk(ctx, b.ID)
		if err != nil {
			return b, err
		}
		b.Status = BulkRunning
		return b, c.storeBulk(ctx, tx, b)
	})
	return out, false, err
}

// openBulk makes the row of a bulk that is being loaded, or returns the one that there is.
func (c *Catalogue) openBulk(ctx context.Context, b Bulk, total int) (*Bulk, error) {
	return update(ctx, c, func(tx Tx) (*Bulk, error) {
		all, err := tx.Bulks(ctx, BulkFilter{Owner: b.Owner, Unfinished: true})
		if err != nil {
			return nil, err
		}
		for _, old := range all {
			switch {
			case old.Status == BulkLoading && c.moment().Sub(old.UpdatedAt) > staleLoad:
				err = tx.DeleteBulk(ctx, old.ID)
			case old.Digest == b.Digest && old.Name == b.Name && old.Status != BulkLoading:
				return &old, nil
			case b.Name != "" && old.Name == b.Name:
				err = errcode.New(errcode.Conflict, "bulk %s of the name %q is %s, and asks for something else", old.ID, old.Name, string(old.Status)).
					With(errcode.Evidence{Structure: "bulk", Field: "name", Value: old.Name})
			}
			if err != nil {
				return nil, err
			}
		}
		if _, err := tx.Bulk(ctx, b.ID); !isNotFound(err) {
			if err == nil {
				err = errcode.New(errcode.Conflict, "bulk %s exists already", b.ID)
			}
			return nil, err
		}
		b.Status, b.Total, b.CreatedAt = BulkLoading, total, c.moment()
		return nil, c.storeBulk(ctx, tx, b)
	})
}

// addItems writes some items of a bulk down.
func (c *Catalogue) addItems(ctx context.Context, bulkID string, items []BulkItem, again bool) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		rows := slices.Clone(items)
		done := map[string]BulkItem{}
		for part := range slices.Chunk(rows, 500) {
			if again {
				break
			}
			digests := make([]string, 0, len(part))
			for _, it := range part {
				digests = append(digests, it.Digest)
			}
			found, err := tx.DoneBulkItems(ctx, digests)
			if err != nil {
				return err
			}
			for digest, it := range found {
				done[digest] = it
			}
		}
		now := c.moment()
		for i := range rows {
			it := &rows[i]
			it.BulkID, it.State = bulkID, ItemPending
			if it.SameAs > 0 {
				it.State = ItemWaiting
			}
			if old, ok := done[it.Digest]; ok {
				it.State, it.SameAs, it.TaskID, it.ImageID, it.EndedAt = ItemSkipped, 0, old.TaskID, old.ImageID, &now
				it.Message = fmt.Sprintf("item %d of bulk %s has done this already", old.N, old.BulkID)
			}
		}
		if b, err := tx.Bulk(ctx, bulkID); err != nil {
			return err
		} else if err := c.storeBulk(ctx, tx, b); err != nil { // it is being loaded still
			return err
		}
		return tx.AddBulkItems(ctx, rows)
	})
}

// storeBulk stores a changed bulk.
func (c *Catalogue) storeBulk(ctx context.Context, tx Tx, b Bulk) error {
	b.UpdatedAt = c.moment()
	return tx.PutBulk(ctx, b)
}

// Bulk returns a bulk.
func (c *Catalogue) Bulk(ctx context.Context, id string) (Bulk, error) {
	return view(ctx, c, func(tx Tx) (Bulk, error) { return tx.Bulk(ctx, id) })
}

// Bulks lists bulks, newest first.
func (c *Catalogue) Bulks(ctx context.Context, f BulkFilter) ([]Bulk, error) {
	return view(ctx, c, func(tx Tx) ([]Bulk, error) { return tx.Bulks(ctx, f) })
}

// BulkItems lists items of a bulk.
func (c *Catalogue) BulkItems(ctx context.Context, id string, f ItemFilter) ([]BulkItem, error) {
	return view(ctx, c, func(tx Tx) ([]BulkItem, error) { return tx.BulkItems(ctx, id, f) })
}

// BulkCounts counts a bulk's items by state.
func (c *Catalogue) BulkCounts(ctx context.Context, id string) ([]BulkCount, error) {
	return view(ctx, c, func(tx Tx) ([]BulkCount, error) { return tx.BulkCounts(ctx, id) })
}

// RemoveBulk removes the record of a bulk. Its images and tasks stay.
func (c *Catalogue) RemoveBulk(ctx context.Context, id string) error {
	return c.repo.InTx(ctx, func(tx Tx) error { return tx.DeleteBulk(ctx, id) })
}

// DropStaleBulks removes bulks whose loading was cut off.
func (c *Catalogue) DropStaleBulks(ctx context.Context) error {
	all, err := c.Bulks(ctx, BulkFilter{Unfinished: true})
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Status != BulkLoading || c.moment().Sub(b.UpdatedAt) <= staleLoad {
			continue
		}
		if err := c.repo.InTx(ctx, func(tx Tx) error { return tx.DeleteBulk(ctx, b.ID) }); err != nil {
			return err
		}
	}
	return nil
}
