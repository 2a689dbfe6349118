// Package reconcile keeps the catalogue and the workflow service in step. The
// catalogue is the authority: what it accepted and what has no workflow is
// started again; only what was terminated, or was lost too often, is failed.
//
// It also sweeps: objects, uploads and staged files that no unfinished task and
// no image names, and that have been there for a while, are removed.
package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// A State is what the workflow service knows of a workflow.
type State string

// The states.
const (
	Missing    State = "missing"    // never started, or its history is gone
	Running    State = "running"    // nothing to do
	Completed  State = "completed"  // ended by itself, in whatever way
	Cancelled  State = "cancelled"  // ended by a cancel
	Terminated State = "terminated" // ended from outside, without its clean-up
	TimedOut   State = "timed out"  // ended by its own limit
)

// Workflows is the workflow service.
type Workflows interface {
	State(ctx context.Context, workflowID string) (State, error)
	Start(ctx context.Context, req contract.ImportRequest, workflowID string) error
	// Steer tells a running workflow how its task is to be worked on.
	Steer(ctx context.Context, workflowID string, c contract.Control) error
}

// Cleaner removes what a task left behind, except the object that its image
// names.
type Cleaner interface {
	Remove(ctx context.Context, t metadata.Task) error
}

var _ Cleaner = (*Sweeper)(nil)

// MaxRestarts is how often a lost workflow is started again.
const MaxRestarts = 5

// grace is how long a task may be without a workflow: the API records first and
// starts then, and a task that is ending closes its workflow a moment later.
const grace = 3 * time.Second

// A Reconciler compares from time to time.
type Reconciler struct {
	Catalogue *metadata.Catalogue
	Workflows Workflows
	Cleaner   Cleaner
	Bulks     BulkWorkflows // nil looks at no bulks
	Log       zerolog.Logger
	Now       func() time.Time // nil means time.Now
}

// Run reconciles at once and then every interval, until the context ends.
func (r *Reconciler) Run(ctx context.Context, interval time.Duration) {
	Every(ctx, interval, r.Log, "reconcile", r.Once)
}

// Once looks at every unfinished task. One task's trouble does not keep it from
// the others; the last error is returned.
func (r *Reconciler) Once(ctx context.Context) error {
	tasks, err := r.Catalogue.Unfinished(ctx)
	if err != nil {
		return err
	}
	last := r.bulks(ctx)
	for _, t := range tasks {
		if r.now().Sub(t.UpdatedAt) < grace {
			continue
		}
		if err := r.Task(ctx, t); err != nil {
			last = err
		}
	}
	return last
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Task brings one unfinished task in step with its workflow.
func (r *Reconciler) Task(ctx context.Context, t metadata.Task) error {
	state, err := r.Workflows.State(ctx, t.WorkflowID)
	if err != nil {
		return err
	}
	if state == Running {
		return r.steer(ctx, t)
	}
	// The list is older than the answer: a task that has ended in between is
	// none of ours, and its image may be another import's by now.
	if t, err = r.Catalogue.Task(ctx, t.ID); err != nil || t.Status.Finished() {
		return err
	}
	switch state {
	case Terminated:
		return r.fail(ctx, t, errcode.TaskTerminated)
	case TimedOut:
		return r.fail(ctx, t, errcode.TaskTimedOut)
	case Cancelled:
		return r.fail(ctx, t, errcode.TaskCancelled)
	}
	// A workflow that completed but whose task is unfinished wrote its end
	// into a catalogue that was lost or restored: the import runs again.
	return r.restart(ctx, t)
}

// steer tells a workflow what it may not have been told: that its task was paused or
// resumed, or has another priority.
func (r *Reconciler) steer(ctx context.Context, t metadata.Task) error {
	if t.SteerTold >= t.Steered {
		return nil
	}
	c := contract.Control{Revision: t.Steered, Paused: t.Paused, Priority: t.Priority}
	if err := r.Workflows.Steer(ctx, t.WorkflowID, c); err != nil {
		return err
	}
	return r.Catalogue.SteerTold(ctx, t.ID, t.Steered)
}

func (r *Reconciler) restart(ctx context.Context, t metadata.Task) error {
	var req contract.ImportRequest
	if err := json.Unmarshal(t.Request, &req); err != nil {
		return r.fail(ctx, t, errcode.TaskLost)
	}
	if t.Restarts >= MaxRestarts {
		return r.fail(ctx, t, errcode.TaskLost)
	}
	// Only what was really started is counted: a service that refuses starts
	// for a while must not use an import's restarts up.
	if err := r.Workflows.Start(ctx, req, t.WorkflowID); err != nil {
		return err
	}
	n, err := r.Catalogue.Restarted(ctx, t.ID)
	if errcode.Of(err) == errcode.Conflict {
		return nil // it has ended already
	}
	if err == nil {
		r.Log.Warn().Str("task", t.ID).Str("workflow", t.WorkflowID).Int("restart", n).Msg("task has no workflow: started again")
	}
	return err
}

// fail records the task's end and then removes what it left. In this order, because
// an activity of a workflow that was terminated may still be running: what it would
// activate is refused from then on, and can be removed. A store that does not answer
// keeps no task from its end; what is left there is swept.
func (r *Reconciler) fail(ctx context.Context, t metadata.Task, code errcode.Code) error {
	d := errcode.Lookup(code)
	err := r.Catalogue.Fail(ctx, t.ID, metadata.TaskError{Code: code, Message: d.Meaning, Stage: t.Stage, Remedy: d.Remedy})
	if err != nil {
		return err
	}
	r.Log.Error().Str("task", t.ID).Str("code", string(code)).Msg("task failed by the reconciler")
	if r.Cleaner == nil {
		return nil
	}
	if err := r.Cleaner.Remove(ctx, t); err != nil {
		r.Log.Warn().Err(err).Str("task", t.ID).Msg("what the task has left is left for the sweep")
	}
	return nil
}
