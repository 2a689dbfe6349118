package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// control sends the workflow a change, as the API does.
func (b *bench) control(revision int64, paused bool, priority int) {
	b.env.SignalWorkflow(contract.ControlSignal, contract.Control{Revision: revision, Paused: paused, Priority: priority})
}

// later runs fn once the workflow has lived for so long.
func (b *bench) later(after time.Duration, fn func()) { b.env.RegisterDelayedCallback(fn, after) }

// progress asks the workflow.
func (b *bench) progress() contract.Progress {
	b.t.Helper()
	v, err := b.env.QueryWorkflow(contract.ProgressQuery)
	if err != nil {
		b.t.Fatal(err)
	}
	var p contract.Progress
	if err := v.Get(&p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// pausedIn makes the first call of a stage's step be interrupted by a pause, which ends
// after an hour.
func (b *bench) pausedIn(s contract.Stage) (calls *int) {
	n := 0
	b.script(s, func(context.Context) error {
		if n++; n > 1 {
			return nil
		}
		b.control(1, true, contract.DefaultPriority)
		b.later(59*time.Minute, func() {
			if p := b.progress(); !p.Paused || p.Stage != s {
				b.t.Errorf("while it is paused, progress says %+v", p)
			}
		})
		b.later(time.Hour, func() { b.control(2, false, contract.DefaultPriority) })
		return errcode.New(errcode.SourceUnreachable, "cut off")
	}, &activitytest.Steps{})
	return &n
}

func TestAPausedTaskGoesOnInTheSameUpload(t *testing.T) {
	for _, s := range []contract.Stage{contract.StageFetch, contract.StageDetect, contract.StageValidate, contract.StageConvert, contract.StageChecksum} {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			calls := b.pausedIn(s)
			began := b.env.Now()
			got, err := b.run(request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(result, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if *calls != 2 {
				t.Errorf("the step ran %d times, want once before the pause and once behind it", *calls)
			}
			if lived := b.env.Now().Sub(began); lived < time.Hour {
				t.Errorf("it lived %s, and was paused for an hour", lived)
			}
			if keys := b.keys(); len(slices.Compact(keys)) != 1 || keys[0] != key(1) {
				t.Errorf("uploads %v, want the one", keys)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

func TestAPauseHoldsTheNextStageBack(t *testing.T) {
	for _, s := range []contract.Stage{contract.StageStore} {
		b := newBench(t)
		var during metadata.TaskStatus
		b.script(s, func(context.Context) error {
			b.control(1, true, contract.DefaultPriority)
			b.later(30*time.Minute, func() { during = b.task().Status })
			b.later(time.Hour, func() { b.control(2, false, contract.DefaultPriority) })
			return nil
		}, &activitytest.Steps{})
		if _, err := b.run(request); err != nil {
			t.Fatal(err)
		}
		if during != metadata.TaskProcessing {
			t.Errorf("paused behind %s, the task is %s", s, during)
		}
		b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
	}
}

// A workflow that was lost is started again, and knows from the catalogue that it is
// paused.
func TestAWorkflowThatIsStartedAgainIsPausedStill(t *testing.T) {
	b := newBench(t)
	accepted(t, b)
	yes, nine := true, 9
	if _, err := b.cat.Steer(t.Context(), taskID, metadata.Steering{Paused: &yes, Priority: &nine}); err != nil {
		t.Fatal(err)
	}
	b.later(10*time.Minute, func() {
		if calls := b.steps.Calls(); len(calls) != 0 || !b.progress().Paused {
			t.Errorf("a paused task did %v", calls)
		}
	})
	b.later(20*time.Minute, func() { b.control(1, false, 9) }) // is known already
	b.later(25*time.Minute, func() {
		if calls := b.steps.Calls(); len(calls) != 0 {
			t.Errorf("an old signal was obeyed: %v", calls)
		}
	})
	b.later(30*time.Minute, func() { b.control(2, false, 9) })
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
}

// accepted records the task of the request before its workflow runs.
func accepted(t *testing.T, b *bench) {
	t.Helper()
	_, err := b.cat.Accept(t.Context(), metadata.NewImport{
		Task:  metadata.Task{ID: taskID, Type: "import", Owner: "p1", ImageID: imageID, WorkflowID: workflowID, Priority: contract.DefaultPriority, Request: []byte(`{"source":{"url":"https://images.example.org/disk.vmdk"},"owner":"p1"}`)},
		Image: metadata.Image{ID: imageID, Name: "disk"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPausedTaskCanBeCancelled(t *testing.T) {
	for _, s := range []contract.Stage{contract.StageFetch, contract.StageConvert} {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			b.script(s, func(context.Context) error {
				b.control(1, true, contract.DefaultPriority)
				b.later(time.Hour, b.env.CancelWorkflow)
				return errcode.New(errcode.SourceUnreachable, "cut off")
			}, &activitytest.Steps{})
			if _, err := b.run(request); !temporal.IsCanceledError(err) {
				t.Errorf("the workflow ended with %v, want cancelled", err)
			}
			b.undone(s)
			b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
			if e := b.task().Error; e.Code != errcode.TaskCancelled {
				t.Errorf("task's error is %+v", e)
			}
		})
	}
}

// Who stands in a queue of the service with its old priority queues again; who is at work
// is left alone.
func TestAnotherPriorityInterruptsOnlyWhoWaits(t *testing.T) {
	for _, c := range []struct {
		name     string
		working  bool
		priority int
		calls    int
	}{
		{"waits", false, 9, 2}, {"works", true, 9, 1}, {"waits, the same rank", false, 4, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			n := 0
			done := make(chan struct{})
			b.script(contract.StageConvert, func(context.Context) error {
				if n++; n > 1 {
					return nil
				}
				b.later(0, func() {
					if c.working {
						b.env.SignalWorkflow(contract.ProgressSignal, contract.Progress{TaskID: taskID, Stage: contract.StageConvert, Attempt: 1, ObservedAt: b.env.Now()})
					}
				})
				b.later(time.Second, func() { b.control(1, false, c.priority) })
				b.later(2*time.Second, func() { close(done) })
				<-done
				return nil
			}, &activitytest.Steps{})
			if _, err := b.run(request); err != nil {
				t.Fatal(err)
			}
			if n != c.calls {
				t.Errorf("converted %d times, want %d", n, c.calls)
			}
		})
	}
}

func TestCopiesStandStillToo(t *testing.T) {
	b := newBench(t)
	r := three(true)
	n := 0
	b.script(contract.StageChecksum, func(context.Context) error {
		b.control(1, true, 0)
		b.later(time.Hour, func() { n = len(b.copies()); b.control(2, false, 0) })
		return nil
	}, &activitytest.Steps{})
	if _, err := b.run(r); err != nil {
		t.Fatal(err)
	}
	if n != 0 || !slices.Equal(b.copies(), []string{"fast", "remote"}) {
		t.Errorf("%d copies while it was paused, then %v", n, b.copies())
	}
}
