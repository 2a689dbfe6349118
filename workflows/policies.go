package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Every timeout and retry policy stands here, by kind of work.
//
// Whether an error may be tried again is said by the error itself: activities
// set the non-retryable flag from the code's descriptor. The codes named in a
// policy are those that may be tried again, but not in the same place.

const (
	// heartbeatTimeout finds a dead worker. After a crash, work goes on this
	// long and a back-off later.
	heartbeatTimeout = 10 * time.Second
	// afterCrash is the longest wait after an attempt that died without a
	// word. One that failed with an error says itself how long to wait, up to
	// a minute: see activities/errors.go.
	afterCrash = 2 * time.Second
	// hostTimeout is how long a task may wait for its host before the workflow
	// looks whether the host is still there.
	hostTimeout = 10 * time.Minute
	// longestWork bounds one attempt at a transfer or at a pass over a disk:
	// 8 TiB at 50 MB/s. Whether it still moves is what heartbeats tell.
	longestWork = 48 * time.Hour
	// maxRounds is how often an import begins from its source: two lost hosts
	// are bad luck, three are a fault that another fetch does not mend.
	maxRounds = 3
	// optionalAttempts is how often a store is tried that need not succeed.
	optionalAttempts = 10
)

// withRow is for writing a row of the catalogue in passing: a local activity,
// a few milliseconds long. Who needs the row falls back on withTruth.
func withRow(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 5 * time.Second,
		StartToCloseTimeout:    2 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    time.Second,
			MaximumAttempts:    3,
		},
	})
}

// withTruth is for what the catalogue must know before the workflow may end: it
// is tried until the database answers.
func withTruth(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           contract.ImportQueue,
		StartToCloseTimeout: 30 * time.Second,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retry(30*time.Second, 0),
	})
}

// withTransfer is for bringing a source in, on whichever host answers first.
func withTransfer(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           contract.TransferQueue,
		StartToCloseTimeout: longestWork,
		HeartbeatTimeout:    heartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         retry(afterCrash, 60),
	})
}

// parkedOn lets a fetch that was interrupted go on where it has staged something.
func parkedOn(ctx workflow.Context, queue string) workflow.Context {
	o := workflow.GetActivityOptions(ctx)
	o.TaskQueue, o.ScheduleToStartTimeout = queue, hostTimeout
	return workflow.WithActivityOptions(ctx, o)
}

// withLook is for reading a few structures of an image.
func withLook(ctx workflow.Context, queue string) workflow.Context {
	return withWork(ctx, queue, 30*time.Minute, 20)
}

// withPass is for a pass over a whole disk.
func withPass(ctx workflow.Context, queue string) workflow.Context {
	return withWork(ctx, queue, longestWork, 60)
}

// withCommit is for making stored bytes visible, which some stores do by
// copying them.
func withCommit(ctx workflow.Context, queue string) workflow.Context {
	return withWork(ctx, queue, 2*time.Hour, 60)
}

// withCopy is for bringing stored bytes into another store. A store that need not
// succeed is given up sooner.
func withCopy(ctx workflow.Context, queue string, must bool) workflow.Context {
	if !must {
		return withWork(ctx, queue, longestWork, optionalAttempts)
	}
	return withPass(ctx, queue)
}

// withWork is for work on what a fetch pinned. It runs where that is.
func withWork(ctx workflow.Context, queue string, longest time.Duration, attempts int32) workflow.Context {
	o := workflow.ActivityOptions{
		TaskQueue:           contract.TransferQueue,
		StartToCloseTimeout: longest,
		HeartbeatTimeout:    heartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         retry(afterCrash, attempts, errcode.StagingLost, errcode.UploadUnknown, errcode.VerifyMismatch),
	}
	if queue != "" {
		o.TaskQueue, o.ScheduleToStartTimeout = queue, hostTimeout
	}
	return workflow.WithActivityOptions(ctx, o)
}

// withPlan is for a dry run, which somebody waits for: an attempt bounds itself, and
// another one is made only if the first died without a word.
func withPlan(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              contract.TransferQueue,
		ScheduleToCloseTimeout: 2 * time.Minute,
		StartToCloseTimeout:    time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy:            retry(afterCrash, 2),
	})
}

// withLoad is for writing a manifest down, which another attempt begins anew.
func withLoad(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retry(time.Minute, 0),
	})
}

// withTidying is for removing what is left. What it leaves the reaper finds, so
// that it may give up.
func withTidying(ctx workflow.Context, queue string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              queue,
		ScheduleToStartTimeout: hostTimeout,
		StartToCloseTimeout:    10 * time.Minute,
		ScheduleToCloseTimeout: time.Hour,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retry(time.Minute, 20),
	})
}

// retry tries again after 1, 2, 4 ... seconds, at most longest; attempts 0
// means for ever.
func retry(longest time.Duration, attempts int32, elsewhere ...errcode.Code) *temporal.RetryPolicy {
	p := &temporal.RetryPolicy{
		InitialInterval:    time.Second,
		BackoffCoefficient: 2,
		MaximumInterval:    longest,
		MaximumAttempts:    attempts,
	}
	for _, code := range elsewhere {
		p.NonRetryableErrorTypes = append(p.NonRetryableErrorTypes, string(code))
	}
	return p
}
