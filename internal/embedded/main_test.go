//go:build !noembed && unix

package embedded

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/logging"
	"ingest/internal/temporalclient"
)

// childDir names the folder for which this test program is to be a process
// that may be killed.
const childDir = "INGEST_TEST_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

const (
	queue   = "embedded-test"
	half    = 10 // where the first attempt of count stays until it is killed
	whole   = 20
	timeout = 2 * time.Minute // gives up on what hangs
)

// countResult says what the last attempt of count did.
type countResult struct{ From, To int }

// countTo counts in one activity, like a transfer counts bytes.
func countTo(ctx workflow.Context) (countResult, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour,
		HeartbeatTimeout:    10 * time.Second, // longer than a disk stands still: only a worker that was killed is missed
	})
	var out countResult
	err := workflow.ExecuteActivity(ctx, "count").Get(ctx, &out)
	return out, err
}

// count stays half way for ever in its first attempt.
func count(ctx context.Context) (countResult, error) {
	var from int
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &from); err != nil {
			return countResult{}, err
		}
	}
	for at := from; at < whole; {
		if at < half || activity.GetInfo(ctx).Attempt > 1 {
			at++
		}
		activity.RecordHeartbeat(ctx, at)
		select {
		case <-ctx.Done():
			return countResult{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return countResult{from, whole}, nil
}

// waitForCancel returns when it is cancelled. Its heartbeat timeout is so long
// that no heartbeat would tell it.
func waitForCancel(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Hour, WaitForCancellation: true,
	})
	return workflow.ExecuteActivity(ctx, "sit").Get(ctx, nil)
}

func sit(ctx context.Context, started chan<- struct{}) error {
	close(started)
	<-ctx.Done()
	return ctx.Err()
}

// newWorker serves the workflows above; started is closed by sit.
func newWorker(c client.Client, started chan<- struct{}) worker.Worker {
	w := worker.New(c, queue, worker.Options{MaxHeartbeatThrottleInterval: 100 * time.Millisecond})
	w.RegisterWorkflowWithOptions(countTo, workflow.RegisterOptions{Name: "countTo"})
	w.RegisterWorkflowWithOptions(waitForCancel, workflow.RegisterOptions{Name: "waitForCancel"})
	w.RegisterActivityWithOptions(count, activity.RegisterOptions{Name: "count"})
	w.RegisterActivityWithOptions(func(ctx context.Context) error { return sit(ctx, started) }, activity.RegisterOptions{Name: "sit"})
	return w
}

// dial connects to the server's default namespace.
func dial(ctx context.Context, s *Server) (client.Client, error) {
	return temporalclient.Dial(ctx, temporalclient.Options{HostPort: s.HostPort(), Logger: zerolog.Nop()})
}

// logBuffer collects lines from many goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a server that stops with the test, and returns its log.
func start(t *testing.T, o Options) (*Server, *logBuffer) {
	t.Helper()
	lines := new(logBuffer)
	o.Logger = logging.New(lines, logging.JSON, zerolog.InfoLevel)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, lines)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, lines
}
