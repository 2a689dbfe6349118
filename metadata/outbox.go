package metadata

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Claim is a delivery that one process may send now, with the webhook that it is for.
type Claim struct {
	Delivery Delivery
	Webhook  Webhook
}

// An Outcome is what came of one attempt at a delivery.
type Outcome struct {
	HTTPStatus int    // 0 without an answer
	Error      string // "" if the notice was taken
}

// Patience says how long a delivery, and a webhook that takes none, is tried.
type Patience struct {
	First   time.Duration // before the second attempt; it doubles with each further one
	Longest time.Duration // between two attempts
	GiveUp  time.Duration // age at which a delivery is given up
	Disable time.Duration // for how long notices must have been refused until a webhook is disabled
}

// ClaimDeliveries takes at most limit deliveries that are due, one a webhook and none for
// the busy ones, and keeps them from others for the lease. One whose sender dies is due
// again behind it: a notice may be sent twice, and is never lost.
func (c *Catalogue) ClaimDeliveries(ctx context.Context, limit int, lease time.Duration, busy ...string) ([]Claim, error) {
	now := c.moment()
	waiting, err := view(ctx, c, func(tx Tx) ([]string, error) { return tx.DueWebhooks(ctx, now, limit+len(busy)) })
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	return update(ctx, c, func(tx Tx) ([]Claim, error) {
		var out []Claim
		for _, id := range waiting {
			if len(out) == limit || slices.Contains(busy, id) {
				continue
			}
			one, err := claim(ctx, tx, id, now, now.Add(lease))
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	})
}

// claim takes what has waited longest for a webhook, if there still is anything.
func claim(ctx context.Context, tx Tx, webhook string, now, until time.Time) ([]Claim, error) {
	due, err := tx.Deliveries(ctx, DeliveryFilter{WebhookID: webhook, Due: &now, Limit: 1})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	w, err := tx.Webhook(ctx, webhook)
	if err != nil {
		return nil, err
	}
	d := due[0]
	d.Attempts++
	d.NextAt, d.UpdatedAt = until, now
	return []Claim{{d, w}}, tx.PutDelivery(ctx, d)
}

// Settle records what came of an attempt. A delivery that failed is tried again later, or
// given up; a webhook that has taken nothing of what it was sent for too long is disabled,
// with all that waits for it. A webhook that is gone is no error.
func (c *Catalogue) Settle(ctx context.Context, id string, o Outcome, p Patience) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		d, err := tx.Delivery(ctx, id)
		if isNotFound(err) || err == nil && d.Status != DeliveryPending {
			return nil
		}
		if err != nil {
			return err
		}
		w, err := tx.Webhook(ctx, d.WebhookID)
		if err != nil {
			return err
		}
		now := c.moment()
		d.HTTPStatus, d.Error, d.UpdatedAt = o.HTTPStatus, short(plain(o.Error)), now
		if o.Error == "" {
			d.Status = DeliveryDelivered
			if w.FailingSince != nil {
				w.FailingSince, w.UpdatedAt = nil, now
				if err := tx.PutWebhook(ctx, w); err != nil {
					return err
				}
			}
			return tx.PutDelivery(ctx, d)
		}
		d.NextAt = now.Add(p.wait(d.Attempts))
		if d.NextAt.Sub(d.CreatedAt) > p.GiveUp {
			d.Status = DeliveryFailed
		}
		if err := tx.PutDelivery(ctx, d); err != nil {
			return err
		}
		return c.blame(ctx, tx, w, d, p)
	})
}

// blame notes that a webhook took nothing, and disables it in the end.
func (c *Catalogue) blame(ctx context.Context, tx Tx, w Webhook, d Delivery, p Patience) error {
	now := c.moment()
	if w.FailingSince == nil {
		w.FailingSince = &now
	}
	if now.Sub(*w.FailingSince) < p.Disable || w.DisabledAt != nil {
		return tx.PutWebhook(ctx, w)
	}
	all, err := tx.Deliveries(ctx, DeliveryFilter{WebhookID: w.ID})
	if err != nil {
		return err
	}
	if untaken(all, *w.FailingSince, now, p.GiveUp) < p.Disable {
		return tx.PutWebhook(ctx, w)
	}
	w.DisabledAt, w.UpdatedAt = &now, now
	w.DisabledReason = short(fmt.Sprintf("took no notice since %s; the last attempt said: %s", w.FailingSince.UTC().Format(time.RFC3339), d.Error))
	if err := tx.PutWebhook(ctx, w); err != nil {
		return err
	}
	for _, one := range all {
		if one.Status != DeliveryPending {
			continue
		}
		one.Status, one.Error, one.UpdatedAt = DeliveryFailed, "the webhook was disabled", now
		if err := tx.PutDelivery(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// untaken is for how long since a moment there was a notice that was not taken: from its
// making on until it was given up. The time in which there was nothing to take, or no
// server to send it, says nothing of a webhook. all are its deliveries, the newest first.
func untaken(all []Delivery, since, now time.Time, giveUp time.Duration) time.Duration {
	total := time.Duration(0)
	until := since // what has been counted
	for _, d := range slices.Backward(all) {
		from, to := d.CreatedAt, d.CreatedAt.Add(giveUp)
		if d.Status == DeliveryDelivered || d.Attempts == 0 {
			continue
		}
		if from.Before(until) {
			from = until
		}
		if to.After(now) {
			to = now
		}
		if to.After(from) {
			total += to.Sub(from)
			until = to
		}
	}
	return total
}

// DropDeliveries removes deliveries that ended before the given time.
func (c *Catalogue) DropDeliveries(ctx context.Context, before time.Time) error {
	return c.repo.InTx(ctx, func(tx Tx) error { return tx.DropDeliveries(ctx, before.UTC()) })
}

// wait is how long to wait after so many attempts.
func (p Patience) wait(attempts int) time.Duration {
	d := p.First
	for range min(attempts-1, 40) {
		if d >= p.Longest {
			break
		}
		d *= 2
	}
	return min(d, p.Longest)
}

// short cuts a text to what its column holds.
func short(s string) string {
	const most = 500
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
