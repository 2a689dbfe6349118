package replaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ingest/activities"
	"ingest/activities/activitytest"
	"ingest/detect"
	"ingest/internal/contract"
	"ingest/internal/embedded"
	"ingest/internal/errcode"
	"ingest/internal/reconcile"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/workflows"
)

var update = flag.Bool("update-replay", false, "write ../testdata/replay anew")

// identity stands in the histories instead of the name of a machine.
const identity = "recorder"

func quiet() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func dial(t *testing.T) client.Client {
	t.Helper()
	server, err := embedded.Start(context.Background(), embedded.Options{Dir: t.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.Dial(client.Options{HostPort: server.HostPort(), Identity: identity, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve runs one worker for each queue, on one set of steps, and returns their catalogue.
func serve(t *testing.T, c client.Client, deaf bool, steps pipeline.Steps, queues ...string) *metadata.Catalogue {
	t.Helper()
	cat := activitytest.NewCatalogue(t)
	schedule(t, cat)
	d := activities.Deps{Steps: steps, Catalogue: cat, Signaller: c, Log: zerolog.Nop(), Looker: still{},
		Reaper: &reconcile.Reaper{Catalogue: cat, Sweeper: &reconcile.Sweeper{Catalogue: cat, StagingDir: t.TempDir(), Log: zerolog.Nop()}}}
	for _, q := range queues {
		w := worker.New(c, q, worker.Options{
			Identity:                     identity,
			WorkerStopTimeout:            10 * time.Second,
			MaxHeartbeatThrottleInterval: 2 * time.Second,
			DeadlockDetectionTimeout:     time.Minute,
			Interceptors:                 []interceptor.WorkerInterceptor{&impatient{deaf: deaf}},
		})
		workflows.Register(w)
		activities.Register(w, d)
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
	}
	return cat
}

// lost is the host that nobody serves.
const lost = "lost"

// impatient waits two seconds for the host that is lost, where the policy waits minutes. A
// replay does not compare timeouts.
type impatient struct {
	interceptor.WorkerInterceptorBase
	deaf bool
}

// InterceptActivity keeps it from an activity that it is asked to end, if the worker is
// deaf: one that is killed does not hear of it either.
func (i *impatient) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &hearing{deaf: i.deaf}
	in.Next = i.WorkerInterceptorBase.InterceptActivity(ctx, next)
	return in
}

type hearing struct {
	interceptor.ActivityInboundInterceptorBase
	deaf bool
}

func (h *hearing) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if h.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	return h.Next.ExecuteActivity(ctx, in)
}

func (*impatient) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{}
	in.Next = next
	return in
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (i *inbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	o := &outbound{}
	o.Next = out
	return i.Next.Init(o)
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if set := workflow.GetActivityOptions(ctx); set.ScheduleToStartTimeout > 0 && set.TaskQueue == contract.HostQueue(lost) {
		ctx = workflow.WithScheduleToStartTimeout(ctx, 2*time.Second)
	}
	return o.Next.ExecuteActivity(ctx, name, args...)
}

// slowly observes bytes for some seconds, so that progress is signalled.
func slowly(ctx context.Context, seconds int, o pipeline.Observe) error {
	for i := range seconds * 4 {
		o(int64(i+1)<<20, 1<<30, nil)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return nil
}

// A recording is one import worth keeping.
type recording struct {
	name  string
	steps func(*activitytest.Steps)
	// cancel cancels the import once progress has been signalled.
	cancel bool
	// pause pauses the import once progress has been signalled, ranks it meanwhile, and
	// resumes it.
	pause bool
	// paused is closed when the workflow has been told of the pause, nil if nobody waits.
	paused chan struct{}
	// plan records the dry run of the import instead.
	plan bool
	// reap records a Reap instead.
	reap bool
	// runs records the last of so many runs of a schedule instead.
	runs int
	// bulk records instead that run of an import in bulk of three items, from 1: each run
	// begins two of them. item records the import of the first of them.
	bulk int
	item bool
	// copyTo records, behind an import, the copy of its image to these stores.
	copyTo []string
	// stores are those that the import names; one of them may fail.
	stores []string
	// begin says what is recorded instead of an import, and puts into the catalogue what
	// that needs.
	begin func(b beginning) (workflow string, arg any)
	// ended says whether the workflow's error is the expected one.
	ended func(error) bool
}

// recordings are of today's version. Those of names that end in -first record a failure
// before they clean up; the names without it stand beside them, of the version before.
func recordings() []recording {
	plain := &activitytest.Steps{}
	succeeded := func(err error) bool { return err == nil }
	paused := make(chan struct{})
	return append(further(), []recording{
		{name: "reap", ended: succeeded, reap: true, steps: func(*activitytest.Steps) {}},
		{name: "reimport-switched", ended: succeeded, runs: 1, steps: func(*activitytest.Steps) {}},
		{name: "reimport-unchanged", ended: succeeded, runs: 2, steps: func(*activitytest.Steps) {}},
		{name: "plan", ended: succeeded, plan: true, steps: func(*activitytest.Steps) {}},
		{name: "bulk", ended: succeeded, bulk: 1, steps: func(*activitytest.Steps) {}},
		{name: "bulk-item", ended: succeeded, bulk: 1, item: true, steps: func(*activitytest.Steps) {}},
		{name: "bulk-next-run", ended: succeeded, bulk: 2, steps: func(*activitytest.Steps) {}},
		{name: "success", ended: succeeded, steps: func(s *activitytest.Steps) {
			s.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				if err := slowly(ctx, 4, o); err != nil {
					return contract.Converted{}, err
				}
				return plain.Convert(ctx, p, o)
			}
		}},
		{name: "failure-first", ended: func(err error) bool { return failedWith(err, errcode.ChecksumMismatch) }, steps: func(s *activitytest.Steps) {
			s.OnFetch = func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error) {
				return contract.Fetched{}, errcode.New(errcode.ChecksumMismatch, "the source's digest differs")
			}
		}},
		{name: "cancel-first", cancel: true, ended: temporal.IsCanceledError, steps: func(s *activitytest.Steps) {
			s.OnConvert = func(ctx context.Context, _ contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				return contract.Converted{}, slowly(ctx, 60, o)
			}
		}},
		{name: "paused", pause: true, ended: succeeded, steps: func(s *activitytest.Steps) {
			first := true
			s.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				if first {
					first = false
					return contract.Converted{}, slowly(ctx, 60, o)
				}
				return plain.Convert(ctx, p, o)
			}
		}},
		// The service tries nothing again that it is asked to cancel: what fails before it
		// hears of the pause is as good as interrupted.
		{name: "paused-cut-off", pause: true, paused: paused, ended: succeeded, steps: func(s *activitytest.Steps) {
			first := true
			s.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				if !first {
					return plain.Convert(ctx, p, o)
				}
				first = false
				o(1<<20, 1<<30, nil)
				<-paused
				return contract.Converted{}, errcode.New(errcode.StoreUnavailable, "away")
			}
		}},
		{name: "host-lost", ended: succeeded, steps: func(s *activitytest.Steps) {
			queues := []string{contract.HostQueue(lost), contract.HostQueue("alive")}
			s.OnFetch = func(ctx context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
				f, err := plain.Fetch(ctx, p, o)
				f.Queue = queues[0]
				queues = queues[1:]
				return f, err
			}
		}},
		{name: "mismatch-once", ended: succeeded, steps: func(s *activitytest.Steps) {
			first := true
			s.OnChecksum = func(ctx context.Context, p contract.ChecksumParams, resume []byte, o pipeline.Observe) (contract.Checksummed, error) {
				if first {
					first = false
					return contract.Checksummed{}, errcode.New(errcode.VerifyMismatch, "digest differs")
				}
				return plain.Checksum(ctx, p, resume, o)
			}
		}},
		{name: "several-stores", ended: succeeded, stores: []string{"local", "fast", "remote"}, steps: func(*activitytest.Steps) {}},
		{name: "store-fails", ended: succeeded, stores: []string{"local", "fast", "remote"}, steps: func(s *activitytest.Steps) {
			s.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				if p.Target.Store == "local" {
					return contract.Converted{}, errcode.New(errcode.NoSpace, "full")
				}
				return plain.Convert(ctx, p, o)
			}
			s.OnCopy = func(context.Context, contract.CopyParams, pipeline.Observe) (contract.Stored, error) {
				return contract.Stored{}, errcode.New(errcode.NoSpace, "full")
			}
		}},
		{name: "copy", ended: succeeded, copyTo: []string{"fast", "remote"}, steps: func(*activitytest.Steps) {}},
		{name: "copy-fails-first", ended: func(err error) bool { return failedWith(err, errcode.NoSpace) }, copyTo: []string{"fast", "remote"}, steps: func(s *activitytest.Steps) {
			s.OnCopy = func(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
				if p.Store == "fast" {
					return contract.Stored{}, errcode.New(errcode.NoSpace, "full")
				}
				return contract.Stored{}, slowly(ctx, 60, o)
			}
		}},
		{name: "two-disks", ended: succeeded, steps: func(s *activitytest.Steps) { s.OnDetect = twoDisks }},
		{name: "second-disk-fails-first", ended: func(err error) bool { return failedWith(err, errcode.VMDKGrain) }, steps: func(s *activitytest.Steps) {
			s.OnDetect = twoDisks
			s.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
				if p.Disk == 2 {
					return contract.Converted{}, errcode.New(errcode.VMDKGrain, "a grain is bad")
				}
				return plain.Convert(ctx, p, o)
			}
		}},
	}...)
}

