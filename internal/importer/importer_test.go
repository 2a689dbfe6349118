package importer

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// service answers as a script says, with the service's own types.
type service struct {
	options  client.StartWorkflowOptions
	workflow any
	args     []any
	err      error // of Execute and Cancel
	query    *contract.Progress
	queryErr error
	pending  []*workflowpb.PendingActivityInfo
	descErr  error
	signal   string
	signals  []any
}

func (s *service) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, w any, args ...any) (client.WorkflowRun, error) {
	s.options, s.workflow, s.args = o, w, args
	return nil, s.err
}

func (s *service) SignalWorkflow(_ context.Context, _, _, name string, arg any) error {
	s.signal, s.signals = name, append(s.signals, arg)
	return s.err
}

func (s *service) CancelWorkflow(context.Context, string, string) error { return s.err }

// encoded is a query's answer as it travels.
type encoded struct{ raw []byte }

func (e encoded) HasValue() bool    { return true }
func (e encoded) Get(dst any) error { return json.Unmarshal(e.raw, dst) }

func (s *service) QueryWorkflow(_ context.Context, _, _, name string, _ ...any) (converter.EncodedValue, error) {
	if s.queryErr != nil || s.query == nil || name != contract.ProgressQuery {
		return nil, errors.Join(s.queryErr, errors.New("no worker"))
	}
	raw, err := json.Marshal(s.query)
	return encoded{raw}, err
}

func (s *service) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if s.descErr != nil {
		return nil, s.descErr
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{PendingActivities: s.pending}, nil
}

var _ Client = (*service)(nil)
var _ Client = client.Client(nil)

