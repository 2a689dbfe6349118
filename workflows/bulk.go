package workflows

import (
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

const (
	// bulkGap is the shortest time between two steps: what ends within it is settled
	// together, so that a thousand small images do not take a thousand steps.
	bulkGap = 250 * time.Millisecond
	// bulkLook is the time before the first look at what nobody tells this run of: ends of
	// items that an earlier run has begun, or the reconciler, and attempts that have failed.
	// It doubles while nothing happens, up to foreignLook where ends are awaited, since
	// others could begin then, and up to watchLook where attempts are.
	bulkLook    = 2 * time.Second
	foreignLook = 15 * time.Second
	watchLook   = time.Minute
	// bulkIdle is the time between two looks otherwise. Signals can be lost with a
	// catalogue that was restored; a look a quarter of an hour costs nothing.
	bulkIdle = 15 * time.Minute
	// bulkRun is how many items one run begins at most, whatever the service suggests and
	// unless the request says otherwise.
	bulkRun = 1000
)

// A bulk is what one run of BulkImport knows. The catalogue knows the rest.
type bulk struct {
	id, workflowID string
	runs, begun    int
	// most is how many items this run begins at most.
	most int
	// mine counts the items whose ends this run is told of.
	mine int
	// stir says that something has happened since the last step, and looks counts the
	// looks since something has.
	stir  bool
	looks int
	// asked is what signals have asked for since.
	asked []contract.BulkSignalled
	// starting counts the children of which it is not known yet whether they have started.
	starting int
	// known are the tasks whose workflows were started by this run, and stopped the
	// workflows that it has asked to stop.
	known, stopped map[string]bool
	last           contract.StepBulkResult
}

// BulkImport imports many sources, a window of them at a time, each by an ImportImage of
// its own. Which of them begins when is decided by the catalogue, step by step; this
// workflow starts what has begun, waits for ends, and continues as new before its history
// grows long. Those that run are left to run: the next run finds them in the catalogue.
func BulkImport(ctx workflow.Context, req contract.BulkRequest) (contract.BulkProgress, error) {
	b := &bulk{id: req.BulkID, workflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, stir: true, most: req.RunItems,
		known: map[string]bool{}, stopped: map[string]bool{}}
	if b.most == 0 {
		b.most = bulkRun
	}
	if req.Carried != nil {
		b.runs = req.Carried.Runs
	}
	if b.id == "" {
		b.id = contract.DerivedBulkID(b.workflowID)
		req.BulkID = b.id
	}
	if err := workflow.SetQueryHandler(ctx, contract.BulkQuery, func() (contract.BulkProgress, error) { return b.progress(), nil }); err != nil {
		return b.progress(), err
	}
	b.listen(ctx)
	if err := req.Check(); err != nil {
		return b.progress(), failure(contract.ValueOf(err))
	}
	if len(req.Manifest) > 0 {
		params := contract.LoadBulkParams{Request: req, WorkflowID: b.workflowID}
		if err := workflow.ExecuteActivity(withLoad(ctx), contract.LoadBulkActivity, params).Get(ctx, nil); err != nil {
			return b.progress(), err
		}
	}
	if err := b.run(ctx); err != nil || b.last.Ended {
		return b.progress(), err
	}
	next := contract.BulkRequest{BulkID: b.id, Owner: req.Owner, UserID: req.UserID, RunItems: req.RunItems, Carried: &contract.BulkCarried{Runs: b.runs + 1}}
	return b.progress(), workflow.NewContinueAsNewError(ctx, contract.BulkWorkflow, next)
}

func (b *bulk) progress() contract.BulkProgress {
	return contract.BulkProgress{BulkID: b.id, Status: b.last.Status, Running: b.last.Running, Wake: b.last.Wake, Runs: b.runs, Begun: b.begun}
}

// listen takes signals, for as long as the workflow lives.
func (b *bulk) listen(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, contract.BulkSignal)
	workflow.GoNamed(ctx, "signals", func(ctx workflow.Context) {
		for {
			var s contract.BulkSignalled
			if !signals.Receive(ctx, &s) {
				return
			}
			b.take(s)
		}
	})
}

func (b *bulk) take(s contract.BulkSignalled) {
	if s.Do != "" {
		b.asked = append(b.asked, s)
	}
	b.stir = true
}

// run takes step after step until the bulk has ended, or this run has done its part.
func (b *bulk) run(ctx workflow.Context) error {
	keep, _ := workflow.NewDisconnectedContext(ctx)
	for first := true; ; first = false {
		if ctx.Err() != nil && !b.cancelled() {
			b.asked = append(b.asked, contract.BulkSignalled{Do: "abort"})
		}
		at := workflow.Now(ctx)
		if err := b.step(keep, first); err != nil {
			return err
		}
		if b.last.Ended {
			return nil
		}
		if b.full(ctx) {
			b.drain(ctx)
			return nil
		}
		b.wait(ctx, keep, at)
	}
}