// twoDisks finds an OVA.
func twoDisks(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
	d := contract.Detected{Format: "vmdk", VirtualSize: 1 << 30, AllocatedSize: -1, Container: "ova"}
	for _, name := range []string{"boot.vmdk", "data.vmdk"} {
		d.Disks = append(d.Disks, contract.DetectedDisk{Name: name, Format: "vmdk", VirtualSize: 1 << 30, AllocatedSize: -1})
	}
	return d, detect.Report{Safe: true}, nil
}

func failedWith(err error, code errcode.Code) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == string(code)
}

func TestRecordedImportsReplay(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = filepath.Join("..", "testdata", "replay")
	}
	c := dial(t)
	for _, r := range recordings() {
		t.Run(r.name, func(t *testing.T) {
			h := record(t, c, r)
			raw, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, r.name+".json")
			raw = anonymous(t, raw)
			if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
			p := worker.NewWorkflowReplayer()
			workflows.Register(p)
			if err := p.ReplayWorkflowHistoryFromJSONFile(quiet(), file); err != nil {
				t.Error(err)
			}
		})
	}
}

// anonymous takes the machine's name out of the names of sticky task queues.
func anonymous(t *testing.T, raw []byte) []byte {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(raw, []byte(`"`+host+`:`), []byte(`"`+identity+`:`))
}

