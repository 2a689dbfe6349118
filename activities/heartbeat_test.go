package activities

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

const (
	taskID  = "dc070a33-69a5-59aa-bf18-aad310f477d0"
	imageID = "f08d87a5-8715-5b14-9edc-0252b57c43f0"
)

// A bench is one activity environment on scripted steps, with quick beats.
type bench struct {
	env     *testsuite.TestActivityEnvironment
	steps   *activitytest.Steps
	signals *activitytest.Signals
	deps    Deps
	ticks   atomic.Int64
	alive   atomic.Int64 // beats that say nothing

	mu    sync.Mutex
	beats []contract.Heartbeat
}

func newBench(t *testing.T) *bench {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	b := &bench{env: suite.NewTestActivityEnvironment(), steps: &activitytest.Steps{}, signals: &activitytest.Signals{}}
	b.deps = Deps{Steps: b.steps, Catalogue: activitytest.NewCatalogue(t), Signaller: b.signals,
		Log: zerolog.Nop(), HostQueue: "ingest-host-a", Stall: time.Minute, tick: time.Millisecond}
	b.deps.ticked = func() { b.ticks.Add(1) }
	activitytest.Accept(t, b.deps.Catalogue, contract.ImportRequest{TaskID: taskID, ImageID: imageID, Owner: "p1"}, "w")
	b.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&ear{b: b}}})
	return b
}

// An ear hears every beat. The environment tells of the first one, and like a worker holds
// back for a while what comes behind it.
type ear struct {
	interceptor.WorkerInterceptorBase
	b *bench
}

func (e *ear) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &earInbound{b: e.b}
	in.Next = e.WorkerInterceptorBase.InterceptActivity(ctx, next)
	return in
}

type earInbound struct {
	interceptor.ActivityInboundInterceptorBase
	b *bench
}

func (e *earInbound) Init(out interceptor.ActivityOutboundInterceptor) error {
	o := &earOutbound{b: e.b}
	o.Next = out
	return e.Next.Init(o)
}

type earOutbound struct {
	interceptor.ActivityOutboundInterceptorBase
	b *bench
}

func (e *earOutbound) RecordHeartbeat(ctx context.Context, details ...any) {
	if len(details) == 0 {
		e.b.alive.Add(1)
	}
	for _, d := range details { // without any it is a sign of life, and no more
		e.b.hear(d.(contract.Heartbeat))
	}
	e.Next.RecordHeartbeat(ctx, details...)
}

func (b *bench) hear(hb contract.Heartbeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beats = append(b.beats, hb)
}

// run runs one activity.
func (b *bench) run(name string, params any) (converter.EncodedValue, error) {
	Register(b.env, b.deps)
	return b.env.ExecuteActivity(name, params)
}

func (b *bench) heard() []contract.Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]contract.Heartbeat(nil), b.beats...)
}

// until waits for something that another goroutine does, and fails the test if
// it never comes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("waited in vain for %s", what)
}

var fetchParams = contract.FetchParams{TaskID: taskID, ImageID: imageID}

func TestBeatsCarryProgressAndHint(t *testing.T) {
	b := newBench(t)
	b.steps.OnFetch = func(_ context.Context, _ contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		o(30, 100, []byte(`{"part":3}`))
		until(t, "a beat", func() bool {
			h := b.heard()
			return len(h) > 0 && h[len(h)-1].Progress.Bytes == 30
		})
		until(t, "a signal", func() bool { return len(b.signals.Sent()) > 0 })
		return contract.Fetched{Size: 100}, nil
	}
	if _, err := b.run(contract.FetchActivity, fetchParams); err != nil {
		t.Fatal(err)
	}
	h := b.heard()
	last := h[len(h)-1]
	if p := last.Progress; p.TaskID != taskID || p.Stage != contract.StageFetch || p.Bytes != 30 || p.Total != 100 || p.Attempt != 1 || p.ObservedAt.IsZero() {
		t.Errorf("beat %+v", p)
	}
	if string(last.Resume) != `{"part":3}` || last.Queue != "ingest-host-a" {
		t.Errorf("hint %s, queue %s", last.Resume, last.Queue)
	}
	if p := b.signals.Sent()[0]; p.Stage != contract.StageFetch || p.Bytes != 30 {
		t.Errorf("signal %+v", p)
	}
}

