package reconcile

import (
	"context"
	"time"

	"ingest/internal/contract"
	"ingest/metadata"
)

// A Reaper removes everything whose time is over: what the Sweeper finds in the
// stores and in the staging of this host, promises of space without a task, the
// records of tasks that have expired, and deleted images that were kept for a time. It can be killed at any point and run beside
// another one: each thing is removed by itself, and what is gone is no error.
type Reaper struct {
	Sweeper   *Sweeper
	Catalogue *metadata.Catalogue
	Now       func() time.Time // nil means time.Now
	// ScrubTime is how long an image that was deleted can be restored.
	ScrubTime time.Duration
	// History is how long the record of a task is kept after the task has expired.
	History time.Duration
}

// expiredAtOnce is how many expired records one transaction removes.
const expiredAtOnce = 200

// Reap removes, or with p.DryRun only says what it would remove. What it cannot
// look at or remove stands in the result; an error is returned only if ctx ends or
// the catalogue does not answer, and another attempt goes on with the rest.
func (r *Reaper) Reap(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error) {
	out := contract.NewReapResult(p)
	if err := p.Check(); err != nil {
		return out, err
	}
	steps := []func(context.Context, contract.ReapParams, *contract.ReapResult) error{r.images, r.reservations, r.swept, r.tasks}
	if p.Kind == contract.ReapedImage {
		steps = steps[:1]
	}
	for _, step := range steps {
		err := step(ctx, p, &out)
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		out.Failed(err)
	}
	return out, nil
}

func (r *Reaper) swept(ctx context.Context, p contract.ReapParams, out *contract.ReapResult) error {
	return r.Sweeper.Sweep(ctx, p.Age(), p.DryRun, out.Add)
}

func (r *Reaper) reservations(ctx context.Context, p contract.ReapParams, out *contract.ReapResult) error {
	look := r.Catalogue.DropReservations
	if p.DryRun {
		look = r.Catalogue.StrayReservations
	}
	stray, err := look(ctx)
	for _, s := range stray {
		out.Add(contract.ReapItem{Kind: contract.ReapedReservation, Store: s.Place, Name: s.TaskID + " " + s.Part, Bytes: s.Room,
			Since: s.UpdatedAt, Why: "its task has ended or is gone"})
	}
	return err
}

func (r *Reaper) tasks(ctx context.Context, p contract.ReapParams, out *contract.ReapResult) error {
	now, limit := r.now().Add(-r.History), expiredAtOnce
	if p.DryRun {
		limit = 0
	}
	for ctx.Err() == nil {
		gone, err := r.Catalogue.ExpireTasks(ctx, now, limit, p.DryRun)
		for _, t := range gone {
			out.Add(contract.ReapItem{Kind: contract.ReapedTask, Name: t.ID, Since: t.UpdatedAt, Why: "it ended with " + string(t.Status) + ", and its record has expired"})
		}
		if err != nil || len(gone) < limit || p.DryRun {
			return err
		}
	}
	return nil
}