// cancelled reports whether a cancellation of the workflow was passed on.
func (b *bulk) cancelled() bool { return b.last.Status == "aborting" }

// full reports whether the next run should go on.
func (b *bulk) full(ctx workflow.Context) bool {
	return b.begun >= b.most || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// drain waits until the children have started: the service forgets those that have not
// when their parent closes. It takes the signals that have come meanwhile, so that none is
// lost with this run, and has the catalogue told what they ask for.
func (b *bulk) drain(ctx workflow.Context) {
	keep, _ := workflow.NewDisconnectedContext(ctx)
	_ = workflow.Await(keep, func() bool { return b.starting == 0 })
	signals := workflow.GetSignalChannel(ctx, contract.BulkSignal)
	for {
		var s contract.BulkSignalled
		if !signals.ReceiveAsync(&s) {
			break
		}
		b.take(s)
	}
	if len(b.asked) == 0 {
		return
	}
	params := contract.StepBulkParams{BulkID: b.id, Now: workflow.Now(ctx).UTC(), Do: b.asked, Only: true}
	if err := record(keep, contract.StepBulkActivity, params, nil); err != nil {
		workflow.GetLogger(ctx).Warn("what was asked for is not done", "error", err)
	}
}

// step takes one step, and starts and stops what it says.
func (b *bulk) step(ctx workflow.Context, first bool) error {
	params := contract.StepBulkParams{BulkID: b.id, Now: workflow.Now(ctx).UTC(), Again: first, Do: b.asked}
	b.stir, b.asked = false, nil
	var got contract.StepBulkResult
	if err := record(ctx, contract.StepBulkActivity, params, &got); err != nil {
		return err
	}
	b.last = got
	for _, s := range got.Start {
		b.begin(ctx, s)
	}
	for _, id := range got.Stop {
		if !b.stopped[id] {
			b.stopped[id] = true
			workflow.RequestCancelExternalWorkflow(ctx, id, "") // one that has ended cannot be, and need not
		}
	}
	return nil
}

// begin starts the import of an item, and has its end noticed.
func (b *bulk) begin(ctx workflow.Context, s contract.BulkStart) {
	if b.known[s.TaskID] {
		return
	}
	b.known[s.TaskID] = true
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            s.WorkflowID,
		TaskQueue:             contract.ImportQueue,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		// Given at the start they cost nothing, and the import writes less of its own.
		TypedSearchAttributes: temporal.NewSearchAttributes(
			keyword(contract.AttrTaskStatus, statusProcessing), keyword(contract.AttrStage, string(contract.StageFetch)),
			keyword(contract.AttrImageID, s.ImageID), keyword(contract.AttrOwner, s.Owner)),
	})
	req := contract.ImportRequest{TaskID: s.TaskID, ImageID: s.ImageID, Owner: s.Owner, Source: contract.SourceSpec{URL: s.URL}}
	child := workflow.ExecuteChildWorkflow(ctx, contract.ImportWorkflow, req)
	b.mine++
	b.starting++
	b.begun++
	workflow.Go(ctx, func(ctx workflow.Context) {
		_ = child.GetChildWorkflowExecution().Get(ctx, nil)
		b.starting--
		err := child.Get(ctx, nil)
		b.mine--
		var started *temporal.ChildWorkflowExecutionAlreadyStartedError
		if errors.As(err, &started) {
			return // somebody else has started it, and nobody tells of its end
		}
		b.stir = true
	})
}

// wait waits until a step is worth its cost.
func (b *bulk) wait(ctx, keep workflow.Context, since time.Time) {
	now := workflow.Now(ctx)
	most := bulkIdle
	switch {
	case b.last.Running > b.mine:
		most = min(bulkLook<<min(b.looks, 10), foreignLook)
	case b.last.Running > 0 && b.last.Watch:
		most = min(bulkLook<<min(b.looks, 10), watchLook)
	}
	if !b.last.Wake.IsZero() {
		most = min(most, max(b.last.Wake.Sub(now), 0))
	}
	stirred := func() bool { return b.stir }
	if most > 0 {
		if ctx.Err() == nil {
			_, _ = workflow.AwaitWithTimeout(ctx, most, stirred) // a cancellation ends it too
		} else {
			_, _ = workflow.AwaitWithTimeout(keep, most, stirred)
		}
	}
	if b.looks++; b.stir {
		b.looks = 0
	}
	if gap := bulkGap - workflow.Now(ctx).Sub(since); gap > 0 {
		_ = workflow.Sleep(keep, gap)
	}
}
