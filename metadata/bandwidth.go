package metadata

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"ingest/internal/bandwidth"
)

const (
	// BandwidthLease is how long a worker may use its share of a budget behind the moment
	// at which it has asked for it.
	BandwidthLease = 6 * time.Second
	// bandwidthGrace is how long others keep a share for a worker that has not asked
	// again: it covers the difference of their clocks.
	bandwidthGrace = BandwidthLease + 2*time.Second
	// bandwidthGone is the age at which a share's record is removed.
	bandwidthGone = 10 * time.Minute
	// bandwidthFloor is the part of a budget that those get together who have not used
	// any lately, so that they can begin before they have asked anew.
	bandwidthFloor = 16
)

// Kinds of budgets of bandwidth.
const (
	BudgetBulk    = "bulk"    // what a bulk reads from sources
	BudgetHost    = "host"    // of it from one host
	BudgetStore   = "store"   // what a bulk writes into one store
	BudgetProject = "project" // what all bulks of a project read from sources
)

// A BudgetKey names a budget of bandwidth.
type BudgetKey struct {
	Kind  string
	Scope string // id of the bulk, or the project
	Name  string // of the host or the store
}

// BudgetRow is a key as the database has it: names may be longer.
func BudgetRow(k BudgetKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", k.Kind, k.Scope, k.Name))
	return hex.EncodeToString(sum[:])
}

// AllBandwidth is the want of a worker that could use the whole budget.
const AllBandwidth = -1

// A BandwidthClaim is what a worker could use of a budget, bytes a second.
type BandwidthClaim struct {
	Key  BudgetKey
	Want int64 // or AllBandwidth
}

// A BandwidthGrant is the share of a worker in a budget.
type BandwidthGrant struct {
	Limited bool // false: there is no budget
	Bytes   int64
}

// A BandwidthShare is the record of what a worker may use of a budget. As it is written
// in the transaction that finds it free, what all workers have is never more than the
// budget.
type BandwidthShare struct {
	Key     string
	Worker  string
	Want    int64
	Granted int64
	Renewed time.Time
}

// A BandwidthTx is the part of a transaction that deals with shares of bandwidth.
type BandwidthTx interface {
	// BandwidthShares lists the shares of budgets, by key and worker.
	BandwidthShares(ctx context.Context, keys []string) ([]BandwidthShare, error)
	PutBandwidthShare(ctx context.Context, s BandwidthShare) error
	// DropBandwidthShares removes those that were renewed before a moment.
	DropBandwidthShares(ctx context.Context, before time.Time) error
	// BulkItemOfTask returns the item of a bulk that a task is an attempt of, without its
	// request, or errcode.NotFound.
	BulkItemOfTask(ctx context.Context, taskID string) (BulkItem, error)
}

// BulkItemOfTask returns the item of a bulk that a task is an attempt of, nil if it is
// none.
func (c *Catalogue) BulkItemOfTask(ctx context.Context, taskID string) (*BulkItem, error) {
	return view(ctx, c, func(tx Tx) (*BulkItem, error) {
		it, err := tx.BulkItemOfTask(ctx, taskID)
		if isNotFound(err) {
			return nil, nil
		}
		return &it, err
	})
}

// ShareBandwidth gives a worker its shares of budgets, in the order of the claims. Each
// holds for BandwidthLease: a worker that asks in time keeps what it needs, and what it
// does not is for the others. Budgets are those of this moment.
func (c *Catalogue) ShareBandwidth(ctx context.Context, worker string, claims []BandwidthClaim) ([]BandwidthGrant, error) {
	limits, err := view(ctx, c, func(tx Tx) ([]int64, error) { return budgetsOf(ctx, tx, claims) })
	if err != nil || !slices.ContainsFunc(limits, func(n int64) bool { return n > 0 }) {
		return make([]BandwidthGrant, len(claims)), err
	}
	return update(ctx, c, func(tx Tx) ([]BandwidthGrant, error) {
		limits, err := budgetsOf(ctx, tx, claims)
		if err != nil {
			return nil, err
		}
		s := sharing{c: c, tx: tx, worker: worker, now: c.shareTime()}
		if err := s.load(ctx, claims, limits); err != nil {
			return nil, err
		}
		out := make([]BandwidthGrant, len(claims))
		for i, claim := range claims {
			if limits[i] == 0 {
				continue
			}
			n, err := s.grant(ctx, claim, limits[i])
			if err != nil {
				return nil, err
			}
			out[i] = BandwidthGrant{Limited: true, Bytes: n}
		}
		return out, nil
	})
}

