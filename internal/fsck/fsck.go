// Package fsck compares the catalogue with what the stores, the staging folder and
// the workflow service hold, in both directions, tells every difference, and mends
// it if asked to. It is safe while imports run: what is young is spared, and each
// difference is looked at once more, in the catalogue as it is then, before it is
// told. It can be killed at any point.
package fsck

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/reconcile"
	"ingest/metadata"
	"ingest/stores"
)

// A Checker checks. Everything but Now is needed.
type Checker struct {
	Catalogue  *metadata.Catalogue
	Stores     map[string]stores.Store
	Sweeper    *reconcile.Sweeper
	Workflows  reconcile.Workflows
	Reconciler *reconcile.Reconciler
	Log        zerolog.Logger
	Now        func() time.Time // nil means time.Now
}

// A run is one check.
type run struct {
	*Checker
	p    contract.CheckParams
	now  time.Time
	tell func(contract.CheckLine) error
	figs contract.CheckFigures
	told time.Time // when the figures were
}

// Check tells every difference, and how far it is about every second, and what it
// came to in the end. An error of tell ends it. A store that does not answer is a
// difference; a catalogue or a workflow service that does not, the error.
func (c *Checker) Check(ctx context.Context, p contract.CheckParams, tell func(contract.CheckLine) error) error {
	if err := p.Reap().Check(); err != nil {
		return err
	}
	now := time.Now()
	if c.Now != nil {
		now = c.Now()
	}
	r := &run{Checker: c, p: p, now: now, tell: tell}
	for _, step := range []func(context.Context) error{r.images, r.tasks, r.reservations, r.sweep} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	end := r.figs
	return tell(contract.CheckLine{End: &end})
}

func (r *run) diff(d contract.Difference) error {
	r.figs.Differences++
	if d.Repaired {
		r.figs.Repaired++
		r.Log.Info().Str("kind", d.Kind).Str("store", d.Store).Str("name", d.Name).Msg("mended by fsck")
	}
	return r.tell(contract.CheckLine{Difference: &d})
}

// progressEvery is the time between two lines of progress.
const progressEvery = 500 * time.Millisecond

func (r *run) progress() error {
	if time.Since(r.told) < progressEvery {
		return nil
	}
	r.told = time.Now()
	figs := r.figs
	return r.tell(contract.CheckLine{Progress: &figs})
}

// old reports whether something was touched so long ago that it is not spared.
func (r *run) old(touched time.Time) bool { return r.now.Sub(touched) >= r.p.Age() }

// tasks looks for tasks that nothing works on.
func (r *run) tasks(ctx context.Context) error {
	all, err := r.Catalogue.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if !r.old(t.UpdatedAt) {
			continue
		}
		state, err := r.Workflows.State(ctx, t.WorkflowID)
		if err != nil {
			return err
		}
		if state == reconcile.Running {
			continue
		}
		again, err := r.Catalogue.Task(ctx, t.ID)
		if errcode.Of(err) == errcode.NotFound || err == nil && again.Status.Finished() {
			continue
		}
		d := contract.Difference{Kind: contract.DiffTask, Name: t.ID, ImageID: t.ImageID,
			Message: fmt.Sprintf("the task is %s since %s, and its workflow is %s", t.Status, t.UpdatedAt.UTC().Format(time.RFC3339), state),
			Remedy:  "it is started again, or failed if it was ended from outside"}
		if r.p.Repair {
			err := r.Reconciler.Task(ctx, t)
			d.Repaired = err == nil
			d.Remedy = outcome(err, "started again, or failed if it was ended from outside")
		}
		if err := r.diff(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) reservations(ctx context.Context) error {
	look := r.Catalogue.StrayReservations
	if r.p.Repair {
		look = r.Catalogue.DropReservations
	}
	stray, err := look(ctx)
	if err != nil {
		return err
	}
	for _, s := range stray {
		err := r.diff(contract.Difference{Kind: contract.DiffReservation, Store: s.Place, Name: s.TaskID, Bytes: s.Room, Repaired: r.p.Repair,
			Message: fmt.Sprintf("%d bytes for %q are promised to a task that has ended or is gone", s.Bytes, s.Part), Remedy: mending(r.p.Repair, "the promise is removed")})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep looks for what nobody names.
func (r *run) sweep(ctx context.Context) error {
	kinds := map[string]string{contract.ReapedObject: contract.DiffObjectOrphan, contract.ReapedUpload: contract.DiffUpload, contract.ReapedStaged: contract.DiffStaged}
	var failed error
	err := r.Sweeper.Sweep(ctx, r.p.Age(), !r.p.Repair, func(it contract.ReapItem) {
		if failed == nil {
			failed = r.diff(contract.Difference{Kind: kinds[it.Kind], Store: it.Store, Name: it.Name, Bytes: it.Bytes, Repaired: r.p.Repair,
				Message: it.Why, Remedy: mending(r.p.Repair, "it is removed")})
		}
	})
	if failed != nil {
		return failed
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return r.diff(contract.Difference{Kind: contract.DiffUnreadable, Name: "stores and staging",
		Message: contract.ValueOf(err).Message, Remedy: "see the server's log, and run it again"})
}

// mending says what was done, or would be.
func mending(done bool, what string) string {
	if done {
		return what
	}
	return "with --repair " + what
}

// outcome says what came of a repair.
func outcome(err error, done string) string {
	if err == nil {
		return done
	}
	return "not mended: " + contract.ValueOf(err).Message
}