// record runs one import and returns its history.
func record(t *testing.T, c client.Client, r recording) *historypb.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	steps := &activitytest.Steps{}
	r.steps(steps)
	cat := serve(t, c, r.paused != nil, steps, contract.ImportQueue, contract.TransferQueue, contract.HostQueue("alive"))
	name := contract.ImportWorkflow
	if r.plan {
		name = contract.PlanWorkflow
	}
	req := contract.ImportRequest{Owner: "recorded", Source: contract.SourceSpec{URL: "https://images.example.org/" + r.name + ".vmdk"}}
	if len(r.stores) > 0 {
		must := false
		req.Stores, req.AllStoresMustSucceed = r.stores, &must
	}
	id := "import/recorded/" + r.name
	arg := any(req)
	if len(r.copyTo) > 0 {
		name, arg = contract.CopyWorkflow, contract.CopyRequest{ImageID: imported(ctx, t, c, req), StoresSpec: contract.StoresSpec{Stores: r.copyTo}}
	}
	if r.begin != nil {
		name, arg = r.begin(beginning{t, cat, func() string { return imported(ctx, t, c, req) }})
	}
	if r.reap {
		name, arg = contract.ReapWorkflow, contract.ReapParams{DryRun: true}
	}
	if r.bulk > 0 {
		name, arg = contract.BulkWorkflow, bulkRequest(r.name)
	}
	if r.runs > 0 {
		name, arg = contract.ReimportWorkflow, contract.ReimportRequest{ScheduleID: scheduleID}
	}
	for i := 1; i < r.runs; i++ {
		first, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprintf("%s-%d", id, i), TaskQueue: contract.ImportQueue}, name, arg)
		if err == nil {
			err = first.Get(ctx, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.runs > 0 { // the id of the import is made of it, and a replay does not know the workflow's
		arg = contract.ReimportRequest{ScheduleID: scheduleID, TaskID: contract.DerivedTaskID(id)}
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: contract.ImportQueue}, name, arg)
	if err != nil {
		t.Fatal(err)
	}
	firstID := run.GetRunID()
	if r.cancel {
		awaitProgress(ctx, t, c, run.GetID())
		if err := c.CancelWorkflow(ctx, run.GetID(), run.GetRunID()); err != nil {
			t.Fatal(err)
		}
	}
	if r.pause {
		awaitProgress(ctx, t, c, run.GetID())
		for i, change := range []contract.Control{{Paused: true, Priority: 5}, {Paused: true, Priority: 9}, {Priority: 9}} {
			change.Revision = int64(i + 1)
			if err := c.SignalWorkflow(ctx, run.GetID(), "", contract.ControlSignal, change); err != nil {
				t.Fatal(err)
			}
			if i == 0 && r.paused != nil {
				awaitCancel(ctx, t, c, run.GetID())
				close(r.paused)
			}
			time.Sleep(3 * time.Second)
		}
	}
	if err := run.Get(ctx, nil); !r.ended(err) {
		t.Fatalf("the import ended with %v", err)
	}
	if n := len(steps.Cleanups()); n == 0 && !r.plan && !r.reap && len(r.copyTo) == 0 && r.begin == nil {
		t.Error("nothing was cleaned up")
	}
	runID := run.GetRunID() // the last one
	switch {
	case r.bulk > 0 && runID == firstID:
		t.Fatal("the bulk has not continued as new")
	case r.bulk == 1:
		runID = firstID
	}
	if r.item {
		id, runID = contract.WorkflowID("recorded", contract.BulkTaskID(bulkRequest(r.name).BulkID, 1, 1), ""), ""
	}
	h := &historypb.History{}
	for it := c.GetWorkflowHistory(ctx, id, runID, false, 0); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	return h
}

