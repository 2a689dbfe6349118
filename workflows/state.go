package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// Task statuses, as the catalogue and Glance write them.
const (
	statusPending    = "pending"
	statusProcessing = "processing"
	statusSuccess    = "success"
	statusFailure    = "failure"
)

// state is all that one import knows. Each field says who fills it in; nobody
// else writes it.
type state struct {
	// workflowID names this workflow, runID its run before any reset. Filled in
	// by newState.
	workflowID, runID string
	// req is the request: as submitted and with ids by newState; with the
	// server's defaults and the catalogue's ids by register.
	req contract.ImportRequest
	// registered says that the task in the catalogue is this workflow's, so
	// that there is something to undo. Filled in by register.
	registered bool

	// progress is what the query answers. Its stage and status are set by enter
	// and finish, its figures by observe, from the activities' signals.
	progress contract.Progress
	// heard is when the figures in progress were taken, by the clock of the
	// worker that took them; zero if they are not from a signal. Set by observe.
	heard time.Time

	// round counts the rounds from 1. Filled in by fetch.
	round int
	// places is where each round left bytes, the last one's at the end: its
	// queue is filled in by fetch, store and key by convert.
	places []place

	// What the stages of this round have found; nil until then. Each is filled
	// in by its stage; all but fetched are emptied by nextRound.
	fetched     *contract.Fetched
	detected    *contract.Detected
	validated   *contract.Validated
	converted   *contract.Converted
	checksummed *contract.Checksummed
	stored      *contract.Stored
}

// A place is where a round left bytes.
type place struct {
	queue string // task queue of the host, "" for any
	store string // name of the store, "" for the default one
	key   string // of the upload and of the object, "" if none was begun
}

// newState derives the ids that the request leaves out.
func newState(ctx workflow.Context, req contract.ImportRequest) *state {
	info := workflow.GetInfo(ctx)
	id := info.WorkflowExecution.ID
	if req.TaskID == "" {
		req.TaskID = contract.DerivedTaskID(id)
	}
	if req.ImageID == "" {
		req.ImageID = contract.DerivedImageID(req.TaskID, 0)
	}
	st := &state{workflowID: id, runID: info.OriginalRunID, req: req}
	st.progress.Status = statusPending
	st.enter(ctx, contract.StageRegister)
	return st
}

// enter begins a stage: the figures of the one before are over.
func (st *state) enter(ctx workflow.Context, s contract.Stage) {
	st.heard = time.Time{}
	st.progress = contract.Progress{
		TaskID:     st.req.TaskID,
		Status:     st.progress.Status,
		Stage:      s,
		Total:      -1,
		ETA:        -1,
		Attempt:    1,
		ObservedAt: workflow.Now(ctx),
	}
}

// finish ends the import with a task status.
func (st *state) finish(ctx workflow.Context, status string, s contract.Stage) {
	st.enter(ctx, s)
	st.progress.Status, st.progress.ETA = status, 0
}

// observe takes an activity's figures. Signals may come late and out of order:
// those of another stage, of an attempt that was given up, or older than what
// is known are dropped.
func (st *state) observe(p contract.Progress) {
	known := st.progress
	if p.Stage != known.Stage || p.Attempt < known.Attempt {
		return
	}
	if p.Attempt == known.Attempt && p.ObservedAt.Before(st.heard) {
		return
	}
	st.heard = p.ObservedAt
	p.TaskID, p.Status = known.TaskID, known.Status
	st.progress = p
}

// serve answers queries and takes signals, for as long as the workflow lives.
func (st *state) serve(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, contract.ProgressQuery, func() (contract.Progress, error) {
		return st.progress, nil
	})
	if err != nil {
		return err
	}
	signals := workflow.GetSignalChannel(ctx, contract.ProgressSignal)
	workflow.GoNamed(ctx, "progress", func(ctx workflow.Context) {
		for {
			var p contract.Progress
			if !signals.Receive(ctx, &p) {
				return
			}
			st.observe(p)
		}
	})
	return nil
}

// nextRound begins again behind a fetch, with an upload of its own.
func (st *state) nextRound(f contract.Fetched) {
	st.round++
	st.places = append(st.places, place{queue: f.Queue, store: st.req.Target.Store})
	st.fetched = &f
	st.detected, st.validated, st.converted, st.checksummed, st.stored = nil, nil, nil, nil, nil
}

// here is the place of this round.
func (st *state) here() *place { return &st.places[len(st.places)-1] }

// key names this round's upload and object. A source whose versions cannot be
// told apart is taken for another one by each run.
func (st *state) key() string {
	pin := st.fetched.Pin()
	if pin == "" {
		pin = st.runID
	}
	return contract.ObjectKey(st.req.ImageID, contract.DerivedUploadID(st.req.TaskID, st.round, pin))
}

// publish writes the search attributes by which operators find imports. Each
// call is an event and a write to visibility, so that only milestones make one:
// the import's begin, its conversion's begin, its end.
func (st *state) publish(ctx workflow.Context) {
	attrs := []temporal.SearchAttributeUpdate{
		keyword(contract.AttrTaskStatus, st.progress.Status),
		keyword(contract.AttrStage, string(st.progress.Stage)),
		keyword(contract.AttrImageID, st.req.ImageID),
	}
	if st.req.Owner != "" {
		attrs = append(attrs, keyword(contract.AttrOwner, st.req.Owner))
	}
	if st.detected != nil {
		attrs = append(attrs, keyword(contract.AttrSourceFormat, st.detected.Format))
	}
	if st.validated != nil {
		attrs = append(attrs, keyword(contract.AttrTargetFormat, st.validated.Target.Format))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attrs...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not written", "error", err)
	}
}

func keyword(name, value string) temporal.SearchAttributeUpdate {
	return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
}
