package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/activities"
	"ingest/activities/activitytest"
	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

const bulkID = "6f1c3a52-3d5e-4b0e-9a55-0d7f6f1f8c22"

// A bulkBench is a BulkImport with the real activities and a real catalogue, whose children
// do as a script says.
type bulkBench struct {
	*bench
	mu      sync.Mutex
	started []string // keys of items, in the order in which their imports began
	at      map[string]time.Duration
	began   time.Time
	most    int // imports that ran at once
	running int
}

// newBulkBench starts nothing yet. child is the import of an item: how long it takes, and
// the code with which it fails, "" for none.
func newBulkBench(t *testing.T, child func(key string, attempt int) (time.Duration, errcode.Code)) *bulkBench {
	t.Helper()
	b := &bulkBench{bench: benchWith(t, activitytest.NewRepository(t), "", func(*activities.Deps) {}), at: map[string]time.Duration{}}
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: contract.BulkID("p1", bulkID), TaskQueue: contract.ImportQueue})
	b.env.OnWorkflow(contract.ImportWorkflow, mock.Anything, mock.Anything).Return(func(ctx workflow.Context, req contract.ImportRequest) (contract.ImportResult, error) {
		return b.importOne(ctx, req, child)
	})
	b.began = b.env.Now()
	return b
}

// importOne is the import of an item, which nothing replays.
//
//workflowcheck:ignore
func (b *bulkBench) importOne(ctx workflow.Context, req contract.ImportRequest, child func(string, int) (time.Duration, errcode.Code)) (contract.ImportResult, error) {
	it := b.itemOf(req.TaskID)
	b.mu.Lock()
	b.started = append(b.started, it.Key)
	b.at[it.Key] = workflow.Now(ctx).Sub(b.began)
	b.running++
	b.most = max(b.most, b.running)
	b.mu.Unlock()
	takes, code := child(it.Key, it.Attempt)
	err := workflow.Sleep(ctx, takes)
	b.mu.Lock()
	b.running--
	b.mu.Unlock()
	bg := context.Background()
	if err != nil {
		code = errcode.TaskCancelled
	}
	if code != "" {
		b.must(b.cat.Fail(bg, req.TaskID, metadata.TaskError{Code: code, Message: "as the script says"}))
		return contract.ImportResult{}, temporal.NewNonRetryableApplicationError("failed", string(code), nil)
	}
	b.must(b.cat.Start(bg, req.TaskID))
	b.must(b.cat.Activate(bg, metadata.Activation{TaskID: req.TaskID, Result: json.RawMessage(fmt.Sprintf(`{"task_id":%q,"images":[{"image_id":%q}]}`, req.TaskID, req.ImageID)),
		Images: []metadata.ImageActivation{{ImageID: req.ImageID, DiskFormat: "raw", Size: 1, VirtualSize: 1, Store: "local", Key: req.ImageID + "/u"}}}))
	return contract.ImportResult{TaskID: req.TaskID}, nil
}

func (b *bulkBench) must(err error) {
	if err != nil {
		b.t.Error(err)
	}
}

func (b *bulkBench) itemOf(task string) metadata.BulkItem {
	items, err := b.cat.BulkItems(context.Background(), bulkID, metadata.ItemFilter{})
	b.must(err)
	for _, it := range items {
		if it.TaskID == task {
			return it
		}
	}
	b.t.Errorf("task %s is that of no item", task)
	return metadata.BulkItem{}
}

