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

	// quiet says that the workflow was started with its search attributes, as a bulk starts
	// its items: it then writes nothing down of stages that are over in a moment. due says
	// that the attributes are behind. Filled in by newState; due is set by convert.
	quiet, due bool

	// progress is what the query answers. Its stage and status are set by enter
	// and finish, its figures by observe, from the activities' signals.
	progress contract.Progress
	// heard is when the figures in progress were taken, by the clock of the
	// worker that took them; zero if they are not from a signal. Set by observe.
	heard time.Time

	// control is how the task is to be worked on. Set by steer, and by told at the begin.
	control contract.Control
	// turns are the activities at work that may be interrupted. Set by attempt.
	turns []*turn
	// parked is the queue of the host on which a fetch was interrupted, "" if none was.
	// Set by work.
	parked string

	// round counts the rounds from 1. Filled in by fetch.
	round int
	// places is where each round left bytes, the last one's at the end: its
	// queue is filled in by fetch, store and key by convert.
	places []place

	// What the stages of this round have found; nil until then. Each is filled
	// in by its stage; all but fetched are emptied by nextRound.
	fetched  *contract.Fetched
	detected *contract.Detected
	// disks has one for each disk that was detected, in their order.
	disks []*disk
	// disk is the number of the disk that is worked on, from 1; 0 if that is all
	// of them, or the only one. Set by at.
	disk int

	// stores are all stores that the image is brought into, if it is several. Filled
	// in by validate; with all the stores of a copy by CopyImage.
	stores []string
	// failed are those of stores that were given up, and lost what may lie there.
	// Filled in by giveUp.
	failed []string
	lost   []contract.Leftover
	// refused is what the last of them failed with.
	refused error
	// moved counts how often the first store was given up for another one.
	moved int
	// parts are the figures of copies that run side by side. Filled in by copyAll.
	parts []contract.Progress
}

// A disk is what the stages have made of one disk; nil until then.
type disk struct {
	validated   *contract.Validated
	converted   *contract.Converted
	checksummed *contract.Checksummed
	stored      *contract.Stored
	// copies are those in the further stores, in their order as they were made.
	copies []contract.Stored
}

// A place is where a round left bytes.
type place struct {
	queue string // task queue of the host, "" for any
	store string // name of the store, "" for the default one
	key   string // of the upload and of the object, "" if none was begun
	// further are the uploads of the disks behind the first one.
	further []contract.Leftover
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
	_, announced := workflow.GetTypedSearchAttributes(ctx).GetKeyword(temporal.NewSearchAttributeKeyKeyword(contract.AttrTaskStatus))
	st := &state{workflowID: id, runID: info.OriginalRunID, req: req, quiet: announced}
	st.control.Priority = contract.DefaultPriority
	st.progress.Status = statusPending
	st.enter(ctx, contract.StageRegister)
	return st
}

// enter begins a stage: the figures of the one before are over.
func (st *state) enter(ctx workflow.Context, s contract.Stage) {
	st.heard, st.parts = time.Time{}, nil
	st.progress = contract.Progress{
		TaskID:     st.req.TaskID,
		Status:     st.progress.Status,
		Stage:      s,
		Total:      -1,
		ETA:        -1,
		Attempt:    1,
		ObservedAt: workflow.Now(ctx),
	}
	if st.disk > 0 {
		st.progress.Disk, st.progress.Disks = st.disk, len(st.disks)
	}
}

// accepted takes what the catalogue has accepted: that counts, and not what the workflow
// was started with.
func (st *state) accepted(req contract.ImportRequest, c *contract.Control) {
	st.req = req
	st.told(c)
	st.registered = true
	st.progress.TaskID = req.TaskID
}

// finish ends the import with a task status.
func (st *state) finish(ctx workflow.Context, status string, s contract.Stage) {
	st.enter(ctx, s)
	st.progress.Status, st.progress.ETA = status, 0
}

// observe takes an activity's figures. Signals may come late and out of order:
// those of another stage or disk, of an attempt that was given up, or older than what
// is known are dropped.
func (st *state) observe(p contract.Progress) {
	known := st.progress
	if p.Store != "" {
		st.observePart(p)
		return
	}
	if p.Stage != known.Stage || p.Disk != known.Disk || p.Attempt < known.Attempt {
		return
	}
	if p.Attempt == known.Attempt && p.ObservedAt.Before(st.heard) {
		return
	}
	st.heard = p.ObservedAt
	p.TaskID, p.Status, p.Disks = known.TaskID, known.Status, known.Disks
	st.progress = p
}

// serve answers queries and takes signals, for as long as the workflow lives.
func (st *state) serve(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, contract.ProgressQuery, func() (contract.Progress, error) {
		p := st.progress
		p.Paused = st.control.Paused
		return p, nil
	})
	if err != nil {
		return err
	}
	st.obey(ctx)
	signals := workflow.GetSignalChannel(ctx, contract.ProgressSignal)
	workflow.GoNamed(ctx, "progress", func(ctx workflow.Context) {
		for {
			var p contract.Progress
			if !signals.Receive(ctx, &p) {
				return
			}
			st.observe(p)
			if st.due { // it takes so long that figures come
				st.publish(ctx)
			}
		}
	})
	return nil
}

// nextRound begins again behind a fetch, with an upload of its own.
func (st *state) nextRound(f contract.Fetched) {
	st.round++
	st.places = append(st.places, place{queue: f.Queue, store: st.req.Target.Store})
	st.fetched = &f
	st.detected, st.disks, st.disk = nil, nil, 0
}

// here is the place of this round.
func (st *state) here() *place { return &st.places[len(st.places)-1] }

// at says which disk is worked on from here on, from 0; -1 means all. The only one
// is not counted.
func (st *state) at(i int) *disk {
	st.disk = 0
	if len(st.disks) > 1 {
		st.disk = i + 1
	}
	if i < 0 {
		return nil
	}
	return st.disks[i]
}

// imageID is the id of the image that the disk becomes.
func (st *state) imageID() string {
	return contract.DiskImageID(st.req.TaskID, st.req.ImageID, st.disk)
}

// key names this round's upload and object of the disk. A source whose versions
// cannot be told apart is taken for another one by each run.
func (st *state) key() string {
	pin := st.fetched.Pin()
	if pin == "" {
		pin = st.runID
	}
	return contract.DiskKey(st.req.TaskID, st.req.ImageID, st.round, pin, st.disk)
}

// uploadTo notes where the disk's upload is, or will be.
func (st *state) uploadTo(store string) {
	here := st.here()
	if st.disk <= 1 {
		here.store, here.key = store, st.key()
		return
	}
	up := contract.Leftover{ImageID: st.imageID(), Store: store, Key: st.key()}
	for i := range here.further {
		if here.further[i].Key == up.Key {
			here.further[i] = up
			return
		}
	}
	here.further = append(here.further, up)
}

// publish writes the search attributes by which operators find imports. Each
// call is an event and a write to visibility, so that only milestones make one:
// the import's begin, its conversion's begin, its end.
func (st *state) publish(ctx workflow.Context) {
	st.due = false
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
	if len(st.disks) > 0 && st.disks[0].validated != nil {
		attrs = append(attrs, keyword(contract.AttrTargetFormat, st.disks[0].validated.Target.Named().Format))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attrs...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not written", "error", err)
	}
}

func keyword(name, value string) temporal.SearchAttributeUpdate {
	return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
}

// staged returns the task queue of the workers that reach what a client has sent for
// this import, ok false if its source is another one.
func (st *state) staged() (queue string, ok bool) {
	queue, _, ok = contract.ParseStagedURL(st.req.Source.URL)
	return queue, ok
}
