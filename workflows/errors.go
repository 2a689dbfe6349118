package workflows

import (
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// explain turns what ended a stage into the form in which it is recorded.
func explain(err error, at contract.Stage) contract.ErrorValue {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	var panicked *temporal.PanicError
	switch {
	case errors.As(err, &panicked):
		return contract.ValueOf(crash(at))
	case errors.As(err, &timeout):
		return contract.ValueOf(timedOut(timeout, at))
	case errors.As(err, &app):
		return valueOf(app)
	}
	return contract.ValueOf(err)
}

// valueOf reads an activity's error back. One without a known code is one that
// no activity of ours has made, and its text stays in the history.
func valueOf(app *temporal.ApplicationError) contract.ErrorValue {
	code := errcode.Code(app.Type())
	if !errcode.Known(code) {
		code = errcode.Internal
	}
	v := contract.ErrorValue{}
	if app.HasDetails() && app.Details(&v) == nil && v.Code == code {
		return v
	}
	d := errcode.Lookup(code)
	return contract.ErrorValue{Code: d.Code, Message: d.Meaning, Remedy: d.Remedy}
}

// crash is the error of an activity that panicked: that of the image, where one
// is read.
func crash(at contract.Stage) error {
	switch at {
	case contract.StageDetect, contract.StageValidate, contract.StageConvert:
		return errcode.New(errcode.ParserCrash, "stage %s: the reader failed in an unforeseen way", string(at))
	}
	return errcode.New(errcode.Internal, "stage %s failed in an unforeseen way", string(at))
}

func timedOut(t *temporal.TimeoutError, at contract.Stage) error {
	switch t.TimeoutType() {
	case enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return errcode.New(errcode.StagingLost, "stage %s: the host that holds the staged copy does not answer", string(at))
	case enumspb.TIMEOUT_TYPE_HEARTBEAT:
		return errcode.New(errcode.TaskTimedOut, "stage %s: its worker went silent again and again", string(at))
	}
	return errcode.New(errcode.TaskTimedOut, "stage %s took longer than it is allowed to", string(at))
}

func cancelledValue() contract.ErrorValue {
	return contract.ValueOf(errcode.New(errcode.TaskCancelled, "the task was cancelled"))
}

// failure is the error with which a failed import ends.
func failure(v contract.ErrorValue) error {
	return temporal.NewApplicationErrorWithOptions(v.Message, string(v.Code), temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Details:      []any{v},
	})
}

// fetchAgain reports whether another fetch may mend the error: the host is
// silent, or what was staged or uploaded there is gone.
func fetchAgain(err error) bool {
	return hostSilent(err) || hasCode(err, errcode.StagingLost) || hasCode(err, errcode.UploadUnknown)
}

// hostSilent reports whether nobody took the task from its host's queue.
func hostSilent(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

func verifyMismatch(err error) bool { return hasCode(err, errcode.VerifyMismatch) }

func hasCode(err error, code errcode.Code) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == string(code)
}

// permanent reports whether an activity says that trying again is no use.
func permanent(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// placeOf notes the host on which a fetch was given up: it may have staged
// something there.
func (st *state) placeOf(err error) {
	st.placeAt(explainQueue(err))
}

// placeAt notes a host that may have staged something, unless it is that of this round.
func (st *state) placeAt(queue string) {
	if queue == "" || st.round > 0 && st.here().queue == queue {
		return
	}
	st.places = append(st.places, place{queue: queue})
}

// explainQueue reads the host's task queue from an error, or from the last
// heartbeat of an attempt that ended without one.
func explainQueue(err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	var cancelled *temporal.CanceledError
	var v contract.ErrorValue
	var beat contract.Heartbeat
	switch {
	case errors.As(err, &timeout):
		if timeout.HasLastHeartbeatDetails() && timeout.LastHeartbeatDetails(&beat) == nil {
			return beat.Queue
		}
	case errors.As(err, &app):
		if app.HasDetails() && app.Details(&v) == nil {
			return v.Queue
		}
	case errors.As(err, &cancelled):
		if cancelled.HasDetails() && cancelled.Details(&v) == nil {
			return v.Queue
		}
	}
	return ""
}