// Signals become rarer, and stop when there is nothing to tell.
func TestSignalsOnlyTellNews(t *testing.T) {
	b := newBench(t)
	b.steps.OnFetch = func(_ context.Context, _ contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		o(30, 100, nil)
		until(t, "a signal and many beats", func() bool { return len(b.signals.Sent()) > 0 && b.ticks.Load() > 100 })
		return contract.Fetched{Size: 100}, nil
	}
	if _, err := b.run(contract.FetchActivity, fetchParams); err != nil {
		t.Fatal(err)
	}
	if n := len(b.signals.Sent()); n != 1 {
		t.Errorf("%d signals for one piece of news", n)
	}
}

func TestSignalThatFailsIsForgotten(t *testing.T) {
	b := newBench(t)
	b.signals.Err = errors.New("workflow service is away")
	b.steps.OnFetch = func(_ context.Context, _ contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		o(30, 100, nil)
		until(t, "a signal", func() bool { return len(b.signals.Sent()) > 0 })
		return contract.Fetched{Size: 100}, nil
	}
	if _, err := b.run(contract.FetchActivity, fetchParams); err != nil {
		t.Fatal(err)
	}
}

func TestChecksumResumesFromTheLastBeat(t *testing.T) {
	b := newBench(t)
	b.env.SetHeartbeatDetails(contract.Heartbeat{Progress: contract.Progress{Bytes: 64}, Resume: json.RawMessage(`{"off":64}`)})
	var got []byte
	b.steps.OnChecksum = func(_ context.Context, _ contract.ChecksumParams, resume []byte, _ pipeline.Observe) (contract.Checksummed, error) {
		got = resume
		return contract.Checksummed{}, errcode.New(errcode.StoreUnavailable, "503")
	}
	if _, err := b.run(contract.ChecksumActivity, contract.ChecksumParams{TaskID: taskID}); err == nil {
		t.Fatal("no error")
	}
	if string(got) != `{"off":64}` {
		t.Errorf("resumed from %q", got)
	}
	h := b.heard()
	if len(h) == 0 || string(h[len(h)-1].Resume) != `{"off":64}` {
		t.Errorf("the next attempt would not find the hint: %v", h)
	}
}

// Details that cannot be read are those of another version: begin again.
func TestUnreadableHintIsNoHint(t *testing.T) {
	b := newBench(t)
	b.env.SetHeartbeatDetails("from another version")
	b.steps.OnChecksum = func(_ context.Context, _ contract.ChecksumParams, resume []byte, _ pipeline.Observe) (contract.Checksummed, error) {
		if resume != nil {
			t.Errorf("resumed from %q", resume)
		}
		return contract.Checksummed{}, nil
	}
	if _, err := b.run(contract.ChecksumActivity, contract.ChecksumParams{TaskID: taskID}); err != nil {
		t.Fatal(err)
	}
}

// waitFor is a step that ends when its context does.
func waitFor(b *bench) {
	b.steps.OnFetch = func(ctx context.Context, _ contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		o(7, 100, []byte(`{"part":1}`))
		<-ctx.Done()
		return contract.Fetched{}, errcode.Wrap(ctx.Err(), errcode.SourceUnreachable, "read cut off")
	}
}

// appError reads an activity's error.
func appError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("activity ended with %v, want an application error", err)
	}
	return app
}

func TestStandStillIsGivenUp(t *testing.T) {
	b := newBench(t)
	b.deps.Stall = 20 * time.Millisecond
	waitFor(b)
	_, err := b.run(contract.FetchActivity, fetchParams)
	if app := appError(t, err); app.Type() != string(errcode.SourceTooSlow) || app.NonRetryable() {
		t.Errorf("ended with %v, want a retryable IMG_SOURCE_TOO_SLOW", app)
	}
}

// A step that does not tell how far it is cannot stand still.
func TestSilentStepIsNotGivenUp(t *testing.T) {
	b := newBench(t)
	b.deps.Stall = time.Millisecond
	b.steps.OnCommit = func(ctx context.Context, _ contract.StoreParams) (contract.Stored, error) {
		until(t, "many beats", func() bool { return b.ticks.Load() > 50 })
		return contract.Stored{}, ctx.Err()
	}
	if _, err := b.run(contract.StoreActivity, contract.StoreParams{TaskID: taskID}); err != nil {
		t.Fatal(err)
	}
}

