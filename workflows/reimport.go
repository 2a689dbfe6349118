package workflows

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

const (
	// waitForRun is how often a run asks whether another one of its schedule has ended,
	// and maxRunWait how long it does so.
	waitForRun = 15 * time.Second
	maxRunWait = 24 * time.Hour
	// waitForImport is how often a run asks how an import has ended that is not its child.
	waitForImport = 10 * time.Second
)

// Reimport is one run of a schedule: it looks which version the source has, imports it if
// it is a new one, and switches the schedule to it. A source that has not changed is a
// success in which no byte of an image was read. A new version that fails leaves the
// current one as it is.
func Reimport(ctx workflow.Context, req contract.ReimportRequest) (contract.ReimportEnd, error) {
	r := &reimport{req: req, st: &state{workflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, runID: workflow.GetInfo(ctx).OriginalRunID}}
	if err := req.CheckRequest(); err != nil {
		return contract.ReimportEnd{}, failure(contract.ValueOf(err))
	}
	if r.req.TaskID == "" {
		r.req.TaskID = contract.DerivedTaskID(r.st.workflowID)
	}
	r.end = contract.ReimportEnd{TaskID: r.req.TaskID, ImportTaskID: ""}
	r.at = contract.StageRegister
	end, err := r.run(ctx)
	if err != nil {
		return contract.ReimportEnd{}, r.fail(ctx, err)
	}
	return end, nil
}

// A reimport is all that one run knows.
type reimport struct {
	req   contract.ReimportRequest
	st    *state
	begun contract.BeginRunResult // by begin
	end   contract.ReimportEnd
	at    contract.Stage // that runs
}

func (r *reimport) run(ctx workflow.Context) (contract.ReimportEnd, error) {
	skipped, err := r.begin(ctx)
	switch b := r.begun; {
	case err != nil:
		return r.end, err
	case b.Gone:
		r.end.Outcome, r.end.Message = contract.RunSkipped, "there is no such schedule any more"
		return r.end, nil
	case b.Finished && b.Error != nil:
		return r.end, failure(*b.Error)
	case b.Finished:
		return *b.Run, nil
	case skipped:
		return r.finish(ctx, contract.RunSkipped, "task "+b.Busy+" is a run of the schedule that is under way")
	}
	r.at = contract.StageFetch
	looked, err := r.look(ctx)
	if err != nil {
		return r.end, err
	}
	c := contract.Compare(looked.Version, r.begun.Known, r.begun.Held, r.begun.Spec.Check)
	c.Matches = looked.Matches
	if r.begun.Missing {
		c.Why = "the image of the current version is gone"
	}
	r.end.Comparison = &c
	if !c.Changed {
		outcome := contract.RunUnchanged
		if c.Holds() {
			outcome = contract.RunHeld
		}
		return r.finish(ctx, outcome, c.Why)
	}
	return r.renew(ctx, looked)
}

