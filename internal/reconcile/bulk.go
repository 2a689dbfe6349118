package reconcile

import (
	"context"
	"errors"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// BulkWorkflows is the workflow service, as bulks use it.
type BulkWorkflows interface {
	StartBulk(ctx context.Context, req contract.BulkRequest, workflowID string) error
	SignalBulk(ctx context.Context, workflowID string, s contract.BulkSignalled) error
}

// bulks brings every unfinished bulk in step with its workflow: one that has none is
// started again, and one that has not heard of a change is told of it.
func (r *Reconciler) bulks(ctx context.Context) error {
	if r.Bulks == nil {
		return nil
	}
	last := r.Catalogue.DropStaleBulks(ctx)
	all, err := r.Catalogue.Bulks(ctx, metadata.BulkFilter{Unfinished: true})
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Status == metadata.BulkLoading || r.now().Sub(b.UpdatedAt) < grace {
			continue
		}
		if err := r.bulk(ctx, b); err != nil {
			last = errors.Join(last, err)
		}
	}
	return last
}

func (r *Reconciler) bulk(ctx context.Context, b metadata.Bulk) error {
	state, err := r.Workflows.State(ctx, b.WorkflowID)
	if err != nil {
		return err
	}
	if state == Running {
		if b.Told >= b.Revision {
			return nil
		}
		if err := r.Bulks.SignalBulk(ctx, b.WorkflowID, contract.BulkSignalled{}); err != nil {
			return err
		}
		return r.Catalogue.BulkTold(ctx, b.ID, b.Revision)
	}
	// The list is older than the answer: a bulk that has ended in between is over.
	if b, err = r.Catalogue.Bulk(ctx, b.ID); err != nil || b.Status.Finished() {
		return err
	}
	if state == Terminated || state == Cancelled {
		// Somebody has ended it without its clean-up, which another run does.
		if _, err := r.Catalogue.ChangeBulk(ctx, b.ID, metadata.BulkChange{Do: metadata.BulkAbort}); err != nil && errcode.Of(err) != errcode.Conflict {
			return err
		}
	}
	if err := r.Bulks.StartBulk(ctx, contract.BulkRequest{BulkID: b.ID, Owner: b.Owner, UserID: b.UserID}, b.WorkflowID); err != nil {
		return err
	}
	r.Log.Warn().Str("bulk", b.ID).Str("workflow", b.WorkflowID).Str("was", string(state)).Msg("bulk has no workflow: started again")
	return nil
}