// bulkRequest is a bulk of three sources, of which one run begins two. Its imports have ids
// of their own: those of another catalogue have ended.
func bulkRequest(name string) contract.BulkRequest {
	const m = `{"limits":{"concurrency":2},"items":[{"source":{"url":"https://images.example.org/1.vmdk"}},{"source":{"url":"https://images.example.org/2.vmdk"}},{"source":{"url":"https://images.example.org/3.vmdk"}}]}`
	return contract.BulkRequest{BulkID: contract.DerivedBulkID(name), Owner: "recorded", Manifest: json.RawMessage(m), RunItems: 2}
}

// imported runs an import that is not recorded, and returns its image.
func imported(ctx context.Context, t *testing.T, c client.Client, req contract.ImportRequest) string {
	t.Helper()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: contract.ImportQueue}, contract.ImportWorkflow, req)
	if err != nil {
		t.Fatal(err)
	}
	var out contract.ImportResult
	if err := run.Get(ctx, &out); err != nil {
		t.Fatal(err)
	}
	return out.Images[0].ImageID
}

// awaitCancel waits until the service asks the activity at work to end, which hears of it
// with its next heartbeat.
func awaitCancel(ctx context.Context, t *testing.T, c client.Client, id string) {
	t.Helper()
	for ctx.Err() == nil {
		d, err := c.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range d.GetPendingActivities() {
			if a.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nothing is asked to end")
}

// moving are the stages in which recordings stand still for a while.
var moving = []contract.Stage{contract.StageConvert, contract.StageExport}

// awaitProgress waits until the import answers with figures from a signal.
func awaitProgress(ctx context.Context, t *testing.T, c client.Client, id string) {
	t.Helper()
	for ctx.Err() == nil {
		var p contract.Progress
		v, err := c.QueryWorkflow(ctx, id, "", contract.ProgressQuery)
		if err == nil && v.Get(&p) == nil && slices.Contains(moving, p.Stage) && p.Bytes > 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("no progress")
}

const scheduleID = "7c9d1c9e-3f0a-4c7b-9d54-0f0d0f8c6a01"

// schedule puts one schedule into a catalogue.
func schedule(t *testing.T, cat *metadata.Catalogue) {
	t.Helper()
	spec := contract.ScheduleSpec{Name: "golden", Trust: contract.TrustNone, Timing: contract.Timing{EverySeconds: 86400}, Import: contract.ImportRequest{
		Source: contract.SourceSpec{URL: "https://images.example.org/golden-*.vmdk"}, Image: contract.ImageSpec{Name: "golden"},
	}}
	raw, err := json.Marshal(spec.Filled())
	if err == nil {
		_, err = cat.AddSchedule(context.Background(), metadata.Schedule{ID: scheduleID, Owner: "recorded", Name: spec.Name, Spec: raw})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// still is a source that does not change.
type still struct{}

func (still) LookAt(context.Context, contract.LookParams) (contract.Looked, error) {
	const url = "https://images.example.org/golden-1.vmdk"
	return contract.Looked{URL: url, Matches: 1, Version: contract.SourceVersion{URL: url, Size: 4096, ETag: `"1"`}}, nil
}
