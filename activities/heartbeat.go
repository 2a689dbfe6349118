package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/metadata"
)

const (
	// firstSignal and longestSignal bound the time between two signals. Each
	// one is an event in the workflow's history, so that they become rarer the
	// longer an attempt runs.
	firstSignal   = 1  // ticks
	longestSignal = 60 // ticks
	// idleTicks is how many ticks there are between two beats of an attempt
	// that waits for room: many may wait, and each beat is a write.
	idleTicks = 4
	// signalTime is how long one signal may take.
	signalTime = 5 * time.Second
)

// A beat keeps one attempt alive in the server's eyes, for as long as it moves.
type beat struct {
	ctx    context.Context // of the step; ended by an interruption
	cancel context.CancelCauseFunc
	d      Deps
	w      work
	info   activity.Info
	quit   chan struct{}
	ended  sync.WaitGroup

	mu     sync.Mutex
	waits  bool // for room among the heavy ones
	figs   contract.Progress
	resume []byte
	meter  meter
	moved  time.Time
	flow   *bandwidth.Meter // nil before there is one
}

// startBeat begins to beat. It is ended by stop.
func startBeat(ctx context.Context, d Deps, w work) *beat {
	info := activity.GetInfo(ctx)
	b := &beat{d: d, w: w, info: info, quit: make(chan struct{}), moved: time.Now()}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.figs = contract.Progress{TaskID: w.taskID, Stage: w.stage, Total: -1, ETA: -1, Attempt: info.Attempt, ObservedAt: b.moved, Disk: w.disk, Store: w.store}
	if b.resume = earlier(ctx).Resume; len(b.resume) == 0 {
		b.resume = w.resume
	}
	b.ended.Add(2)
	go b.keep(ctx)
	go b.tell()
	return b
}

// earlier returns the last beat of the attempt before, empty if there is none
// that can be read.
func earlier(ctx context.Context) contract.Heartbeat {
	var hb contract.Heartbeat
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &hb); err != nil {
			return contract.Heartbeat{}
		}
	}
	return hb
}

// observe is the pipeline.Observe of the attempt.
func (b *beat) observe(done, total int64, resume []byte) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if done != b.figs.Bytes || total != b.figs.Total {
		b.moved = now
	}
	b.figs.Bytes, b.figs.Total = done, total
	if len(resume) > 0 && !bytes.Equal(resume, b.resume) {
		b.resume, b.moved = bytes.Clone(resume), now
	}
}

// done returns how many bytes the step has told of.
func (b *beat) done() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.figs.Bytes
}

// keep beats until the attempt ends, or stands still.
func (b *beat) keep(ctx context.Context) {
	defer b.ended.Done()
	ticker := time.NewTicker(b.d.beatEvery())
	defer ticker.Stop()
	stopping := activity.GetWorkerStopChannel(ctx)
	for n := 0; ; n++ {
		select {
		case <-b.quit:
			return
		case <-stopping:
			stopping = nil
			b.cancel(errStopping)
		case <-ticker.C:
			if b.stalled() {
				b.cancel(errStalled)
				return
			}
			if b.d.ticked != nil {
				b.d.ticked()
			}
			if n%idleTicks != 0 && b.idle() {
				continue
			}
			activity.RecordHeartbeat(ctx, b.measure())
		}
	}
}

func (b *beat) stalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flow.Waits() { // for its budget: a little at a time is no standing still
		b.moved = time.Now()
	}
	return b.w.moves && !b.waits && time.Since(b.moved) >= b.d.stall()
}

// enter waits for room among the heavy steps, and returns how to leave it.
// Waiting is no standing still: the attempt beats, and says what it waits for.
func (b *beat) enter() (leave func(), err error) {
	if !b.w.heavy || b.d.Heavy == nil {
		return func() {}, nil
	}
	b.wait("waits for another import to end")
	defer b.wait("")
	return b.d.Heavy.Take(b.ctx, b.w.taskID)
}

func (b *beat) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waits
}

// wait says what the attempt waits for, "" for nothing.
func (b *beat) wait(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits, b.moved, b.figs.Message = what != "", time.Now(), what
}

// measure takes the figures of this moment.
func (b *beat) measure() contract.Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.figs.ObservedAt = time.Now().UTC()
	b.meter.add(b.figs.ObservedAt, b.figs.Bytes)
	b.figs.Rate = b.meter.rate()
	b.figs.ETA = eta(b.figs.Bytes, b.figs.Total, b.figs.Rate)
	hb := contract.Heartbeat{Progress: b.figs, Queue: b.d.HostQueue}
	if json.Valid(b.resume) {
		hb.Resume = bytes.Clone(b.resume)
	}
	return hb
}

// tell signals the workflow: after one tick, then more and more rarely, and
// only if there is something to tell. After the first tick it also makes the stage appear in
// the catalogue.
func (b *beat) tell() {
	defer b.ended.Done()
	var told int64
	attempt := int32(1)
	for ticks := firstSignal; ; ticks = min(2*ticks, longestSignal) {
		wait := time.NewTimer(time.Duration(ticks) * b.d.beatEvery())
		select {
		case <-b.quit:
			wait.Stop()
			return
		case <-b.ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		if ticks == firstSignal {
			b.appear()
		}
		if b.d.Signaller == nil {
			return
		}
		p := b.measure().Progress
		if p.Bytes == told && p.Attempt == attempt {
			continue
		}
		told, attempt = p.Bytes, p.Attempt
		b.signal(p)
	}
}

// appear says in the catalogue which stage the task is at, unless the workflow has: that of
// a bulk's item leaves it to the stages that take a while. The end of the attempt says it
// again.
func (b *beat) appear() {
	ctx, cancel := context.WithTimeout(b.ctx, noteTime)
	defer cancel()
	t, err := b.d.Catalogue.Task(ctx, b.w.taskID)
	if err == nil && t.Stage != string(b.w.stage) {
		err = b.d.Catalogue.SetStage(ctx, b.w.taskID, metadata.Event{Stage: string(b.w.stage), Message: b.w.message()})
	}
	if err != nil {
		b.d.Log.Debug().Str("task", b.w.taskID).Str("error", trace(err)).Msg("stage not recorded")
	}
}

// signal sends one signal. The figures are a courtesy, so that an error is
// worth no more than a line for those who look for it.
func (b *beat) signal(p contract.Progress) {
	ctx, cancel := context.WithTimeout(b.ctx, signalTime)
	defer cancel()
	x := b.info.WorkflowExecution
	if err := b.d.Signaller.SignalWorkflow(ctx, x.ID, x.RunID, contract.ProgressSignal, p); err != nil {
		b.d.Log.Debug().Str("task", b.w.taskID).Str("error", trace(err)).Msg("progress not signalled")
	}
}

// stop ends the beat and returns what the attempt ended with: if it was
// interrupted, that, and not the step's own words about it. The last beat
// carries the latest hint to the next attempt.
func (b *beat) stop(ctx context.Context, err error) error {
	why := interrupted(b.ctx, b.w.stage)
	close(b.quit)
	b.cancel(nil)
	b.ended.Wait()
	if err == nil {
		return nil
	}
	activity.RecordHeartbeat(ctx, b.measure())
	if why != nil {
		return why
	}
	return err
}
