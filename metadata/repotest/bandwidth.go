package repotest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func bandwidthRoundTrip(t *testing.T, repo metadata.Repository) {
	share := func(key, worker string, granted int64, at time.Time) metadata.BandwidthShare {
		return metadata.BandwidthShare{Key: key, Worker: worker, Want: metadata.AllBandwidth, Granted: granted, Renewed: at}
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutBandwidthShare(ctx, share("k1", "w2", 1<<50, noon)), tx.PutBandwidthShare(ctx, share("k1", "w1", 5, noon)),
			tx.PutBandwidthShare(ctx, share("k2", "w1", 6, noon.Add(time.Second))), tx.PutBandwidthShare(ctx, share("k3", "w1", 7, noon)))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		same1 := tx.PutBandwidthShare(ctx, share("k1", "w1", 5, noon)) // nothing changes
		changed := tx.PutBandwidthShare(ctx, share("k1", "w2", 8, noon.Add(time.Minute)))
		got, err := tx.BandwidthShares(ctx, []string{"k2", "k1", "k9"})
		same(t, got, []metadata.BandwidthShare{share("k1", "w1", 5, noon), share("k1", "w2", 8, noon.Add(time.Minute)), share("k2", "w1", 6, noon.Add(time.Second))})
		none, err2 := tx.BandwidthShares(ctx, nil)
		same(t, len(none), 0)
		return errors.Join(same1, changed, err, err2, tx.DropBandwidthShares(ctx, noon.Add(time.Second)))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.BandwidthShares(ctx, []string{"k1", "k2", "k3"})
		same(t, got, []metadata.BandwidthShare{share("k1", "w2", 8, noon.Add(time.Minute)), share("k2", "w1", 6, noon.Add(time.Second))})
		return err
	})
}

// bandwidthItems finds the item of a bulk by its task.
func bandwidthItems(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutBulk(ctx, fullBulk("a")), tx.AddBulkItems(ctx, []metadata.BulkItem{fullItem("a", 1), fullItem("a", 2)}))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.BulkItemOfTask(ctx, "task2")
		want := fullItem("a", 2)
		want.Request = nil
		same(t, got, want)
		_, none := tx.BulkItemOfTask(ctx, "task3")
		coded(t, none, errcode.NotFound)
		return err
	})
}

// manyShareBandwidth has a crowd of workers share one budget, all at once: what they have
// is never more than it, and in the end each has an equal part.
func manyShareBandwidth(t *testing.T, repo metadata.Repository) {
	const budget = crowd << 20
	cat := metadata.New(repo)
	b := fullBulk("a")
	b.Settings.Limits = metadata.BulkLimits{Bandwidth: budget}
	b.EndedAt = nil
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutBulk(ctx, b) })
	key := metadata.BudgetKey{Kind: metadata.BudgetBulk, Scope: "a"}
	claim := []metadata.BandwidthClaim{{Key: key, Want: metadata.AllBandwidth}}
	sum := func() (sum int64, err error) {
		err = repo.InTx(t.Context(), func(tx metadata.Tx) error {
			sum = 0
			all, err := tx.BandwidthShares(t.Context(), []string{metadata.BudgetRow(key)})
			for _, s := range all {
				sum += s.Granted
			}
			return err
		})
		return sum, err
	}
	for round := range 3 {
		for i, err := range together(func(i int) error {
			got, err := cat.ShareBandwidth(t.Context(), fmt.Sprint("worker", i), claim)
			if err == nil && (!got[0].Limited || round == 2 && got[0].Bytes != budget/crowd) {
				err = fmt.Errorf("round %d: granted %+v", round, got)
			}
			return err
		}) {
			if err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		}
		// In between some have asked before the first one has given its share back.
		if got, err := sum(); got > budget || got < budget && round != 1 || err != nil {
			t.Errorf("round %d: %d of %d bytes are granted, %v", round, got, budget, err)
		}
	}
}
