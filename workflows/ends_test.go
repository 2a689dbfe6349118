package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestCancelInEachStage(t *testing.T) {
	for _, s := range stepStages {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			b.script(s, func(ctx context.Context) error {
				b.env.CancelWorkflow()
				return errcode.New(errcode.SourceUnreachable, "cut off")
			}, &activitytest.Steps{})
			_, err := b.run(request)
			if !temporal.IsCanceledError(err) {
				t.Errorf("the workflow ended with %v, want cancelled", err)
			}
			b.undone(s)
			b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
			if e := b.task().Error; e.Code != errcode.TaskCancelled || e.Stage != string(s) {
				t.Errorf("task's error is %+v, want TASK_CANCELLED in stage %s", e, s)
			}
		})
	}
}

// Between activate's question and its answer nobody knows whether the image is
// active: a cancel that comes there is too late.
func TestCancelDuringActivateIsTooLate(t *testing.T) {
	b := newBench(t)
	b.env.SetOnActivityStartedListener(func(info *activityInfo, _ context.Context, _ encoded) {
		if info.ActivityType.Name == contract.ActivateActivity && info.Attempt == 1 {
			b.repo.Down.Store(3)
			b.env.CancelWorkflow()
		}
	})
	got, err := b.run(request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
	for _, c := range b.steps.Cleanups() {
		if !c.Success {
			t.Errorf("cleanup %+v removes the bytes of an active image", c)
		}
	}
}

func TestCatalogueIsWaitedFor(t *testing.T) {
	for _, at := range []string{contract.RegisterActivity, contract.ActivateActivity} {
		t.Run(at, func(t *testing.T) {
			b := newBench(t)
			if at == contract.RegisterActivity {
				b.repo.Down.Store(9) // the test environment gives up after ten
			} else {
				b.env.SetOnActivityStartedListener(func(info *activityInfo, _ context.Context, _ encoded) {
					if info.ActivityType.Name == at && info.Attempt == 1 {
						b.repo.Down.Store(9) // the test environment gives up after ten
					}
				})
			}
			if _, err := b.run(request); err != nil {
				t.Fatal(err)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

// A failure is recorded even if the catalogue is away when it happens.
func TestFailureIsRecordedWhenTheCatalogueIsBack(t *testing.T) {
	b := newBench(t)
	b.script(contract.StageConvert, func(context.Context) error {
		b.repo.Down.Store(9) // the test environment gives up after ten
		return errcode.New(errcode.QCOW2Corrupt, "overlapping clusters")
	}, &activitytest.Steps{})
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.QCOW2Corrupt {
		t.Errorf("code %s, want %s", v.Code, errcode.QCOW2Corrupt)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
}

// A store that is away keeps nobody waiting for the word that the import has failed.
func TestFailureIsRecordedBeforeTheCleanup(t *testing.T) {
	for _, code := range []errcode.Code{errcode.QCOW2Corrupt, errcode.TaskCancelled} {
		t.Run(string(code), func(t *testing.T) {
			b := newBench(t)
			b.script(contract.StageConvert, func(context.Context) error {
				if code == errcode.TaskCancelled {
					b.env.CancelWorkflow()
				}
				return errcode.New(errcode.QCOW2Corrupt, "overlapping clusters")
			}, &activitytest.Steps{})
			cleanups := 0
			b.steps.OnCleanup = func(_ context.Context, p contract.CleanupParams) error {
				cleanups++
				b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
				if p.Success || p.Key == "" {
					t.Errorf("cleanup %+v, want that of a failure", p)
				}
				return errcode.New(errcode.StoreUnavailable, "the store is away")
			}
			if _, err := b.run(request); err == nil {
				t.Error("the workflow succeeds")
			}
			if e := b.task().Error; e == nil || e.Code != code || e.Stage != string(contract.StageConvert) {
				t.Errorf("task's error is %+v, want %s", e, code)
			}
			if cleanups < 2 {
				t.Errorf("%d cleanups, want it tried again", cleanups)
			}
		})
	}
}

func TestImageDeletedMeanwhile(t *testing.T) {
	b := newBench(t)
	b.script(contract.StageStore, func(ctx context.Context) error {
		_, err := b.cat.DeleteImage(ctx, imageID)
		return err
	}, &activitytest.Steps{})
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("code %s, want %s", v.Code, errcode.Conflict)
	}
	b.undone(contract.StageActivate)
	if got := b.task().Status; got != metadata.TaskFailure {
		t.Errorf("task is %s, want failure", got)
	}
}

func TestSuccessSurvivesItsCleanup(t *testing.T) {
	b := newBench(t)
	b.steps.OnCleanup = func(context.Context, contract.CleanupParams) error { return errors.New("disk is read-only") }
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
}

func TestBadRequestIsRefusedByTheWorkflow(t *testing.T) {
	b := newBench(t)
	_, err := b.run(contract.ImportRequest{Owner: "p1"})
	v := ended(t, err)
	if v.Code != errcode.BadRequest || v.Evidence == nil || v.Evidence.Field != "source.url" {
		t.Errorf("error %+v, want BAD_REQUEST on source.url", v)
	}
	if calls := b.steps.Calls(); len(calls) != 0 {
		t.Errorf("steps were called: %v", calls)
	}
}

func TestFinishedTaskIsAnsweredAtOnce(t *testing.T) {
	first := newBench(t)
	if _, err := first.run(request); err != nil {
		t.Fatal(err)
	}
	again := first.again()
	got, err := again.run(request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if calls := again.steps.Calls(); len(calls) != 0 {
		t.Errorf("steps were called: %v", calls)
	}
}

func TestFailedTaskIsAnsweredAtOnce(t *testing.T) {
	first := newBench(t)
	fail(first, contract.StageDetect, errcode.New(errcode.FormatUnknown, "nobody knows it"), -1)
	_, err := first.run(request)
	want := ended(t, err)
	again := first.again()
	_, err = again.run(request)
	if diff := cmp.Diff(want, ended(t, err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if calls := again.steps.Calls(); len(calls) != 0 {
		t.Errorf("steps were called: %v", calls)
	}
}

// What the API has accepted counts: its ids, its request.
func TestAcceptedTaskIsFound(t *testing.T) {
	b := newBench(t)
	accepted := request
	accepted.TaskID, accepted.ImageID = taskID, imageID
	accepted.Target.Format = "raw"
	activitytest.Accept(t, b.cat, accepted, workflowID)
	if _, err := b.run(contract.ImportRequest{TaskID: taskID, Source: contract.SourceSpec{URL: "https://elsewhere.example.org/"}, Owner: "p1"}); err != nil {
		t.Fatal(err)
	}
	p, ok := b.steps.Calls()[0].Params.(contract.FetchParams)
	if !ok || p.Source.URL != request.Source.URL {
		t.Errorf("fetched %+v, want the accepted source", p)
	}
}

func TestTaskOfAnotherWorkflowIsLeftAlone(t *testing.T) {
	b := newBench(t)
	accepted := request
	accepted.TaskID, accepted.ImageID = taskID, imageID
	activitytest.Accept(t, b.cat, accepted, "import/p1/other")
	_, err := b.run(accepted)
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("code %s, want %s", v.Code, errcode.Conflict)
	}
	if got := b.task().Status; got != metadata.TaskPending {
		t.Errorf("task is %s, want pending: it is another workflow's", got)
	}
	if calls := b.steps.Calls(); len(calls) != 0 {
		t.Errorf("steps were called: %v", calls)
	}
}

func TestImageMadeBeforeIsImportedInto(t *testing.T) {
	b := newBench(t)
	if _, err := b.cat.CreateImage(context.Background(), metadata.Image{ID: imageID, Name: "made before", Owner: "p1"}); err != nil {
		t.Fatal(err)
	}
	r := request
	r.ImageID = imageID
	if _, err := b.run(r); err != nil {
		t.Fatal(err)
	}
	if img := b.image(); img.Name != "made before" || img.Status != metadata.ImageActive {
		t.Errorf("image is %+v", img)
	}
}

func TestProgressIsAnsweredFromSignals(t *testing.T) {
	b := newBench(t)
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // a worker's clock may be far off
	told := func(stage contract.Stage, attempt int32, sec int, bytes int64) contract.Progress {
		return contract.Progress{Stage: stage, Attempt: attempt, Bytes: bytes, Total: 100, Rate: 5, ETA: 2, ObservedAt: at.Add(time.Duration(sec) * time.Second)}
	}
	answers := []contract.Progress{}
	ask := func() {
		var p contract.Progress
		v, err := b.env.QueryWorkflow(contract.ProgressQuery)
		if err == nil {
			err = v.Get(&p)
		}
		if err != nil {
			t.Error(err)
		}
		p.ObservedAt = time.Time{}
		answers = append(answers, p)
	}
	b.blockConvert(func() {
		ask()
		for _, p := range []contract.Progress{
			told(contract.StageConvert, 1, 10, 40),
			told(contract.StageConvert, 1, 5, 30), // late
			told(contract.StageFetch, 9, 20, 90),  // of a stage that is over
		} {
			b.env.SignalWorkflow(contract.ProgressSignal, p)
		}
	}, ask, func() {
		b.env.SignalWorkflow(contract.ProgressSignal, told(contract.StageConvert, 2, 1, 50))
	}, ask)
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	ask()
	line := contract.Progress{TaskID: taskID, Status: "processing", Stage: contract.StageConvert, Total: -1, ETA: -1, Attempt: 1}
	second := told(contract.StageConvert, 1, 0, 40)
	third := told(contract.StageConvert, 2, 0, 50)
	for _, p := range []*contract.Progress{&second, &third} {
		p.TaskID, p.Status, p.ObservedAt = taskID, "processing", time.Time{}
	}
	last := contract.Progress{TaskID: taskID, Status: "success", Stage: contract.StageDone, Total: -1, Attempt: 1}
	if diff := cmp.Diff([]contract.Progress{line, second, third, last}, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
