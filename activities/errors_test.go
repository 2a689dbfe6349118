package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
)

// Every code crosses into Temporal with what its descriptor says.
func TestCodesCrossIntoTemporal(t *testing.T) {
	d := Deps{HostQueue: "q"}
	for _, desc := range errcode.All() {
		cause := errcode.Wrap(errors.New("secret"), desc.Code, "what happened").With(errcode.Evidence{Format: "qcow2", Offset: errcode.At(8)})
		var app *temporal.ApplicationError
		if !errors.As(d.temporal(fmt.Errorf("while reading: %w", cause), 3), &app) {
			t.Fatalf("%s: no application error", desc.Code)
		}
		var v contract.ErrorValue
		if err := app.Details(&v); err != nil {
			t.Fatal(err)
		}
		want := contract.ErrorValue{Code: desc.Code, Message: "what happened", Evidence: cause.Evidence, Remedy: desc.Remedy, Queue: "q"}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", desc.Code, diff)
		}
		if delay := app.NextRetryDelay(); desc.Retryable && desc.Code != errcode.WorkerStopping && delay != 4*time.Second {
			t.Errorf("%s: next attempt after %v, want 4s", desc.Code, delay)
		}
		if app.Type() != string(desc.Code) || app.NonRetryable() == desc.Retryable {
			t.Errorf("%s: type %s, non-retryable %v", desc.Code, app.Type(), app.NonRetryable())
		}
		if strings.Contains(app.Error(), "secret") || app.Unwrap() != nil {
			t.Errorf("%s: the cause has left the host: %v", desc.Code, app)
		}
	}
}

// The operator's log has what the history must not have, in one line.
func TestLogHasTheCause(t *testing.T) {
	b := newBench(t)
	var log bytes.Buffer
	b.deps.Log = zerolog.New(&log)
	b.deps.tick = time.Hour // what is told meanwhile, and cut off by the end, has lines of its own
	b.steps.OnFetch = func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error) {
		return contract.Fetched{}, errors.New("dial tcp 10.1.2.3: refused")
	}
	_, err := b.run(contract.FetchActivity, fetchParams)
	if app := appError(t, err); app.Type() != string(errcode.Internal) || strings.Contains(app.Error(), "10.1.2.3") {
		t.Errorf("ended with %v, want INTERNAL without the text", app)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d lines, want one: %s", len(lines), log.String())
	}
	for _, want := range []string{`"task":"` + taskID, `"image":"` + imageID, `"stage":"fetch"`, `"attempt":1`, `"bytes":0`, `"duration_ms":`, `"code":"INTERNAL"`, "10.1.2.3: refused"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("line lacks %s: %s", want, lines[0])
		}
	}
}

func TestTraceShowsWhatErrcodeHides(t *testing.T) {
	err := fmt.Errorf("fetch: %w", errcode.Wrap(errors.New("connection reset"), errcode.SourceUnreachable, "read"))
	if got, want := trace(err), "fetch: IMG_SOURCE_UNREACHABLE: read: connection reset"; got != want {
		t.Errorf("trace = %q, want %q", got, want)
	}
}

func TestBackOffGrowsToAMinute(t *testing.T) {
	for attempt, want := range map[int32]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1 << 30: time.Minute} {
		if got := backOff(attempt); got != want {
			t.Errorf("after attempt %d: %v, want %v", attempt, got, want)
		}
	}
}