// manifest has n items a, b, c ... of two hosts in turn.
func manifest(n int, head string) json.RawMessage {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"key":"%c","source":{"url":"https://h%d/%d"}}`, 'a'+i, i%2, i))
	}
	return json.RawMessage(`{` + head + `"items":[` + strings.Join(items, ",") + `]}`)
}

// do runs the bulk to its end.
func (b *bulkBench) do(m json.RawMessage) (contract.BulkProgress, error) {
	b.t.Helper()
	b.env.ExecuteWorkflow(contract.BulkWorkflow, contract.BulkRequest{BulkID: bulkID, Owner: "p1", Manifest: m})
	var out contract.BulkProgress
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	return out, b.env.GetWorkflowResult(&out)
}

// signal sends a signal after a time.
func (b *bulkBench) signal(after time.Duration, do, settings string) {
	b.env.RegisterDelayedCallback(func() {
		b.env.SignalWorkflow(contract.BulkSignal, contract.BulkSignalled{Do: do, Settings: json.RawMessage(settings)})
	}, after)
}

func (b *bulkBench) states() string {
	items, err := b.cat.BulkItems(context.Background(), bulkID, metadata.ItemFilter{})
	b.must(err)
	var out []string
	for _, it := range items {
		out = append(out, it.Key+":"+string(it.State))
	}
	return strings.Join(out, " ")
}

// minutes is an import that takes so long and succeeds.
func minutes(n int) func(string, int) (time.Duration, errcode.Code) {
	return func(string, int) (time.Duration, errcode.Code) { return time.Duration(n) * time.Minute, "" }
}

func TestBulkRunsAWindowAtATime(t *testing.T) {
	b := newBulkBench(t, minutes(10))
	out, err := b.do(manifest(7, `"limits":{"concurrency":3},`))
	if err != nil || out.Status != "success" || b.most != 3 || len(b.started) != 7 {
		t.Errorf("%+v, %v; at most %d at once, started %v", out, err, b.most, b.started)
	}
	// Two rounds of three end before the last begins.
	if at := b.at["g"]; at < 20*time.Minute || at > 21*time.Minute {
		t.Errorf("the last began after %v", at)
	}
}

func TestBulkLimitsAHost(t *testing.T) {
	b := newBulkBench(t, minutes(10))
	if _, err := b.do(manifest(4, `"limits":{"per_host":1},`)); err != nil || b.most != 2 {
		t.Errorf("%v; at most %d at once", err, b.most)
	}
}

func TestBulkGoesOnBehindAFailure(t *testing.T) {
	bad := func(key string, attempt int) (time.Duration, errcode.Code) {
		if key == "b" && attempt == 1 {
			return time.Minute, errcode.Empty
		}
		return time.Minute, ""
	}
	b := newBulkBench(t, bad)
	out, err := b.do(manifest(3, `"limits":{"concurrency":1},`))
	if err != nil || out.Status != "partial" || b.states() != "a:active b:failed c:active" {
		t.Errorf("%+v, %v: %s", out, err, b.states())
	}
	b = newBulkBench(t, bad)
	out, err = b.do(manifest(3, `"limits":{"concurrency":1},"on_failure":"stop",`))
	if err != nil || out.Status != "failure" || b.states() != "a:active b:failed c:cancelled" {
		t.Errorf("%+v, %v: %s", out, err, b.states())
	}
	b = newBulkBench(t, bad)
	b.signal(150*time.Second, "retry", "")
	out, err = b.do(manifest(4, `"limits":{"concurrency":1},`))
	if err != nil || out.Status != "success" || !slices.Equal(b.started, []string{"a", "b", "c", "b", "d"}) {
		t.Errorf("%+v, %v: %s, started %v", out, err, b.states(), b.started)
	}
}

func TestBulkIsSteered(t *testing.T) {
	t.Run("paused", func(t *testing.T) {
		b := newBulkBench(t, minutes(10))
		b.signal(time.Minute, "pause", "")
		b.signal(5*time.Hour, "resume", "")
		out, err := b.do(manifest(2, `"limits":{"concurrency":1},`))
		if at := b.at["b"]; err != nil || out.Status != "success" || at < 5*time.Hour || at > 5*time.Hour+time.Minute {
			t.Errorf("%+v, %v; the second began after %v", out, err, at)
		}
	})
	t.Run("faster", func(t *testing.T) {
		b := newBulkBench(t, minutes(10))
		b.signal(time.Minute, "set", `{"limits":{"concurrency":3}}`)
		if _, err := b.do(manifest(3, `"limits":{"concurrency":1},`)); err != nil || b.most != 3 || b.at["c"] > 2*time.Minute {
			t.Errorf("%v; at most %d at once, the last began after %v", err, b.most, b.at["c"])
		}
	})
	t.Run("narrower", func(t *testing.T) {
		b := newBulkBench(t, minutes(10))
		b.signal(time.Minute, "set", `{"limits":{"bandwidth":"3MiB","bandwidth_per_host":"1GiB/s"}}`)
		b.signal(2*time.Minute, "set", `{"limits":{"bandwidth_per_host":0,"bandwidth_per_store":12}}`) // no limit
		if _, err := b.do(manifest(2, `"limits":{"concurrency":2,"bandwidth":"5MiB","bandwidth_per_project":4096},`)); err != nil {
			t.Fatal(err)
		}
		kept, err := b.cat.Bulk(context.Background(), bulkID)
		want := metadata.BulkLimits{Concurrency: 2, Bandwidth: 3 << 20, BandwidthPerHost: 1 << 30, BandwidthPerProject: 4096}
		if err != nil || kept.Settings.Limits != want {
			t.Errorf("limits %+v, %v", kept.Settings.Limits, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		b := newBulkBench(t, minutes(10))
		b.signal(time.Minute, "cancel", "")
		out, err := b.do(manifest(3, `"limits":{"concurrency":1},`))
		if err != nil || out.Status != "cancelled" || b.states() != "a:active b:cancelled c:cancelled" {
			t.Errorf("%+v, %v: %s", out, err, b.states())
		}
	})
	t.Run("what cannot be done is not", func(t *testing.T) {
		b := newBulkBench(t, minutes(10))
		b.signal(time.Minute, "explode", "")
		b.signal(time.Minute, "set", `{"limits":{"concurrency":-3}}`)
		if out, err := b.do(manifest(1, "")); err != nil || out.Status != "success" {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

func TestBulkKeepsItsWindow(t *testing.T) {
	b := newBulkBench(t, minutes(100))
	b.env.SetStartTime(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)) // the clocks go forward in the night
	b.began = b.env.Now()
	out, err := b.do(manifest(6, `"limits":{"concurrency":1},"windows":["22:00-06:00 Europe/Berlin"],`))
	if err != nil || out.Status != "success" {
		t.Fatalf("%+v, %v", out, err)
	}
	// 22:00 is 21:00 UTC before that night, and 20:00 UTC behind it: the night has seven hours.
	for key, want := range map[string]time.Duration{"a": 9 * time.Hour, "e": 9*time.Hour + 400*time.Minute, "f": 32 * time.Hour} {
		if at := b.at[key]; at < want || at > want+time.Minute {
			t.Errorf("%s began after %v, want %v", key, at, want)
		}
	}
}

// A run hands on before its history grows long; what runs is left to run, and the next run
// finds it.
func TestBulkContinuesAsNew(t *testing.T) {
	b := newBulkBench(t, minutes(10))
	b.env.RegisterDelayedCallback(func() { b.env.SetContinueAsNewSuggested(true) }, time.Minute)
	_, err := b.do(manifest(4, `"limits":{"concurrency":2},`))
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) || next.WorkflowType.Name != contract.BulkWorkflow {
		t.Fatalf("it ended with %v", err)
	}
	if s := b.states(); s != "a:running b:running c:pending d:pending" {
		t.Errorf("when it handed on: %s", s)
	}
}

// The next run goes by the catalogue: items that an earlier one has begun end, and others
// begin in their place, though nobody tells it.
func TestBulkGoesOnInItsNextRun(t *testing.T) {
	b := newBulkBench(t, minutes(10))
	ctx := context.Background()
	m, err := bulk.ParseJSON(manifest(3, `"limits":{"concurrency":1},`))
	b.must(err)
	row, items, err := m.Bulk(bulk.Submission{ID: bulkID, Owner: "p1", WorkflowID: contract.BulkID("p1", bulkID)})
	b.must(err)
	_, _, err = b.cat.AddBulk(ctx, row, items, false)
	b.must(err)
	// An earlier run has begun the first item and died: its import was started by somebody.
	step, err := b.cat.StepBulk(ctx, bulkID, metadata.BulkStepper{Now: b.env.Now(), Most: 1, Default: 1, Prepare: func(bb metadata.Bulk, it metadata.BulkItem) (metadata.NewImport, error) {
		id := contract.BulkTaskID(bb.ID, it.N, it.Attempt)
		return metadata.NewImport{Task: metadata.Task{ID: id, Owner: bb.Owner, ImageID: contract.DerivedImageID(id, 0), WorkflowID: "w", Request: it.Request}}, nil
	}})
	b.must(err)
	task := step.Begun[0].Task
	b.must(b.cat.Start(ctx, task.ID))
	b.env.RegisterDelayedCallback(func() {
		b.must(b.cat.Fail(ctx, task.ID, metadata.TaskError{Code: errcode.Empty, Message: "nothing in it"}))
	}, 30*time.Minute)
	b.env.ExecuteWorkflow(contract.BulkWorkflow, contract.BulkRequest{BulkID: bulkID, Owner: "p1", Carried: &contract.BulkCarried{Runs: 1}})
	if err := b.env.GetWorkflowError(); err != nil || b.states() != "a:failed b:active c:active" {
		t.Errorf("%v: %s", err, b.states())
	}
	if at := b.at["b"]; at < 30*time.Minute || at > 31*time.Minute {
		t.Errorf("the second began after %v", at)
	}
}