func TestWorkerStop(t *testing.T) {
	b := newBench(t)
	stop := make(chan struct{})
	b.env.SetWorkerStopChannel(stop)
	waitFor(b)
	close(stop)
	_, err := b.run(contract.FetchActivity, fetchParams)
	if app := appError(t, err); app.Type() != string(errcode.WorkerStopping) || app.NonRetryable() || app.NextRetryDelay() != afterStop {
		t.Errorf("ended with %v after %s, want a retryable WORKER_STOPPING", app, app.NextRetryDelay())
	}
	h := b.heard()
	if len(h) == 0 || string(h[len(h)-1].Resume) != `{"part":1}` {
		t.Errorf("last beat %v, want the hint", h)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	b.env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	waitFor(b)
	cancel()
	_, err := b.run(contract.FetchActivity, fetchParams)
	var cancelled *temporal.CanceledError
	var v contract.ErrorValue
	if !errors.As(err, &cancelled) || cancelled.Details(&v) != nil || v.Code != errcode.TaskCancelled || v.Queue != "ingest-host-a" {
		t.Errorf("ended with %v %+v, want cancelled with TASK_CANCELLED on ingest-host-a", err, v)
	}
}

func TestMeter(t *testing.T) {
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	var m meter
	if m.rate() != 0 {
		t.Error("a rate out of nothing")
	}
	m.add(second(0), 5000) // an earlier attempt's
	if m.rate() != 0 {
		t.Error("a rate from one sample")
	}
	for i := 1; i <= 60; i++ {
		m.add(second(i), 5000+int64(i)*100)
	}
	if got := m.rate(); got != 100 {
		t.Errorf("rate %v, want 100", got)
	}
	for i := 61; i <= 80; i++ {
		m.add(second(i), 11000)
	}
	if got := m.rate(); got != 0 {
		t.Errorf("rate %v after a stand-still, want 0", got)
	}
	if n := len(m.samples); n > 12 {
		t.Errorf("%d samples are kept", n)
	}
	m.add(second(81), 0)
	m.add(second(82), 10)
	if got := m.rate(); got != 10 {
		t.Errorf("rate %v in a second pass, want 10", got)
	}
	for _, c := range []struct {
		done, total int64
		rate, want  float64
	}{{1, -1, 5, -1}, {1, 11, 5, 2}, {1, 11, 0, -1}, {11, 11, 0, 0}, {12, 11, 5, 0}} {
		if got := eta(c.done, c.total, c.rate); got != c.want {
			t.Errorf("eta(%d, %d, %v) = %v, want %v", c.done, c.total, c.rate, got, c.want)
		}
	}
}

// A stage that takes a while appears in the catalogue though its workflow has not said so,
// and once if it has.
func TestStageAppears(t *testing.T) {
	for _, told := range []bool{false, true} {
		b := newBench(t)
		begun := metadata.Event{Stage: string(contract.StageFetch)}
		if told {
			if err := b.deps.Catalogue.SetStage(t.Context(), taskID, begun); err != nil {
				t.Fatal(err)
			}
		}
		at := ""
		b.steps.OnFetch = func(ctx context.Context, _ contract.FetchParams, _ pipeline.Observe) (contract.Fetched, error) {
			until(t, "the stage to appear", func() bool {
				task, err := b.deps.Catalogue.Task(ctx, taskID)
				if err != nil {
					t.Error(err)
				}
				at = task.Stage
				return at == string(contract.StageFetch) && b.ticks.Load() > 20
			})
			return contract.Fetched{Size: 100}, nil
		}
		if _, err := b.run(contract.FetchActivity, fetchParams); err != nil {
			t.Fatal(err)
		}
		events, err := b.deps.Catalogue.Events(t.Context(), taskID)
		if err != nil {
			t.Fatal(err)
		}
		begins := 0
		for _, e := range events {
			if e.Kind == metadata.EventStage && e.Attempt == 0 {
				begins++
			}
		}
		if at != string(contract.StageFetch) || begins != 1 {
			t.Errorf("told %v: at %q, said %d times", told, at, begins)
		}
	}
}
