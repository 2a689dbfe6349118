package cli

import (
	"context"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/progress"
)

// A Watcher is what following needs of a client.
type Watcher interface {
	Progress(ctx context.Context, taskID string) (contract.Progress, error)
	Task(ctx context.Context, taskID string) (wire.Task, error)
}

const (
	// pollFast is the pace at the begin, when stages are short; pollSlow the
	// one afterwards.
	pollFast  = 100 * time.Millisecond
	pollSlow  = 500 * time.Millisecond
	fastPolls = 30
	// patience is how long a server may be away, such as during a restart,
	// before following gives up; the import goes on without it.
	patience = 2 * time.Minute
)

// Follow shows how far a task is until it has ended, and returns it. The
// caller ends the display. A server that does not answer for a while is waited
// for.
func Follow(ctx context.Context, c Watcher, taskID string, d *progress.Display) (wire.Task, error) {
	var silentSince time.Time
	pace := pollFast
	for n := 0; ; n++ {
		if n == fastPolls {
			pace = pollSlow
		}
		p, err := c.Progress(ctx, taskID)
		if err == nil && ended(p.Status) {
			var t wire.Task
			if t, err = c.Task(ctx, taskID); err == nil {
				return t, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return wire.Task{}, ctx.Err()
		case err == nil:
			silentSince = time.Time{}
			d.Show(p)
		case !errcode.Lookup(errcode.Of(err)).Retryable || errcode.Of(err) == errcode.Internal:
			return wire.Task{}, err
		case silentSince.IsZero():
			silentSince = time.Now()
		case time.Since(silentSince) > patience:
			return wire.Task{}, err
		}
		select {
		case <-ctx.Done():
			return wire.Task{}, ctx.Err()
		case <-time.After(pace):
		}
	}
}

func ended(status string) bool { return status == "success" || status == "failure" }
