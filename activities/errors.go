package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// How an attempt is interrupted.
var (
	// errStalled: nothing has moved for too long.
	errStalled = errors.New("nothing moves")
	// errStopping: the worker shuts down.
	errStopping = errors.New("worker stops")
)

// afterStop is when an attempt that a shutdown cut off may go on: at once, and
// not after the back-off of one that has failed.
const afterStop = time.Second

// A hinted is an error with which an attempt ended whose work can be gone on with.
type hinted struct {
	error
	resume []byte
}

func (h hinted) Unwrap() error { return h.error }

// hint adds to a cancellation where the work can be gone on with: the task may only be
// paused.
func (b *beat) hint(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !temporal.IsCanceledError(err) || len(b.resume) == 0 || !json.Valid(b.resume) {
		return err
	}
	return hinted{err, bytes.Clone(b.resume)}
}

// value is the travelling form of any error that ends an attempt.
func value(err error) contract.ErrorValue {
	if temporal.IsCanceledError(err) {
		return contract.ValueOf(errcode.New(errcode.TaskCancelled, "the task was cancelled"))
	}
	return contract.ValueOf(err)
}

// temporal turns an error into Temporal's. It is the only place where that is
// done: the type is the code, whether to try again is what the code's
// descriptor says, the details are a contract.ErrorValue. The text of an error
// without a code does not leave the host.
//
// An attempt that failed waits before the next one, longer each time; attempt is
// its number, 0 leaves the wait to the policy. The policies themselves wait only
// a moment, because they are left with the attempts that died without a word:
// after a crash work shall go on at once, however often it has crashed.
func (d Deps) temporal(err error, attempt int32) error {
	v := value(err)
	v.Queue = d.HostQueue
	if h := (hinted{}); errors.As(err, &h) {
		v.Resume = h.resume
	}
	switch {
	case temporal.IsCanceledError(err):
		return temporal.NewCanceledError(v)
	case errors.Is(err, activity.ErrActivityPaused), errors.Is(err, activity.ErrActivityReset):
		return err
	}
	desc := errcode.Lookup(v.Code)
	o := temporal.ApplicationErrorOptions{NonRetryable: !desc.Retryable, Details: []any{v}}
	switch {
	case v.Code == errcode.WorkerStopping:
		o.NextRetryDelay = afterStop
	case desc.Retryable && attempt > 0:
		o.NextRetryDelay = backOff(attempt)
	}
	if desc.HTTPStatus < 500 || v.Code == errcode.WorkerStopping {
		// A hostile image or a restart is daily work and no alarm.
		o.Category = temporal.ApplicationErrorCategoryBenign
	}
	return temporal.NewApplicationErrorWithOptions(v.Message, string(v.Code), o)
}

// longestBackOff is the longest wait between attempts at something that does
// not answer.
const longestBackOff = time.Minute

// backOff is the wait after the numbered attempt: 1, 2, 4 ... seconds.
func backOff(attempt int32) time.Duration {
	return min(time.Second<<min(attempt-1, 10), longestBackOff)
}

// interrupted says why ctx has ended: what the server, the worker or the beat
// wanted. It returns nil for one that has not.
func interrupted(ctx context.Context, stage contract.Stage) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errStalled):
		if stage == contract.StageFetch {
			return errcode.Wrap(cause, errcode.SourceTooSlow, "stage %s: the source has sent nothing for too long", string(stage))
		}
		return errcode.Wrap(cause, errcode.StoreUnavailable, "stage %s: nothing has moved for too long", string(stage))
	case errors.Is(cause, activity.ErrActivityPaused), errors.Is(cause, activity.ErrActivityReset):
		return cause
	case errors.Is(cause, context.DeadlineExceeded):
		// The server has given the attempt up already: nobody reads this.
		return errcode.Wrap(cause, errcode.Internal, "stage %s ran into its deadline", string(stage))
	case temporal.IsCanceledError(cause), errors.Is(cause, context.Canceled):
		return temporal.NewCanceledError()
	}
	// errStopping, or the worker's own cause once its patience has ended.
	return errcode.Wrap(cause, errcode.WorkerStopping, "stage %s: the worker is shutting down", string(stage))
}

// trace writes an error with the causes that its own text leaves out, for the
// operator's log.
func trace(err error) string {
	var parts []string
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if n := len(parts); n == 0 || !strings.Contains(parts[n-1], text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}
