package workflows

import (
	"encoding/json"
	"errors"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// controlled names the change by which a workflow obeys contract.ControlSignal. One that
// an earlier version has run let such signals lie.
const controlled = "controlled"

// cutOffAgain names the change by which an interrupted activity goes on however it was
// cut off.
const cutOffAgain = "cut-off-again"

// A turn is an activity at work that may be interrupted.
type turn struct {
	stop        workflow.CancelFunc
	interrupted bool
}

// obey takes control signals, for as long as the workflow lives.
func (st *state) obey(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, contract.ControlSignal)
	workflow.GoNamed(ctx, "control", func(ctx workflow.Context) {
		for {
			var c contract.Control
			if !signals.Receive(ctx, &c) {
				return
			}
			if workflow.GetVersion(ctx, controlled, workflow.DefaultVersion, 1) >= 1 {
				st.steer(c)
			}
		}
	})
}

// steer takes a change that is newer than what is known. Who is paused stops at the next
// resume point. Who has another priority, and has not been heard of, may stand in a queue
// of the service with the old one, and queues again.
func (st *state) steer(c contract.Control) {
	was := st.control
	if c.Revision <= was.Revision {
		return
	}
	st.control = c
	moved := contract.PriorityKey(c.Priority) != contract.PriorityKey(was.Priority) && st.heard.IsZero()
	if !(c.Paused && !was.Paused) && !moved {
		return
	}
	for _, t := range st.turns {
		t.interrupted = true
		t.stop()
	}
}

// told takes what the catalogue knew when the task was registered.
func (st *state) told(c *contract.Control) {
	if c != nil && c.Revision >= st.control.Revision {
		st.control = *c
	}
}

// gate waits while the task is paused.
func (st *state) gate(ctx workflow.Context) error {
	if !st.control.Paused {
		return nil
	}
	st.heard, st.progress.Rate, st.progress.ETA = workflow.Now(ctx), 0, -1
	if workflow.Await(ctx, func() bool { return !st.control.Paused }) != nil {
		return ctx.Err() // Await's own error has a text for details, and is read as nobody's
	}
	return nil
}

// work runs an activity that goes on where it was after its task was paused. anywhere has
// the activity's options. A fetch goes on where it has staged something, as long as that
// host answers.
func (st *state) work(anywhere workflow.Context, activity string, params, result any) error {
	ctx := anywhere
	for {
		if err := st.gate(ctx); err != nil {
			return err
		}
		err, again := st.attempt(ctx, activity, params, result)
		if st.parked != "" && hostSilent(err) && ctx.Err() == nil {
			st.placeAt(st.parked)
			st.parked, ctx = "", anywhere
			continue
		}
		if !again {
			return err
		}
		params = resumed(params, err)
		if queue := explainQueue(err); activity == contract.FetchActivity && queue != "" {
			st.parked = queue
			ctx = parkedOn(anywhere, queue)
		}
	}
}

// attempt runs the activity once. again says that it was interrupted, and err what it has
// left.
func (st *state) attempt(ctx workflow.Context, activity string, params, result any) (err error, again bool) {
	inner, stop := workflow.WithCancel(ctx)
	t := &turn{stop: stop}
	st.turns = append(st.turns, t)
	err = workflow.ExecuteActivity(st.ranked(inner), activity, params).Get(ctx, result)
	st.turns = slices.DeleteFunc(st.turns, func(o *turn) bool { return o == t })
	if !t.interrupted || ctx.Err() != nil {
		return err, false
	}
	return err, temporal.IsCanceledError(err) ||
		cutOff(err) && workflow.GetVersion(ctx, cutOffAgain, workflow.DefaultVersion, 1) >= 1
}

// cutOff reports whether an activity ended in a way after which it is tried again: its
// worker was killed, or stopped, or something did not answer. The service does not do it
// for one that was asked to end, which may not have heard of that yet.
func cutOff(err error) bool {
	var activity *temporal.ActivityError
	if errors.As(err, &activity) && activity.RetryState() == enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED {
		return false
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_HEARTBEAT
	}
	var app *temporal.ApplicationError
	return errors.As(err, &app) && !app.NonRetryable() && !fetchAgain(err) && !verifyMismatch(err)
}

// ranked gives an activity the task's place among those that wait.
func (st *state) ranked(ctx workflow.Context) workflow.Context {
	if key := contract.PriorityKey(st.control.Priority); key != 0 {
		return workflow.WithPriority(ctx, temporal.Priority{PriorityKey: key})
	}
	return ctx
}

// resumed are the parameters of an activity that goes on behind the hint of the one that
// was interrupted. All but one find by themselves where they were.
func resumed(params any, err error) any {
	p, reads := params.(contract.ChecksumParams)
	if !reads {
		return params
	}
	if hint := explainResume(err); len(hint) > 0 {
		p.Resume = hint
	}
	return p
}

// explainResume reads the hint from the end of an interrupted activity, or from the last
// heartbeat of one whose worker was killed.
func explainResume(err error) json.RawMessage {
	var cancelled *temporal.CanceledError
	var timeout *temporal.TimeoutError
	var v contract.ErrorValue
	var beat contract.Heartbeat
	switch {
	case errors.As(err, &cancelled):
		if cancelled.HasDetails() && cancelled.Details(&v) == nil {
			return v.Resume
		}
	case errors.As(err, &timeout):
		if timeout.HasLastHeartbeatDetails() && timeout.LastHeartbeatDetails(&beat) == nil {
			return beat.Resume
		}
	}
	return nil
}
