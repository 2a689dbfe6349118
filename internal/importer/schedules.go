package importer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A ScheduleService is what is used of a Temporal client for schedules.
type ScheduleService interface {
	ScheduleClient() client.ScheduleClient
	WorkflowService() workflowservice.WorkflowServiceClient
}

// A Scheduler keeps schedules on a Temporal service. It is safe for concurrent use.
type Scheduler struct {
	client    ScheduleService
	namespace string
}

// NewScheduler returns a scheduler that works through c, in the namespace of c.
func NewScheduler(c ScheduleService, namespace string) *Scheduler { return &Scheduler{c, namespace} }

// Put makes a schedule as it is said, or changes the one that there is, unless that is of
// a later revision.
func (s *Scheduler) Put(ctx context.Context, w contract.Scheduled) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	spec, err := specOf(w.Timing)
	if err != nil {
		return err
	}
	id := contract.ScheduleID(w.ID)
	action := &client.ScheduleWorkflowAction{
		ID: contract.RunPrefix(w.Owner, w.ID), Workflow: contract.ReimportWorkflow, TaskQueue: contract.ImportQueue,
		Args: []any{contract.ReimportRequest{ScheduleID: w.ID}},
	}
	policy := client.SchedulePolicies{Overlap: overlapOf(w.Timing.Overlap), CatchupWindow: time.Duration(w.Timing.CatchupSeconds) * time.Second}
	_, err = s.client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: spec, Action: action, Overlap: policy.Overlap, CatchupWindow: policy.CatchupWindow, Note: noteOf(w), Paused: w.Paused,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = s.client.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			old := in.Description.Schedule
			if old.State != nil && revisionOf(old.State.Note) > w.Revision {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			old.Spec, old.Action, old.Policy = &spec, action, &policy
			old.State = &client.ScheduleState{Note: noteOf(w), Paused: w.Paused}
			return &client.ScheduleUpdate{Schedule: &old}, nil
		}})
		if errors.Is(err, temporal.ErrSkipScheduleUpdate) {
			err = nil
		}
	}
	return serviceError(err, "set schedule %s", id)
}

// noteOf says whose the schedule is, and its revision.
func noteOf(w contract.Scheduled) string {
	return fmt.Sprintf("ingest: %s, revision %d", w.Name, w.Revision)
}

func revisionOf(note string) int64 {
	n, err := strconv.ParseInt(note[strings.LastIndexByte(note, ' ')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// specOf writes a timing as the service has it.
func specOf(t contract.Timing) (client.ScheduleSpec, error) {
	out := client.ScheduleSpec{Jitter: time.Duration(t.JitterSeconds) * time.Second, TimeZoneName: t.TimeZone}
	if t.EverySeconds > 0 {
		out.Intervals = []client.ScheduleIntervalSpec{{Every: time.Duration(t.EverySeconds) * time.Second, Offset: time.Duration(t.OffsetSeconds) * time.Second}}
	}
	for _, line := range t.Cron {
		c, err := contract.ParseCron(line)
		if err != nil {
			return out, err
		}
		out.Calendars = append(out.Calendars, client.ScheduleCalendarSpec{
			Second: []client.ScheduleRange{{Start: 0, End: 0, Step: 1}}, Minute: ranges(c.Minute), Hour: ranges(c.Hour),
			DayOfMonth: ranges(c.Day), Month: ranges(c.Month), DayOfWeek: ranges(c.Weekday), Comment: line,
		})
	}
	return out, nil
}

func ranges(in []contract.CronRange) []client.ScheduleRange {
	out := make([]client.ScheduleRange, 0, len(in))
	for _, r := range in {
		out = append(out, client.ScheduleRange{Start: r.Start, End: r.End, Step: r.Step})
	}
	return out
}

func overlapOf(name string) enumspb.ScheduleOverlapPolicy {
	switch name {
	case contract.OverlapBufferOne:
		return enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE
	case contract.OverlapBufferAll:
		return enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
	case contract.OverlapCancelOther:
		return enumspb.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER
	}
	return enumspb.SCHEDULE_OVERLAP_POLICY_SKIP
}

// Has reports whether the service knows a schedule.
func (s *Scheduler) Has(ctx context.Context, id string) (bool, error) {
	_, err := s.Next(ctx, id)
	if errcode.Of(err) == errcode.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Next lists the times at which a schedule runs next. errcode.NotFound says that the
// service does not know it.
func (s *Scheduler) Next(ctx context.Context, id string) ([]time.Time, error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	d, err := s.client.ScheduleClient().GetHandle(ctx, contract.ScheduleID(id)).Describe(ctx)
	if err != nil {
		return nil, serviceError(err, "describe schedule %s", contract.ScheduleID(id))
	}
	return d.Info.NextActionTimes, nil
}

// Delete makes the service forget a schedule. One that it does not know is no error.
func (s *Scheduler) Delete(ctx context.Context, id string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	err := s.client.ScheduleClient().GetHandle(ctx, contract.ScheduleID(id)).Delete(ctx)
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return nil
	}
	return serviceError(err, "delete schedule %s", contract.ScheduleID(id))
}

// Backfill runs a schedule once for each time that it had between two moments, one run
// after the other, and returns how many that are. None, and more than
// contract.MaxBackfill, are errcode.BadRequest.
func (s *Scheduler) Backfill(ctx context.Context, id string, from, to time.Time) (int, error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	name := contract.ScheduleID(id)
	got, err := s.client.WorkflowService().ListScheduleMatchingTimes(ctx, &workflowservice.ListScheduleMatchingTimesRequest{
		Namespace: s.namespace, ScheduleId: name, StartTime: timestamppb.New(from), EndTime: timestamppb.New(to),
	})
	if err != nil {
		return 0, serviceError(err, "list times of schedule %s", name)
	}
	n := len(got.GetStartTime())
	if n == 0 || n > contract.MaxBackfill {
		return 0, errcode.New(errcode.BadRequest, "the schedule has %d times between %s and %s, and a backfill 1 to %d", n, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), contract.MaxBackfill).
			With(errcode.Evidence{Structure: "request", Field: "from", Value: strconv.Itoa(n), Limit: strconv.Itoa(contract.MaxBackfill)})
	}
	err = s.client.ScheduleClient().GetHandle(ctx, name).Backfill(ctx, client.ScheduleBackfillOptions{Backfill: []client.ScheduleBackfill{
		{Start: from, End: to, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL},
	}})
	return n, serviceError(err, "backfill schedule %s", name)
}
