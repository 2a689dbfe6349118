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

func noSpace() error { return errcode.New(errcode.NoSpace, "the store has 3 bytes left") }

func TestWaitsForSpaceAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deps.SpaceWait, b.deps.spaceEvery, b.deps.Stall = time.Hour, 5*time.Millisecond, 2*time.Second
	begun := time.Now()
	b.deps.Heavy = NewTurns(1, nil)
	var room atomic.Bool
	b.steps.OnConvert = func(context.Context, contract.ConvertParams, pipeline.Observe) (contract.Converted, error) {
		if b.deps.Heavy.Free() != 0 {
			t.Error("the step runs without its slot")
		}
		if !room.Load() {
			return contract.Converted{}, noSpace()
		}
		return contract.Converted{Size: 7}, nil
	}
	go func() {
		until(t, "a beat that tells of the wait, longer than a standstill may be", func() bool {
			if time.Since(begun) < 2*b.deps.Stall {
				return false
			}
			h := b.heard()
			return len(h) > 0 && h[len(h)-1].Progress.Message == "waits for space: the store has 3 bytes left"
		})
		// Whoever makes the space gets a slot meanwhile.
		if leave, err := b.deps.Heavy.Take(t.Context(), "another"); err == nil {
			leave()
		}
		room.Store(true)
	}()
	if _, err := b.run(contract.ConvertActivity, convertParams); err != nil {
		t.Fatal(err)
	}
}

func TestWaitForSpaceEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		wait time.Duration
		stop bool
		want errcode.Code
	}{
		{"no wait", 0, false, errcode.NoSpace},
		{"too long", 2 * time.Second, false, errcode.NoSpace},
		{"worker stops", time.Hour, true, errcode.WorkerStopping},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.deps.SpaceWait, b.deps.spaceEvery = c.wait, 5*time.Millisecond
			stop := make(chan struct{})
			b.env.SetWorkerStopChannel(stop)
			var asked atomic.Int32
			b.steps.OnConvert = func(context.Context, contract.ConvertParams, pipeline.Observe) (contract.Converted, error) {
				if asked.Add(1) == 2 && c.stop {
					close(stop)
				}
				return contract.Converted{}, noSpace()
			}
			_, err := b.run(contract.ConvertActivity, convertParams)
			if app := appError(t, err); app.Type() != string(c.want) {
				t.Errorf("ended with %v, want %s", app, c.want)
			}
			if once := asked.Load() == 1; once != (c.wait == 0) {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}
