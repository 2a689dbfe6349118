package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/temporalclient"
)

const (
	bareQueue    = "bare"
	workQueue    = "bare-work" // of activities, as imports have queues of their own for them
	bareItem     = "BareItem"
	bareParent   = "BareParent"
	bareActivity = "Nothing"
	// bareRun is how many items one run of the parent begins, as BulkImport's does.
	bareRun = 1000
	ready   = "ready"
)

// A shape is how many activities a workflow of an item runs, one after the other.
type shape struct {
	Activities int `json:"activities"`
	Locals     int `json:"locals"` // local activities
	// Eager leaves them on the queue of their workflow, whose worker then takes them without
	// asking for them.
	Eager bool `json:"eager,omitempty"`
}

// A bareBatch is many workflows of one shape.
type bareBatch struct {
	Shape  shape `json:"shape"`
	Items  int   `json:"items"`
	From   int   `json:"from"` // so many have been begun by earlier runs
	Window int   `json:"window"`
}

// serveBare runs a worker until its input ends.
func serveBare(address, namespace string, in io.Reader, out io.Writer) error {
	c, err := temporalclient.Dial(context.Background(), temporalclient.Options{HostPort: address, Namespace: namespace, Logger: zerolog.Nop(), Wait: time.Minute})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, queue := range []string{bareQueue, workQueue} {
		// As those of imports: cmd/ingest/workers.go.
		w := worker.New(c, queue, worker.Options{
			MaxConcurrentActivityExecutionSize: 100, MaxConcurrentLocalActivityExecutionSize: 20, MaxConcurrentWorkflowTaskExecutionSize: 20,
			MaxConcurrentWorkflowTaskPollers: 2, MaxConcurrentActivityTaskPollers: 2, DisableWorkflowWorker: queue == workQueue,
		})
		if queue == bareQueue {
			w.RegisterWorkflowWithOptions(runItem, workflow.RegisterOptions{Name: bareItem})
			w.RegisterWorkflowWithOptions(runParent, workflow.RegisterOptions{Name: bareParent})
		}
		w.RegisterActivityWithOptions(nothing, activity.RegisterOptions{Name: bareActivity})
		if err := w.Start(); err != nil {
			return err
		}
		defer w.Stop()
	}
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

func nothing(context.Context) error { return nil }

// runItem runs activities one after the other, and local ones between them.
func runItem(ctx workflow.Context, s shape) error {
	queue := workQueue
	if s.Eager {
		queue = bareQueue
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{TaskQueue: queue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second})
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 2 * time.Second, ScheduleToCloseTimeout: 5 * time.Second})
	for i := range s.Activities {
		for range part(s.Locals, i, s.Activities) {
			if err := workflow.ExecuteLocalActivity(ctx, nothing).Get(ctx, nil); err != nil {
				return err
			}
		}
		if err := workflow.ExecuteActivity(ctx, bareActivity).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// part is how many of n fall to the numbered one of several shares.
func part(n, i, shares int) int { return n*(i+1)/shares - n*i/shares }

// runParent starts a window of items at a time, and continues as new.
func runParent(ctx workflow.Context, b bareBatch) error {
	last := min(b.Items, b.From+bareRun)
	running := 0
	var failed error
	for n := b.From; n < last; n++ {
		if err := workflow.Await(ctx, func() bool { return running < b.Window }); err != nil {
			return err
		}
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID:        fmt.Sprintf("%s/%d", workflow.GetInfo(ctx).WorkflowExecution.ID, n),
			ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		}), bareItem, b.Shape)
		running++
		workflow.Go(ctx, func(ctx workflow.Context) {
			if err := child.Get(ctx, nil); err != nil {
				failed = err
			}
			running--
		})
	}
	if err := workflow.Await(ctx, func() bool { return running == 0 }); err != nil || failed != nil || last == b.Items {
		if failed != nil {
			return failed
		}
		return err
	}
	b.From = last
	return workflow.NewContinueAsNewError(ctx, bareParent, b)
}
