package importer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// reapLife ends a Reap that nobody has worked on for so long.
const reapLife = 24 * time.Hour

// A Reaping is what is used of a Temporal client to reap.
type Reaping interface {
	Client
	GetWorkflow(ctx context.Context, workflowID, runID string) client.WorkflowRun
	ScheduleClient() client.ScheduleClient
}

// A Reaper starts the Reap workflow on a Temporal service, by hand and by a
// schedule. It is safe for concurrent use.
type Reaper struct {
	client Reaping
	wait   time.Duration
}

// NewReaper returns a reaper that works through c.
func NewReaper(c Reaping) *Reaper { return &Reaper{client: c, wait: callTimeout} }

// Start starts a Reap and returns its id.
func (r *Reaper) Start(ctx context.Context, p contract.ReapParams) (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	id := uuid.NewString()
	_, err := r.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: contract.ReapID(id), TaskQueue: contract.ImportQueue, WorkflowExecutionTimeout: reapLife,
	}, contract.ReapWorkflow, p)
	return id, serviceError(err, "start workflow %s", contract.ReapID(id))
}

// Result waits a few seconds for what a Reap has come to. done is false while it
// runs.
func (r *Reaper) Result(ctx context.Context, id string) (out contract.ReapResult, done bool, err error) {
	waiting, stop := context.WithTimeout(ctx, r.wait)
	defer stop()
	err = r.client.GetWorkflow(waiting, contract.ReapID(id), "").Get(waiting, &out)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return out, false, nil
	}
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return out, false, errcode.Wrap(err, errcode.NotFound, "there is no collection %q", id)
	}
	var v contract.ErrorValue
	if err != nil && carried(err, &v) {
		return out, false, again(err, v)
	}
	return out, err == nil, serviceError(err, "workflow %s", contract.ReapID(id))
}

// Schedule has Reap run every so often, beginning with the next interval: it makes
// the schedule, or sets the one that there is. An interval of 0 removes it. A run
// that takes longer than the interval is not run twice at a time; one that was
// missed while no service ran is not made up for.
func (r *Reaper) Schedule(ctx context.Context, every time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	all := r.client.ScheduleClient()
	h := all.GetHandle(ctx, contract.ReapSchedule)
	if every == 0 {
		err := h.Delete(ctx)
		var missing *serviceerror.NotFound
		if errors.As(err, &missing) {
			return nil
		}
		return serviceError(err, "delete schedule %s", contract.ReapSchedule)
	}
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: every / 10}
	action := &client.ScheduleWorkflowAction{
		ID: contract.ReapSchedule, Workflow: contract.ReapWorkflow, TaskQueue: contract.ImportQueue,
		Args: []any{contract.ReapParams{}}, WorkflowExecutionTimeout: reapLife,
	}
	_, err := all.Create(ctx, client.ScheduleOptions{
		ID: contract.ReapSchedule, Spec: spec, Action: action,
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: time.Minute,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = h.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			s := in.Description.Schedule
			s.Spec, s.Action = &spec, action
			return &client.ScheduleUpdate{Schedule: &s}, nil
		}})
	}
	return serviceError(err, "set schedule %s", contract.ReapSchedule)
}
