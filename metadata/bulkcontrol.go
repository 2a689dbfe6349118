package metadata

import (
	"context"
	"encoding/json"
	"slices"

	"ingest/internal/errcode"
)

// What can be done with a bulk.
const (
	BulkPause  = "pause"  // begin nothing more; what runs goes on
	BulkResume = "resume" // go on
	BulkCancel = "cancel" // let what runs go on to its end, and give the rest up
	BulkAbort  = "abort"  // cancel what runs too
	BulkRetry  = "retry"  // try again what has failed or was given up, and only that
	BulkSet    = "set"    // change the settings
)

// A BulkChange is something to be done with a bulk.
type BulkChange struct {
	Do string `json:"do"`
	// Settings has, for BulkSet, the members that change: those that it leaves out stay
	// as they are.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// ChangeBulk does something with a bulk and returns it. What changes nothing is none;
// what cannot be done is errcode.Conflict. The workflow must hear of a change: its
// Revision is higher than what was Told.
func (c *Catalogue) ChangeBulk(ctx context.Context, id string, ch BulkChange) (Bulk, error) {
	return update(ctx, c, func(tx Tx) (Bulk, error) {
		b, err := tx.Bulk(ctx, id)
		if err != nil {
			return b, err
		}
		changed, err := c.changeBulk(ctx, tx, &b, ch)
		if err != nil || !changed {
			return b, err
		}
		b.Revision++
		return b, c.storeBulk(ctx, tx, b)
	})
}

func (c *Catalogue) changeBulk(ctx context.Context, tx Tx, b *Bulk, ch BulkChange) (bool, error) {
	was := b.Status
	ended := was.Finished()
	switch {
	case was == BulkLoading:
		return false, refusedChange(*b, ch.Do)
	case ch.Do == BulkRetry && (ended || was == BulkRunning || was == BulkPaused):
		return c.retryBulk(ctx, tx, b)
	case ended:
		return false, refusedChange(*b, ch.Do)
	case ch.Do == BulkSet:
		return setBulk(b, ch.Settings)
	case ch.Do == BulkPause && (was == BulkRunning || was == BulkPaused):
		b.Status = BulkPaused
	case ch.Do == BulkResume && (was == BulkPaused || was == BulkRunning):
		b.Status = BulkRunning
	case ch.Do == BulkCancel && was != BulkAborting:
		b.Status = BulkCancelling
	case ch.Do == BulkAbort:
		b.Status = BulkAborting
	default:
		return false, refusedChange(*b, ch.Do)
	}
	return b.Status != was, nil
}

func refusedChange(b Bulk, do string) error {
	return errcode.New(errcode.Conflict, "bulk %s is %s: %q is not possible", b.ID, string(b.Status), do).
		With(errcode.Evidence{Structure: "bulk", Field: "status", Value: string(b.Status)})
}

// retryBulk lets what has failed or was given up have another turn.
func (c *Catalogue) retryBulk(ctx context.Context, tx Tx, b *Bulk) (bool, error) {
	counts, err := tx.BulkCounts(ctx, b.ID)
	if err != nil {
		return false, err
	}
	again := []ItemState{ItemFailed, ItemCancelled}
	n := 0
	for _, count := range counts {
		if slices.Contains(again, count.State) {
			n += count.Items
		}
	}
	if n == 0 {
		return false, errcode.New(errcode.Conflict, "bulk %s has no item that has failed or was cancelled", b.ID).
			With(errcode.Evidence{Structure: "bulk", Field: "status", Value: string(b.Status)})
	}
	if err := tx.MoveBulkItems(ctx, b.ID, ItemMove{From: again, To: ItemPending}); err != nil {
		return false, err
	}
	if b.Status.Finished() {
		b.Status, b.EndedAt = BulkRunning, nil
	}
	b.Gates, b.Message = nil, ""
	return true, nil
}

// setBulk changes those settings that raw has.
func setBulk(b *Bulk, raw json.RawMessage) (bool, error) {
	before, err := json.Marshal(b.Settings)
	if err != nil {
		return false, errcode.Wrap(err, errcode.Internal, "write settings")
	}
	next := b.Settings
	next.Windows = slices.Clone(next.Windows)
	if err := json.Unmarshal(raw, &next); err != nil {
		return false, badSetting("settings", "", "they cannot be read")
	}
	if err := next.Check(); err != nil {
		return false, err
	}
	after, err := json.Marshal(next)
	b.Settings = next
	return string(before) != string(after), err
}

// BulkTold notes that a bulk's workflow knows of all changes up to the numbered one.
func (c *Catalogue) BulkTold(ctx context.Context, id string, n int64) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		b, err := tx.Bulk(ctx, id)
		if err != nil || b.Told >= n {
			return err
		}
		b.Told = min(n, b.Revision)
		return tx.PutBulk(ctx, b)
	})
}