// budgetsOf are the budgets in force, 0 for none.
func budgetsOf(ctx context.Context, tx Tx, claims []BandwidthClaim) ([]int64, error) {
	out := make([]int64, len(claims))
	bulks, projects := map[string]BulkLimits{}, map[string]bandwidth.Rate{}
	for i, claim := range claims {
		k := claim.Key
		if k.Kind == BudgetProject {
			n, known := projects[k.Scope]
			if !known {
				var err error
				if n, err = projectBudget(ctx, tx, k.Scope); err != nil {
					return nil, err
				}
				projects[k.Scope] = n
			}
			out[i] = int64(n)
			continue
		}
		l, known := bulks[k.Scope]
		if !known {
			b, err := tx.Bulk(ctx, k.Scope)
			if err != nil && !isNotFound(err) {
				return nil, err
			}
			l = b.Settings.Limits
			bulks[k.Scope] = l
		}
		out[i] = int64(map[string]bandwidth.Rate{BudgetBulk: l.Bandwidth, BudgetHost: l.BandwidthPerHost, BudgetStore: l.BandwidthPerStore}[k.Kind])
	}
	return out, nil
}

// projectBudget is the least that any bulk of a project which has not ended allows all
// of them, 0 for none.
func projectBudget(ctx context.Context, tx Tx, owner string) (bandwidth.Rate, error) {
	all, err := tx.Bulks(ctx, BulkFilter{Owner: owner, Unfinished: true})
	var least bandwidth.Rate
	for _, b := range all {
		if n := b.Settings.Limits.BandwidthPerProject; n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least, err
}

// shareTime is the time by which shares are dated. It is that of the worker whose clock
// goes furthest ahead of all that have ever asked, and goes on when that one is gone: so
// that shares grow old, whoever has dated them.
func (c *Catalogue) shareTime() time.Time { return c.moment().Add(time.Duration(c.ahead.Load())) }

// A sharing is one run of ShareBandwidth's transaction.
type sharing struct {
	c      *Catalogue
	tx     Tx
	worker string
	now    time.Time
	shares map[string][]BandwidthShare // of others, by key; those that count
}

// load reads the shares of the budgets that there are.
func (s *sharing) load(ctx context.Context, claims []BandwidthClaim, limits []int64) error {
	var keys []string
	for i, claim := range claims {
		if limits[i] > 0 {
			keys = append(keys, BudgetRow(claim.Key))
		}
	}
	all, err := s.tx.BandwidthShares(ctx, keys)
	if err != nil {
		return err
	}
	// Time is no earlier than anybody has written: so no share looks older than it is to
	// a worker whose clock goes ahead of another's.
	for _, one := range all {
		if lead := one.Renewed.Sub(s.now); lead > 0 {
			s.now = one.Renewed
			s.c.ahead.Add(int64(lead))
		}
	}
	s.shares = map[string][]BandwidthShare{}
	mine := 0
	for _, one := range all {
		switch {
		case one.Worker == s.worker:
			mine++
		case s.now.Sub(one.Renewed) < bandwidthGrace:
			s.shares[one.Key] = append(s.shares[one.Key], one)
		}
	}
	if mine < len(keys) {
		return s.tx.DropBandwidthShares(ctx, s.now.Add(-bandwidthGone))
	}
	return nil
}

// grant gives the worker its part of one budget, as far as the others have left it.
func (s *sharing) grant(ctx context.Context, claim BandwidthClaim, budget int64) (int64, error) {
	key := BudgetRow(claim.Key)
	others := s.shares[key]
	wants, left := []int64{claim.Want}, budget
	for _, one := range others {
		wants = append(wants, one.Want)
		left -= one.Granted
	}
	n := max(min(fairShares(budget, wants)[0], left), 0)
	return n, s.tx.PutBandwidthShare(ctx, BandwidthShare{Key: key, Worker: s.worker, Want: claim.Want, Granted: n, Renewed: s.now})
}

// fairShares divides a budget: everybody gets what they want as long as nobody else gets
// less than they (max-min fairness), a little of it whatever they want, and an equal
// part of what nobody wants.
func fairShares(budget int64, wants []int64) []int64 {
	n := int64(len(wants))
	floor := budget / (bandwidthFloor * n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	need := func(i int) int64 {
		if w := wants[i]; w >= 0 && w < budget {
			return max(w, floor)
		}
		return budget
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(need(a), need(b)) })
	out, left := make([]int64, n), budget
	for done, i := range order {
		out[i] = min(need(i), left/(n-int64(done)))
		left -= out[i]
	}
	for i := range out {
		out[i] += left / n
	}
	return out
}