// begin makes the run known to the catalogue, and waits for another run of the schedule
// if that is how the schedule wants it; else it is skipped.
func (r *reimport) begin(ctx workflow.Context) (skipped bool, err error) {
	keep, _ := workflow.NewDisconnectedContext(ctx)
	params := contract.BeginRunParams{ScheduleID: r.req.ScheduleID, TaskID: r.req.TaskID, WorkflowID: r.st.workflowID}
	for since := workflow.Now(ctx); ; {
		r.begun = contract.BeginRunResult{}
		if err := record(keep, contract.BeginRunActivity, params, &r.begun); err != nil {
			return false, err
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if r.begun.Busy == "" {
			return false, nil
		}
		if r.begun.Spec.Timing.Overlap == contract.OverlapSkip || workflow.Now(ctx).Sub(since) >= maxRunWait {
			return true, nil
		}
		if err := workflow.Sleep(ctx, waitForRun); err != nil {
			return false, err
		}
	}
}

func (r *reimport) look(ctx workflow.Context) (contract.Looked, error) {
	var out contract.Looked
	s := r.begun.Spec
	params := contract.LookParams{Source: s.Import.Source, Project: r.begun.Owner, Check: s.Check, Order: s.Order}
	err := workflow.ExecuteActivity(withSourceLook(ctx), contract.LookActivity, params).Get(ctx, &out)
	return out, err
}

// renew imports the version that was found, and switches to it.
func (r *reimport) renew(ctx workflow.Context, looked contract.Looked) (contract.ReimportEnd, error) {
	r.end.ImportTaskID = contract.RunImportID(r.req.TaskID)
	if err := r.importVersion(ctx, looked.URL); err != nil {
		return r.end, err
	}
	r.at = contract.StageActivate
	if err := ctx.Err(); err != nil {
		return r.end, err
	}
	r.end.Outcome, r.end.Message = contract.RunSwitched, r.end.Comparison.Why
	keep, _ := workflow.NewDisconnectedContext(ctx)
	params := contract.SwitchParams{ScheduleID: r.req.ScheduleID, End: r.end, Deactivate: r.begun.Spec.Deactivates(), Keep: *r.begun.Spec.Filled().Keep}
	if err := record(keep, contract.SwitchActivity, params, &r.end); err != nil {
		return r.end, err
	}
	prune := contract.PruneParams{ScheduleID: r.req.ScheduleID, TaskID: r.req.TaskID}
	if err := workflow.ExecuteActivity(withTidying(keep, contract.TransferQueue), contract.PruneActivity, prune).Get(keep, nil); err != nil {
		workflow.GetLogger(ctx).Warn("old versions are left for the next run", "error", err)
	}
	return r.end, nil
}

// importVersion runs the import. Its images are hidden until they are switched to. An
// import that is there already, because this run lost its history, is waited for.
func (r *reimport) importVersion(ctx workflow.Context, url string) error {
	r.at = contract.StageConvert
	req := r.begun.Spec.Import
	req.TaskID = r.end.ImportTaskID
	req.ImageID = contract.DerivedImageID(req.TaskID, 0)
	req.Source.URL = url
	req.Image.Hidden = true
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            contract.WorkflowID(req.Owner, req.TaskID, ""),
		TaskQueue:             contract.ImportQueue,
		WaitForCancellation:   true,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
	})
	err := workflow.ExecuteChildWorkflow(child, contract.ImportWorkflow, req).Get(ctx, nil)
	var started *temporal.ChildWorkflowExecutionAlreadyStartedError
	if !errors.As(err, &started) {
		return err
	}
	for {
		var end contract.ImportEnd
		if err := record(ctx, contract.ImportEndActivity, contract.ImportEndParams{TaskID: req.TaskID}, &end); err != nil {
			return err
		}
		if end.Error != nil {
			return failure(*end.Error)
		}
		if end.Finished {
			return nil
		}
		if err := workflow.Sleep(ctx, waitForImport); err != nil {
			return err
		}
	}
}

// finish ends a run that has nothing to switch.
func (r *reimport) finish(ctx workflow.Context, outcome, message string) (contract.ReimportEnd, error) {
	r.end.Outcome, r.end.Message = outcome, message
	keep, _ := workflow.NewDisconnectedContext(ctx)
	var out contract.ReimportEnd
	err := record(keep, contract.EndRunActivity, contract.EndRunParams{ScheduleID: r.req.ScheduleID, End: r.end}, &out)
	return out, err
}

// fail records why a run failed or was cancelled. The import has cleaned up by itself.
func (r *reimport) fail(ctx workflow.Context, cause error) error {
	if b := r.begun; b.Finished && b.Error != nil {
		return cause
	}
	why := explain(cause, r.at)
	cancelled := ctx.Err() != nil || temporal.IsCanceledError(cause)
	if cancelled {
		why = cancelledValue()
	}
	why.Queue = ""
	keep, _ := workflow.NewDisconnectedContext(ctx)
	params := contract.FailParams{TaskID: r.req.TaskID, WorkflowID: r.st.workflowID, Stage: r.at, Error: why}
	if err := record(keep, contract.FailActivity, params, nil); err != nil {
		workflow.GetLogger(ctx).Error("failure not recorded", "code", string(why.Code), "error", err)
	}
	if cancelled {
		return temporal.NewCanceledError(why)
	}
	return failure(why)
}

// withSourceLook is for asking a source for its version: a few requests. One that does
// not answer for half an hour fails the run; the next one asks again.
func withSourceLook(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              contract.TransferQueue,
		StartToCloseTimeout:    10 * time.Minute,
		ScheduleToCloseTimeout: 30 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy:            retry(afterCrash, 8),
	})
}
