package cli

import (
	"context"
	"encoding/json"
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
	f := follower{c: c, id: taskID, d: d}
	pace := pollFast
	for n := 0; ; n++ {
		if n == fastPolls {
			pace = pollSlow
		}
		t, done, err := f.look(ctx)
		switch {
		case ctx.Err() != nil:
			return wire.Task{}, ctx.Err()
		case done:
			return t, nil
		case err == nil:
			silentSince = time.Time{}
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

// A follower shows one task.
type follower struct {
	c     Watcher
	id    string
	d     *progress.Display
	stage string // and disk, as seen last
	seq   int64  // of the last event shown
	// inside is what was found in the disk that is validated, until that has ended.
	inside string
}

// look asks once. Stages are often over before anybody has asked: whenever the
// stage has changed, those that ended are shown from the task's history, with
// the figures that were taken where the work was done.
func (f *follower) look(ctx context.Context) (t wire.Task, done bool, err error) {
	p, err := f.c.Progress(ctx, f.id)
	if err != nil {
		return t, false, err
	}
	done = ended(p.Status)
	stage := progress.StageName(string(p.Stage), p.Disk)
	if done || stage != f.stage {
		if t, err = f.c.Task(ctx, f.id); err != nil {
			return t, false, err
		}
		f.history(t.Events)
		f.stage = stage
	}
	if !done {
		f.d.Show(p)
	}
	return t, done, nil
}

// history shows the stages that have ended since the last look.
func (f *follower) history(events []wire.Event) {
	begun := map[string]time.Time{}
	for _, e := range events {
		switch {
		case e.Kind == "status" && e.Status == "pending":
			begun[string(contract.StageRegister)] = e.At
		case e.Kind == "stage" && e.Attempt == 0:
			begun[e.Stage] = e.At
		}
		if e.Seq <= f.seq {
			continue
		}
		f.seq = e.Seq
		switch {
		case e.Kind == "report" && e.Stage == string(contract.StageValidate):
			f.inside = Inside(e)
		case e.Kind == "status" && e.Status == "processing":
			f.ended(string(contract.StageRegister), 0, e.At.Sub(begun[string(contract.StageRegister)]))
		case e.Kind == "status" && e.Status == "success":
			f.ended(string(contract.StageActivate), 0, e.At.Sub(begun[string(contract.StageActivate)]))
		case e.Kind == "stage" && e.Attempt > 0 && e.Code == "":
			f.ended(progress.StageName(e.Stage, contract.DiskInMessage(e.Message)), e.Bytes, time.Duration(e.Seconds*float64(time.Second)))
		}
	}
}

func (f *follower) ended(stage string, bytes int64, took time.Duration) {
	// A task without a history of its own, as after a restore, has no begin.
	if took < 0 || took > 365*24*time.Hour {
		took = 0
	}
	f.d.Ended(stage, bytes, took)
	if f.inside != "" {
		f.d.Note("inside", Clean(f.inside))
		f.inside = ""
	}
}

// Inside returns the one line that a report of validation has of what is inside the
// disk, "" if it has none.
func Inside(e wire.Event) string {
	var d struct {
		Guest struct {
			Summary string `json:"summary"`
		} `json:"guest"`
	}
	if e.Kind != "report" || json.Unmarshal(e.Detail, &d) != nil {
		return ""
	}
	return d.Guest.Summary
}

func ended(status string) bool { return status == "success" || status == "failure" }