func TestStart(t *testing.T) {
	req := contract.ImportRequest{TaskID: "t", Source: contract.SourceSpec{URL: "http://h/i"}}
	for _, c := range []struct {
		name string
		err  error
		want errcode.Code
	}{
		{"started or running", nil, ""},
		{"ended well before", serviceerror.NewWorkflowExecutionAlreadyStarted("done", "", ""), ""},
		{"service away", serviceerror.NewUnavailable("connection refused"), errcode.WorkflowService},
		{"too slow", context.DeadlineExceeded, errcode.WorkflowService},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &service{err: c.err}
			if got := errcode.Of(New(s, nil).Start(context.Background(), req, "import/p/t")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if s.workflow != contract.ImportWorkflow || len(s.args) != 1 || !cmp.Equal(s.args[0], any(req)) {
				t.Errorf("started %v with %v", s.workflow, s.args)
			}
			if s.options.ID != "import/p/t" || s.options.TaskQueue != contract.ImportQueue {
				t.Errorf("started as %q on %q", s.options.ID, s.options.TaskQueue)
			}
			if s.options.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING ||
				s.options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY {
				t.Errorf("the policies would run an import twice: %v", s.options)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errcode.Code
	}{
		{nil, ""},
		{serviceerror.NewNotFound("workflow execution already completed"), errcode.NotFound},
		{serviceerror.NewUnavailable("away"), errcode.WorkflowService},
	} {
		if got := errcode.Of(New(&service{err: c.err}, nil).Cancel(context.Background(), "w")); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

func TestSteer(t *testing.T) {
	want := contract.Control{Revision: 3, Paused: true, Priority: 9}
	for _, c := range []struct {
		err  error
		want errcode.Code
	}{
		{nil, ""},
		{serviceerror.NewNotFound("workflow execution already completed"), errcode.NotFound},
		{serviceerror.NewUnavailable("away"), errcode.WorkflowService},
	} {
		s := &service{err: c.err}
		if got := errcode.Of(New(s, nil).Steer(context.Background(), "w", want)); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
		if s.signal != contract.ControlSignal || len(s.signals) != 1 || s.signals[0] != want {
			t.Errorf("signalled %q %v", s.signal, s.signals)
		}
	}
}

func activity(t *testing.T, name string, attempt int32, at time.Time, p *contract.Progress) *workflowpb.PendingActivityInfo {
	t.Helper()
	out := &workflowpb.PendingActivityInfo{
		ActivityType: &commonpb.ActivityType{Name: name}, Attempt: attempt, ScheduledTime: timestamppb.New(at),
	}
	if p != nil {
		payloads, err := converter.GetDefaultDataConverter().ToPayloads(contract.Heartbeat{Progress: *p})
		if err != nil {
			t.Fatal(err)
		}
		out.HeartbeatDetails, out.LastHeartbeatTime = payloads, timestamppb.New(at)
	}
	return out
}

func TestProgress(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0).UTC() }
	task := metadata.Task{ID: "task", WorkflowID: "w", Status: metadata.TaskProcessing, Stage: "fetch", UpdatedAt: at(0)}
	convert := func(s int, bytes int64) *contract.Progress {
		return &contract.Progress{Stage: contract.StageConvert, Bytes: bytes, Total: 100, Rate: 10, ETA: 5, Attempt: 1, ObservedAt: at(s)}
	}
	failed := activity(t, contract.FetchActivity, 3, at(4), nil)
	failed.LastFailure = &failurepb.Failure{Message: "dial tcp 10.1.2.3:80: secret detail", FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: string(errcode.SourceUnreachable)}}}
	lost := activity(t, contract.ConvertActivity, 2, at(4), convert(4, 40))
	lost.LastFailure = &failurepb.Failure{FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{}}}

	for _, c := range []struct {
		name string
		s    service
		want contract.Progress
		code errcode.Code
	}{
		{
			name: "the heartbeat is fresher",
			s:    service{query: convert(2, 20), pending: []*workflowpb.PendingActivityInfo{activity(t, contract.ConvertActivity, 1, at(3), convert(3, 30))}},
			want: contract.Progress{Stage: contract.StageConvert, Bytes: 30, Total: 100, Rate: 10, ETA: 5, Attempt: 1, ObservedAt: at(3)},
		},
		{
			name: "the workflow is fresher",
			s:    service{query: convert(4, 40), pending: []*workflowpb.PendingActivityInfo{activity(t, contract.ConvertActivity, 1, at(3), convert(3, 30))}},
			want: contract.Progress{Stage: contract.StageConvert, Bytes: 40, Total: 100, Rate: 10, ETA: 5, Attempt: 1, ObservedAt: at(4)},
		},
		{
			name: "no worker answers",
			s:    service{queryErr: errors.New("no poller"), pending: []*workflowpb.PendingActivityInfo{lost}},
			want: contract.Progress{Stage: contract.StageConvert, Bytes: 40, Total: 100, Rate: 10, ETA: 5, Attempt: 2, ObservedAt: at(4), Message: "tried again after its worker was lost"},
		},
		{
			name: "tried again without a beat",
			s:    service{queryErr: errors.New("no poller"), pending: []*workflowpb.PendingActivityInfo{failed}},
			want: contract.Progress{Stage: contract.StageFetch, Total: -1, ETA: -1, Attempt: 3, ObservedAt: at(4), Message: "tried again after IMG_SOURCE_UNREACHABLE: " + errcode.Lookup(errcode.SourceUnreachable).Meaning},
		},
		{
			name: "of two activities the later",
			s: service{pending: []*workflowpb.PendingActivityInfo{
				activity(t, contract.ConvertActivity, 1, at(6), convert(6, 60)), activity(t, contract.FetchActivity, 1, at(1), nil)}},
			want: contract.Progress{Stage: contract.StageConvert, Bytes: 60, Total: 100, Rate: 10, ETA: 5, Attempt: 1, ObservedAt: at(6)},
		},
		{
			name: "nothing is at work",
			s:    service{query: &contract.Progress{Stage: contract.StageStore, Total: -1, ETA: -1, ObservedAt: at(9)}},
			want: contract.Progress{Stage: contract.StageStore, Total: -1, ETA: -1, ObservedAt: at(9)},
		},
		{
			name: "neither worker nor activity",
			s:    service{},
			want: contract.Progress{Stage: contract.StageFetch, Total: -1, ETA: -1, ObservedAt: at(0)},
		},
		{name: "no such workflow", s: service{descErr: serviceerror.NewNotFound("gone")}, code: errcode.NotFound},
		{name: "service away", s: service{descErr: serviceerror.NewUnavailable("away")}, code: errcode.WorkflowService},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := New(&c.s, nil).Progress(context.Background(), task)
			if code := errcode.Of(err); code != c.code {
				t.Fatalf("got error %v, want %q", err, c.code)
			}
			if c.code != "" {
				return
			}
			c.want.TaskID, c.want.Status = "task", "processing"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A heartbeat knows the number of its disk, and the workflow of how many it is.
func TestProgressOfSeveralDisks(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0).UTC() }
	task := metadata.Task{ID: "task", WorkflowID: "w", Status: metadata.TaskProcessing, Stage: "convert", Message: contract.DiskMessage(2), UpdatedAt: at(0)}
	said := &contract.Progress{Stage: contract.StageConvert, Total: -1, ETA: -1, Attempt: 1, Disk: 2, Disks: 3, ObservedAt: at(1)}
	beat := &contract.Progress{Stage: contract.StageConvert, Bytes: 7, Total: 100, ETA: 5, Attempt: 1, Disk: 2, ObservedAt: at(2)}
	want := contract.Progress{TaskID: "task", Status: "processing", Stage: contract.StageConvert, Bytes: 7, Total: 100, ETA: 5, Attempt: 1, Disk: 2, Disks: 3, ObservedAt: at(2)}
	for _, c := range []struct {
		name  string
		s     service
		disks int
	}{
		{"both", service{query: said, pending: []*workflowpb.PendingActivityInfo{activity(t, contract.ConvertActivity, 1, at(2), beat)}}, 3},
		{"no worker answers", service{queryErr: errors.New("no poller"), pending: []*workflowpb.PendingActivityInfo{activity(t, contract.ConvertActivity, 1, at(2), beat)}}, 0},
	} {
		got, err := New(&c.s, nil).Progress(context.Background(), task)
		want.Disks = c.disks
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.name, err, diff)
		}
	}
}
