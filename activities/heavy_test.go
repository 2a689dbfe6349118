package activities

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
)

var convertParams = contract.ConvertParams{TaskID: taskID, ImageID: imageID}

// full is a Heavy that has no room left.
func full() (turns *Turns, leave func()) {
	turns = NewTurns(1, nil)
	leave, _ = turns.Take(context.Background(), "another")
	return turns, leave
}

func TestHeavyStepsWaitForRoomAndSaySo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var leave func()
	b.deps.Heavy, leave = full()
	b.deps.Stall = 2 * time.Second
	begun := time.Now()
	var running atomic.Bool
	b.steps.OnConvert = func(context.Context, contract.ConvertParams, pipeline.Observe) (contract.Converted, error) {
		running.Store(true)
		return contract.Converted{Size: 7}, nil
	}
	go func() {
		until(t, "a beat that tells of the wait, longer than a standstill may be", func() bool {
			if time.Since(begun) < 2*b.deps.Stall {
				return false
			}
			h := b.heard()
			return len(h) > 0 && h[len(h)-1].Progress.Message != ""
		})
		if running.Load() {
			t.Error("the step runs without room")
		}
		leave()
	}()
	if _, err := b.run(contract.ConvertActivity, convertParams); err != nil {
		t.Fatal(err)
	}
	if !running.Load() || b.deps.Heavy.Free() != 1 {
		t.Errorf("ran: %v, room still taken: %d", running.Load(), 1-b.deps.Heavy.Free())
	}
}

func TestShortStepsDoNotWait(t *testing.T) {
	b := newBench(t)
	b.deps.Heavy, _ = full()
	if _, err := b.run(contract.CleanupActivity, contract.CleanupParams{TaskID: taskID, ImageID: imageID}); err != nil {
		t.Error(err)
	}
}

func TestStopEndsTheWait(t *testing.T) {
	b := newBench(t)
	b.deps.Heavy, _ = full()
	stop := make(chan struct{})
	b.env.SetWorkerStopChannel(stop)
	go func() {
		until(t, "a beat", func() bool { return b.ticks.Load() > 0 })
		close(stop)
	}()
	_, err := b.run(contract.ConvertActivity, convertParams)
	if app := appError(t, err); app.Type() != string(errcode.WorkerStopping) {
		t.Errorf("ended with %v, want %s", app, errcode.WorkerStopping)
	}
	if b.deps.Heavy.Free() != 0 {
		t.Error("gave up room that it never had")
	}
}
