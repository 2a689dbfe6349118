package importer

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// The parts of the SDK's interfaces that nobody calls.
type (
	allSchedules = client.ScheduleClient
	oneSchedule  = client.ScheduleHandle
	oneRun       = client.WorkflowRun
)

// schedules, handle and run are reaping as the SDK's types.
type (
	schedules struct {
		allSchedules
		s *reaping
	}
	handle struct {
		oneSchedule
		s *reaping
	}
	run struct {
		oneRun
		s *reaping
	}
)

// reaping is a service with one schedule and one run.
type reaping struct {
	service

	asked    string // the workflow that was asked about
	result   any
	endless  bool // the run does not end
	runErr   error
	created  []client.ScheduleOptions
	makeErr  error
	schedule *client.Schedule // as updated
	goneErr  error
	deleted  int
}

func (s *reaping) GetWorkflow(_ context.Context, id, _ string) client.WorkflowRun {
	s.asked = id
	return run{s: s}
}

func (r run) Get(ctx context.Context, out any) error {
	s := r.s
	if s.endless {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.runErr != nil {
		return s.runErr
	}
	raw, err := json.Marshal(s.result)
	return errors.Join(err, json.Unmarshal(raw, out))
}

func (s *reaping) ScheduleClient() client.ScheduleClient { return schedules{s: s} }

func (c schedules) GetHandle(context.Context, string) client.ScheduleHandle { return handle{s: c.s} }

func (c schedules) Create(_ context.Context, o client.ScheduleOptions) (client.ScheduleHandle, error) {
	c.s.created = append(c.s.created, o)
	return handle{s: c.s}, c.s.makeErr
}

func (h handle) Update(_ context.Context, o client.ScheduleUpdateOptions) error {
	u, err := o.DoUpdate(client.ScheduleUpdateInput{Description: client.ScheduleDescription{Schedule: client.Schedule{
		State: &client.ScheduleState{Paused: true}, Policy: &client.SchedulePolicies{CatchupWindow: time.Hour}}}})
	if err == nil {
		h.s.schedule = u.Schedule
	}
	return err
}

func (h handle) Delete(context.Context) error {
	h.s.deleted++
	return h.s.goneErr
}

func TestReapIsStartedByHand(t *testing.T) {
	s := &reaping{}
	r := NewReaper(s)
	id, err := r.Start(t.Context(), contract.ReapParams{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.options; o.ID != contract.ReapID(id) || o.TaskQueue != contract.ImportQueue || o.WorkflowExecutionTimeout != reapLife || s.workflow != contract.ReapWorkflow {
		t.Errorf("started %v with %+v", s.workflow, o)
	}
	if p, ok := s.args[0].(contract.ReapParams); !ok || !p.DryRun {
		t.Errorf("arguments %+v", s.args)
	}
	if _, err := r.Start(t.Context(), contract.ReapParams{Kind: "everything"}); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("an unknown kind: %v", err)
	}
	s.err = serviceerror.NewUnavailable("away")
	if _, err := r.Start(t.Context(), contract.ReapParams{}); err == nil {
		t.Error("a service that is away starts one")
	}
}

func TestResultOfAReap(t *testing.T) {
	s := &reaping{result: contract.ReapResult{Counts: map[string]int{"upload": 3}}}
	r := NewReaper(s)
	out, done, err := r.Result(t.Context(), "1")
	if err != nil || !done || out.Counts["upload"] != 3 || s.asked != contract.ReapID("1") {
		t.Errorf("%+v, %v, %v, of %s", out, done, err, s.asked)
	}
	s.endless, r.wait = true, time.Millisecond
	if _, done, err := r.Result(t.Context(), "1"); done || err != nil {
		t.Errorf("one that runs: %v, %v", done, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, done, err := r.Result(ended, "1"); done || err == nil {
		t.Errorf("an ended request: %v, %v", done, err)
	}
	s.endless, r.wait = false, time.Minute
	s.runErr = serviceerror.NewNotFound("none")
	if _, done, err := r.Result(t.Context(), "1"); done || errcode.Of(err) != errcode.NotFound {
		t.Errorf("none: %v, %v", done, err)
	}
	s.runErr = temporal.NewApplicationError("busy", string(errcode.CatalogueBusy), contract.ErrorValue{Code: errcode.CatalogueBusy, Message: "busy"})
	if _, done, err := r.Result(t.Context(), "1"); done || errcode.Of(err) != errcode.CatalogueBusy {
		t.Errorf("one that failed: %v, %v", done, err)
	}
}

func TestScheduleOfReap(t *testing.T) {
	s := &reaping{}
	r := NewReaper(s)
	if err := r.Schedule(t.Context(), time.Hour); err != nil || s.schedule != nil {
		t.Fatal(err)
	}
	o := s.created[0]
	action := o.Action.(*client.ScheduleWorkflowAction)
	if o.ID != contract.ReapSchedule || o.Spec.Intervals[0].Every != time.Hour || o.Overlap != enumspb.SCHEDULE_OVERLAP_POLICY_SKIP || o.CatchupWindow != time.Minute ||
		action.Workflow != contract.ReapWorkflow || action.TaskQueue != contract.ImportQueue {
		t.Errorf("made %+v with %+v", o, action)
	}
	// One that is there gets the interval and the action, and keeps what people have set.
	s.makeErr = temporal.ErrScheduleAlreadyRunning
	if err := r.Schedule(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if s.schedule.Spec.Intervals[0].Every != time.Minute || !s.schedule.State.Paused || s.schedule.Policy.CatchupWindow != time.Hour {
		t.Errorf("set %+v", s.schedule)
	}
	s.makeErr = serviceerror.NewUnavailable("away")
	if err := r.Schedule(t.Context(), time.Minute); err == nil {
		t.Error("a service that is away has a schedule")
	}
	for _, gone := range []error{nil, serviceerror.NewNotFound("none")} {
		s.goneErr = gone
		if err := r.Schedule(t.Context(), 0); err != nil {
			t.Errorf("no schedule: %v", err)
		}
	}
	s.goneErr = serviceerror.NewUnavailable("away")
	if err := r.Schedule(t.Context(), 0); err == nil || s.deleted != 3 || len(s.created) != 3 {
		t.Errorf("%v, %d removed, %d made", err, s.deleted, len(s.created))
	}
}
