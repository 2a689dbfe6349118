package workflows_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"ingest/activities"
	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/metadata"
	"ingest/workflows"
)

const workflowID = "import/p1/by-hand"

var (
	taskID  = contract.DerivedTaskID(workflowID)
	imageID = contract.DerivedImageID(taskID, 0)
	request = contract.ImportRequest{
		Owner:  "p1",
		Source: contract.SourceSpec{URL: "https://images.example.org/disk.vmdk"},
		Image:  contract.ImageSpec{Name: "disk"},
	}
)

// key is the object's key of a round of the plausible source.
func key(round int) string {
	f := contract.Fetched{Size: activitytest.SourceSize, Validator: `"e1"`}
	return contract.ObjectKey(imageID, contract.DerivedUploadID(taskID, round, f.Pin()))
}

// A bench is a workflow with the real activities on scripted steps and a real
// catalogue.
type bench struct {
	t       *testing.T
	env     *testsuite.TestWorkflowEnvironment
	steps   *activitytest.Steps
	repo    *activitytest.Flaky
	cat     *metadata.Catalogue
	upserts int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return benchOn(t, activitytest.NewRepository(t), "")
}

// again is a second bench on the same catalogue.
func (b *bench) again() *bench { return benchOn(b.t, b.repo, "") }

// host puts the bench on a host with a task queue of its own.
func (b *bench) host(queue string) { *b = *benchOn(b.t, b.repo, queue) }

func benchOn(t *testing.T, repo *activitytest.Flaky, queue string) *bench {
	t.Helper()
	return benchWith(t, repo, queue, func(*activities.Deps) {})
}

// benchWith is benchOn with other parts.
func benchWith(t *testing.T, repo *activitytest.Flaky, queue string, change func(*activities.Deps)) *bench {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	b := &bench{t: t, env: suite.NewTestWorkflowEnvironment(), steps: &activitytest.Steps{}, repo: repo, cat: metadata.New(repo)}
	b.env.SetTestTimeout(time.Minute)
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflowID, TaskQueue: contract.ImportQueue})
	// The machine that runs tests may be busy for longer than a worker may be.
	b.env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	workflows.Register(b.env)
	d := activities.Deps{Steps: b.steps, Catalogue: b.cat, Log: zerolog.Nop(), HostQueue: queue}
	change(&d)
	activities.Register(b.env, d)
	b.env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(mock.Arguments) { b.upserts++ }).Return(nil)
	return b
}

// blockConvert makes the conversion wait until the workflow has lived through
// the steps, one after the other.
func (b *bench) blockConvert(steps ...func()) {
	done := make(chan struct{})
	b.script(contract.StageConvert, func(context.Context) error {
		for i, step := range steps {
			b.env.RegisterDelayedCallback(func() {
				step()
				if i == len(steps)-1 {
					close(done)
				}
			}, time.Duration(i)*time.Second)
		}
		<-done
		return nil
	}, &activitytest.Steps{})
}

type (
	activityInfo = activity.Info
	encoded      = converter.EncodedValues
)

// run runs the import to its end.
func (b *bench) run(r contract.ImportRequest) (contract.ImportResult, error) {
	b.t.Helper()
	return b.runAs(contract.ImportWorkflow, r)
}

// runAs runs a workflow of that type to its end.
func (b *bench) runAs(name string, r contract.ImportRequest) (contract.ImportResult, error) {
	b.t.Helper()
	b.env.ExecuteWorkflow(name, r)
	if !b.env.IsWorkflowCompleted() {
		b.t.Fatal("the workflow has not ended")
	}
	var out contract.ImportResult
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	if err := b.env.GetWorkflowResult(&out); err != nil {
		b.t.Fatal(err)
	}
	return out, nil
}

// order lists the stages of the steps that were called.
func (b *bench) order() []contract.Stage {
	var out []contract.Stage
	for _, c := range b.steps.Calls() {
		out = append(out, c.Stage)
	}
	return out
}

// keys lists the keys of all conversions.
func (b *bench) keys() []string {
	var out []string
	for _, c := range b.steps.Calls() {
		if p, ok := c.Params.(contract.ConvertParams); ok {
			out = append(out, p.Key)
		}
	}
	return out
}

func (b *bench) task() metadata.Task {
	b.t.Helper()
	t, err := b.cat.Task(context.Background(), taskID)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) image() metadata.Image {
	b.t.Helper()
	img, err := b.cat.Image(context.Background(), imageID)
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

// wantStatus checks what the catalogue says in the end.
func (b *bench) wantStatus(task metadata.TaskStatus, image metadata.ImageStatus) {
	b.t.Helper()
	if got := b.task().Status; got != task {
		b.t.Errorf("task is %s, want %s", got, task)
	}
	if got := b.image().Status; got != image {
		b.t.Errorf("image is %s, want %s", got, image)
	}
}

// ended reads the error with which a workflow failed.
func ended(t *testing.T, err error) contract.ErrorValue {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("the workflow ended with %v, want an application error", err)
	}
	if !app.NonRetryable() {
		t.Error("the workflow's error is retryable")
	}
	var v contract.ErrorValue
	if err := app.Details(&v); err != nil {
		t.Fatal(err)
	}
	if string(v.Code) != app.Type() {
		t.Errorf("details say %s, type says %s", v.Code, app.Type())
	}
	return v
}
