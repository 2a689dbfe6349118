package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// failureFirst names the change by which a failure is recorded before what is left
// is removed.
const failureFirst = "failure-first"

// undo records why an import failed or was cancelled, removes what it left, and
// returns the error with which the workflow ends. It is out of reach of the
// workflow's cancellation. A store that is away can hold the removal up for an hour,
// and nobody should have to wait so long to be told.
func undo(ctx workflow.Context, st *state, cause error) error {
	why, cancelled := reason(ctx, st, cause)
	at := st.progress.Stage
	st.at(-1)
	keep, _ := workflow.NewDisconnectedContext(ctx)
	first := workflow.GetVersion(keep, failureFirst, workflow.DefaultVersion, 1) >= 1
	if !first && st.registered {
		st.enter(keep, contract.StageCleanup)
		cleanup(keep, st, false)
	}
	st.finish(keep, statusFailure, at)
	st.progress.Message = why.Message
	params := contract.FailParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, WorkflowID: st.workflowID, Stage: at, Error: why}
	if err := record(keep, contract.FailActivity, params, nil); err != nil {
		workflow.GetLogger(ctx).Error("failure not recorded", "code", string(why.Code), "error", err)
	}
	st.publish(keep)
	if first && st.registered {
		cleanup(keep, st, false)
	}
	if cancelled {
		return temporal.NewCanceledError(why)
	}
	return failure(why)
}

// reason is what people are told.
func reason(ctx workflow.Context, st *state, cause error) (why contract.ErrorValue, cancelled bool) {
	why = explain(cause, st.progress.Stage)
	cancelled = ctx.Err() != nil || temporal.IsCanceledError(cause)
	if cancelled {
		why = cancelledValue()
	} else if st.disk > 0 {
		why.Message = fmt.Sprintf("disk %d of %d: %s", st.disk, len(st.disks), why.Message)
	}
	why.Queue = "" // says where to clean up, and nothing to people
	return why, cancelled
}

// tidy removes what a successful import no longer needs. The import has
// succeeded, whatever comes of it.
func tidy(ctx workflow.Context, st *state) {
	keep := succeed(ctx, st)
	cleanup(keep, st, true)
	dropLost(keep, st)
}

// succeed tells of the success. What is left to do after it is done with the context that
// it returns, which no cancel reaches.
func succeed(ctx workflow.Context, st *state) workflow.Context {
	keep, _ := workflow.NewDisconnectedContext(ctx)
	st.finish(keep, statusSuccess, contract.StageDone)
	st.publish(keep)
	return keep
}

// cleanup visits every place. Only the last one can be part of a success: the
// others were given up.
func cleanup(ctx workflow.Context, st *state, success bool) {
	if len(st.places) == 0 {
		queue, _ := st.staged()
		st.places = append(st.places, place{queue: queue})
	}
	for i, at := range st.places {
		params := contract.CleanupParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, Store: at.store, Key: at.key, Further: at.further,
			Success: success && i == len(st.places)-1}
		if st.req.Destination != nil {
			params.Destination, params.Project = st.req.Destination, st.req.Owner
		}
		if err := clean(ctx, at.queue, params); err != nil {
			workflow.GetLogger(ctx).Warn("something may be left for the reaper", "queue", at.queue, "key", at.key, "error", err)
		}
	}
}

// clean cleans one place up. If its host stays silent, another one may still
// reach the store.
func clean(ctx workflow.Context, queue string, params contract.CleanupParams) error {
	if queue != "" {
		err := workflow.ExecuteActivity(withTidying(ctx, queue), contract.CleanupActivity, params).Get(ctx, nil)
		if !hostSilent(err) || params.Success {
			return err
		}
	}
	return workflow.ExecuteActivity(withTidying(ctx, contract.TransferQueue), contract.CleanupActivity, params).Get(ctx, nil)
}
