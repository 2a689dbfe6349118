package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ingest/activities"
	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

const scheduleID = "7c9d1c9e-3f0a-4c7b-9d54-0f0d0f8c6a01"

// looker is a Looker that does as it is told.
type looker func(p contract.LookParams) (contract.Looked, error)

func (l looker) LookAt(_ context.Context, p contract.LookParams) (contract.Looked, error) {
	return l(p)
}

// A rota is a schedule on a real catalogue, whose source has a version that can change.
type rota struct {
	t       *testing.T
	repo    *activitytest.Flaky
	cat     *metadata.Catalogue
	etag    string
	lookErr error
	looks   int
	runs    int
	last    *bench
}

func newRota(t *testing.T, change ...func(*contract.ScheduleSpec)) *rota {
	t.Helper()
	repo := activitytest.NewRepository(t)
	r := &rota{t: t, repo: repo, cat: metadata.New(repo), etag: `"1"`}
	keep := 1
	spec := contract.ScheduleSpec{Name: "golden", Trust: contract.TrustNone, Keep: &keep, Timing: contract.Timing{EverySeconds: 3600},
		Import: contract.ImportRequest{Owner: "p1", Source: contract.SourceSpec{URL: "https://h/golden-*.img"}, Image: contract.ImageSpec{Name: "golden"}}}
	for _, f := range change {
		f(&spec)
	}
	raw, err := json.Marshal(spec.Filled())
	if err == nil {
		_, err = r.cat.AddSchedule(context.Background(), metadata.Schedule{ID: scheduleID, Owner: "p1", Name: "golden", Spec: raw})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rota) look(p contract.LookParams) (contract.Looked, error) {
	r.looks++
	url := "https://h/golden-" + r.etag[1:len(r.etag)-1] + ".img"
	return contract.Looked{URL: url, Version: contract.SourceVersion{URL: "https://h/golden", ETag: r.etag}, Matches: 3}, r.lookErr
}

// bench is an environment for the next run, under a workflow id of its own.
func (r *rota) bench() *bench {
	r.runs++
	b := benchWith(r.t, r.repo, "", func(d *activities.Deps) { d.Looker = looker(r.look) })
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: r.workflowID(), TaskQueue: contract.ImportQueue})
	r.last = b
	return b
}

func (r *rota) workflowID() string {
	return fmt.Sprintf("%s-%d", contract.RunPrefix("p1", scheduleID), r.runs)
}

func (r *rota) task() string { return contract.DerivedTaskID(r.workflowID()) }

// run runs the schedule once.
func (r *rota) run() (contract.ReimportEnd, error) { return r.on(r.bench()) }

func (r *rota) on(b *bench) (contract.ReimportEnd, error) {
	r.t.Helper()
	b.env.ExecuteWorkflow(contract.ReimportWorkflow, contract.ReimportRequest{ScheduleID: scheduleID})
	if !b.env.IsWorkflowCompleted() {
		r.t.Fatal("the workflow has not ended")
	}
	var out contract.ReimportEnd
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	return out, b.env.GetWorkflowResult(&out)
}

// want runs the schedule and checks how the run has ended, in its result and in the
// catalogue.
func (r *rota) want(outcome string) contract.ReimportEnd {
	r.t.Helper()
	end, err := r.run()
	if err != nil {
		r.t.Fatal(err)
	}
	if end.Outcome != outcome {
		r.t.Fatalf("the run has ended with %+v, want %s", end, outcome)
	}
	run, task := r.history().Runs[0], r.taskOf(end.TaskID)
	if run.Outcome != outcome || run.ID != end.TaskID || task.Status != metadata.TaskSuccess || task.Message != end.Message || task.ExpiresAt == nil {
		r.t.Errorf("run %+v, task %+v", run, task)
	}
	return end
}

func (r *rota) history() metadata.ScheduleHistory {
	r.t.Helper()
	h, err := r.cat.ScheduleHistory(context.Background(), scheduleID, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func (r *rota) taskOf(id string) metadata.Task {
	r.t.Helper()
	t, err := r.cat.Task(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

func (r *rota) imageOf(id string) metadata.Image {
	r.t.Helper()
	img, err := r.cat.Image(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return img
}

// shown lists the images that the name points at.
func (r *rota) shown() []string {
	r.t.Helper()
	all, err := r.cat.Images(context.Background(), metadata.ImageFilter{Name: "golden"})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, img := range all {
		if !img.Hidden {
			out = append(out, img.ID)
		}
	}
	return out
}

func (r *rota) wantShown(id string) {
	r.t.Helper()
	if got := r.shown(); !slices.Equal(got, []string{id}) {
		r.t.Errorf("shown are %q, want %s", got, id)
	}
}

func TestReimportSwitchesToWhatHasChanged(t *testing.T) {
	r := newRota(t)
	first := r.want(contract.RunSwitched)
	r.wantShown(first.ImageID)
	var events int
	for _, c := range r.last.steps.Calls() {
		if p, ok := c.Params.(contract.FetchParams); ok && p.Source.URL == "https://h/golden-1.img" {
			events++
		}
	}
	if events != 1 {
		t.Errorf("the file that was found was fetched %d times", events)
	}

	same := r.want(contract.RunUnchanged)
	if len(r.last.steps.Calls()) != 0 || same.ImageID != first.ImageID {
		t.Errorf("a source that is the same: %+v, steps %v", same, r.last.order())
	}
	all, err := r.cat.Events(context.Background(), same.TaskID)
	var c contract.Comparison
	i := slices.IndexFunc(all, func(e metadata.Event) bool { return e.Kind == metadata.EventReport })
	if err != nil || i < 0 || json.Unmarshal(all[i].Detail, &c) != nil || c.By != contract.CheckETag || c.Changed || c.Known == nil || c.Matches != 3 {
		t.Errorf("compared %+v, %v", c, err)
	}

	r.etag = `"2"`
	second := r.want(contract.RunSwitched)
	r.wantShown(second.ImageID)
	if second.Previous != first.ImageID || !r.imageOf(first.ImageID).Hidden || r.imageOf(first.ImageID).Status != metadata.ImageActive {
		t.Errorf("switched %+v, the old one is %+v", second, r.imageOf(first.ImageID))
	}
	if task := r.taskOf(second.TaskID); task.ImageID != second.ImageID || len(task.Result) == 0 {
		t.Errorf("task %+v", task)
	}
}

func TestReimportKeepsSome(t *testing.T) {
	r := newRota(t)
	var ids []string
	for i := range 4 {
		r.etag = fmt.Sprintf(`"%d"`, i)
		ids = append(ids, r.want(contract.RunSwitched).ImageID)
		if i == 0 {
			if _, err := r.cat.UpdateImage(context.Background(), ids[0], func(img *metadata.Image) error { img.Protected = true; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.wantShown(ids[3])
	// The first is protected, the third is kept, the second has gone with its bytes.
	for i, there := range []bool{true, false, true, true} {
		if _, err := r.cat.Image(context.Background(), ids[i]); (err == nil) != there {
			t.Errorf("image %d: %v", i, err)
		}
	}
	removed := false
	for _, c := range r.last.steps.Calls() {
		if p, ok := c.Params.(contract.CleanupParams); ok && p.ImageID == ids[1] && !p.Success {
			removed = true
		}
	}
	if !removed || len(r.history().Versions) != 3 {
		t.Errorf("removed %v, versions %+v", removed, r.history().Versions)
	}
}

func TestReimportDeactivates(t *testing.T) {
	r := newRota(t, func(s *contract.ScheduleSpec) { s.Old = contract.OldDeactivate })
	first := r.want(contract.RunSwitched)
	r.etag = `"2"`
	second := r.want(contract.RunSwitched)
	if img := r.imageOf(first.ImageID); img.Status != metadata.ImageDeactivated || !img.Hidden {
		t.Errorf("the old one is %s", img.Status)
	}
	if _, err := r.cat.Rollback(context.Background(), scheduleID, "", true); err != nil {
		t.Fatal(err)
	}
	if r.wantShown(first.ImageID); r.imageOf(first.ImageID).Status != metadata.ImageActive || r.imageOf(second.ImageID).Status != metadata.ImageDeactivated {
		t.Error("rolled back, and not active again")
	}
}

func TestReimportFailsWithoutTouchingTheOld(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*rota, *bench)
		code  errcode.Code
	}{
		{"the new version is bad", func(_ *rota, b *bench) {
			b.script(contract.StageFetch, func(context.Context) error {
				return errcode.New(errcode.ChecksumMismatch, "other bytes")
			}, &activitytest.Steps{})
		}, errcode.ChecksumMismatch},
		{"the source cannot be looked at", func(r *rota, _ *bench) { r.lookErr = errcode.New(errcode.SourceNotFound, "gone") }, errcode.SourceNotFound},
		{"the signature of its list is bad", func(r *rota, _ *bench) { r.lookErr = errcode.New(errcode.SignatureInvalid, "forged") }, errcode.SignatureInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRota(t)
			first := r.want(contract.RunSwitched)
			before := r.imageOf(first.ImageID)
			r.etag = `"2"`
			b := r.bench()
			c.spoil(r, b)
			_, err := r.on(b)
			if v := ended(t, err); v.Code != c.code {
				t.Errorf("failed with %+v", v)
			}
			task, run := r.taskOf(r.task()), r.history().Runs[0]
			if task.Status != metadata.TaskFailure || task.Error.Code != c.code || run.Outcome != contract.RunFailed || run.Code != c.code {
				t.Errorf("task %+v, run %+v", task, run)
			}
			r.wantShown(first.ImageID)
			if after := r.imageOf(first.ImageID); !after.UpdatedAt.Equal(before.UpdatedAt) {
				t.Error("the current image was touched")
			}
			all, _ := r.cat.Images(context.Background(), metadata.ImageFilter{Name: "golden"})
			if len(all) != 1 {
				t.Errorf("%d images are left, the failed one among them", len(all))
			}
			// It is gone about again by the next run.
			r.lookErr = nil
			second := r.want(contract.RunSwitched)
			r.wantShown(second.ImageID)
		})
	}
}

func TestReimportDoesNotUndoARollback(t *testing.T) {
	r := newRota(t)
	first := r.want(contract.RunSwitched)
	r.etag = `"2"`
	second := r.want(contract.RunSwitched)
	if _, err := r.cat.Rollback(context.Background(), scheduleID, "", false); err != nil {
		t.Fatal(err)
	}
	r.wantShown(first.ImageID)
	held := r.want(contract.RunHeld)
	if r.wantShown(first.ImageID); held.ImageID != first.ImageID || len(r.last.steps.Calls()) != 0 {
		t.Errorf("a held version: %+v, steps %v", held, r.last.order())
	}
	// Forward again by hand, and back again.
	if _, err := r.cat.Rollback(context.Background(), scheduleID, second.ImageID, false); err != nil {
		t.Fatal(err)
	}
	r.wantShown(second.ImageID)
	r.want(contract.RunUnchanged)
	if _, err := r.cat.Rollback(context.Background(), scheduleID, first.ImageID, false); err != nil {
		t.Fatal(err)
	}
	r.etag = `"3"`
	third := r.want(contract.RunSwitched)
	r.wantShown(third.ImageID)
	if third.Previous != first.ImageID {
		t.Errorf("switched %+v", third)
	}
	r.want(contract.RunUnchanged)
}

func TestReimportBringsBackWhatWasDeleted(t *testing.T) {
	r := newRota(t)
	first := r.want(contract.RunSwitched)
	if _, err := r.cat.DeleteImage(context.Background(), first.ImageID); err != nil {
		t.Fatal(err)
	}
	again := r.want(contract.RunSwitched)
	if r.wantShown(again.ImageID); again.Message != "the image of the current version is gone" {
		t.Errorf("%+v", again)
	}
}

// begin begins a run beside those of the rota.
func (r *rota) begin(task string) {
	r.t.Helper()
	_, err := r.cat.BeginRun(context.Background(), metadata.RunStart{ScheduleID: scheduleID,
		Task: metadata.Task{ID: task, WorkflowID: "w", ImageID: "other", Request: json.RawMessage(`{}`)}})
	if err != nil {
		r.t.Fatal(err)
	}
}

const otherRun = "0c1f6f0e-7a60-4f6d-8f0a-3a8f7f2b9c11"

func TestReimportBesideAnotherRun(t *testing.T) {
	r := newRota(t)
	r.begin(otherRun)
	if r.want(contract.RunSkipped); r.looks != 0 {
		t.Error("it was looked at the source")
	}

	r = newRota(t, func(s *contract.ScheduleSpec) { s.Timing.Overlap = contract.OverlapBufferOne })
	r.begin(otherRun)
	b := r.bench()
	b.env.RegisterDelayedCallback(func() {
		if r.looks != 0 {
			t.Error("it has not waited")
		}
		if _, err := r.cat.EndRun(context.Background(), metadata.RunEnd{TaskID: otherRun, Outcome: contract.RunUnchanged}); err != nil {
			t.Error(err)
		}
	}, 5*time.Minute)
	began := b.env.Now()
	end, err := r.on(b)
	if err != nil || end.Outcome != contract.RunSwitched || b.env.Now().Sub(began) < 5*time.Minute {
		t.Errorf("%+v, %v after %v", end, err, b.env.Now().Sub(began))
	}

	// One that never ends is waited for a day.
	r = newRota(t, func(s *contract.ScheduleSpec) { s.Timing.Overlap = contract.OverlapBufferAll })
	r.begin(otherRun)
	r.want(contract.RunSkipped)
}

func TestReimportIsCancelled(t *testing.T) {
	r := newRota(t)
	first := r.want(contract.RunSwitched)
	r.etag = `"2"`
	b := r.bench()
	b.script(contract.StageConvert, func(ctx context.Context) error {
		b.env.CancelWorkflow()
		<-ctx.Done()
		return context.Cause(ctx)
	}, &activitytest.Steps{})
	_, err := r.on(b)
	if !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v", err)
	}
	if task := r.taskOf(r.task()); task.Status != metadata.TaskFailure || task.Error.Code != errcode.TaskCancelled {
		t.Errorf("task %+v", task)
	}
	r.wantShown(first.ImageID)
	all, _ := r.cat.Images(context.Background(), metadata.ImageFilter{Name: "golden"})
	if len(all) != 1 {
		t.Errorf("%d images are left", len(all))
	}
}

// A schedule that is deleted while a run imports is not switched, and one that is gone at
// its begin leaves nothing.
func TestReimportOfADeletedSchedule(t *testing.T) {
	r := newRota(t)
	b := r.bench()
	plain := &activitytest.Steps{}
	b.steps.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
		if _, err := r.cat.DeleteSchedule(context.Background(), scheduleID); err != nil {
			t.Error(err)
		}
		return plain.Convert(ctx, p, o)
	}
	_, err := r.on(b)
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("failed with %+v", v)
	}
	if all, err := r.cat.Images(context.Background(), metadata.ImageFilter{Name: "golden"}); err != nil || len(all) != 0 {
		t.Errorf("left are %+v, %v", all, err)
	}
	if end, err := r.run(); err != nil || end.Outcome != contract.RunSkipped {
		t.Errorf("%+v, %v", end, err)
	}
	if _, err := r.cat.Task(context.Background(), r.task()); errcode.Of(err) != errcode.NotFound {
		t.Errorf("a run of no schedule has a task: %v", err)
	}
}

// A run whose history was lost is started again under its id, and goes on with what the
// catalogue knows.
func TestReimportAgain(t *testing.T) {
	r := newRota(t)
	first := r.want(contract.RunSwitched)
	r.runs--
	again, err := r.run()
	if err != nil || again.ImageID != first.ImageID || again.Outcome != contract.RunSwitched || r.looks != 1 {
		t.Errorf("a run that has ended, again: %+v, %v, %d looks", again, err, r.looks)
	}
	// The database goes away just when it is asked to switch.
	r.etag = `"2"`
	b := r.bench()
	plain := &activitytest.Steps{}
	b.steps.OnCleanup = func(ctx context.Context, p contract.CleanupParams) error {
		r.repo.Down.Store(7)
		return plain.Cleanup(ctx, p)
	}
	end, err := r.on(b)
	if err != nil || end.Outcome != contract.RunSwitched {
		t.Errorf("%+v, %v", end, err)
	}
	r.wantShown(end.ImageID)
}

func TestReimportRefusesWhatIsNoRequest(t *testing.T) {
	for _, req := range []contract.ReimportRequest{{}, {ScheduleID: "x"}, {ScheduleID: scheduleID, TaskID: "x"}} {
		r := newRota(t)
		b := r.bench()
		b.env.ExecuteWorkflow(contract.ReimportWorkflow, req)
		var app *temporal.ApplicationError
		if err := b.env.GetWorkflowError(); !errors.As(err, &app) || app.Type() != string(errcode.BadRequest) {
			t.Errorf("%+v: %v", req, err)
		}
	}
}

// A run is its maker's, with the roles of when the schedule was made.
func TestReimportIsInItsMakersName(t *testing.T) {
	r := newRota(t, func(s *contract.ScheduleSpec) { s.Import.UserID, s.Import.Roles = "ann", []string{"ci", "member"} })
	end := r.want(contract.RunSwitched)
	var req contract.ImportRequest
	if err := json.Unmarshal(r.taskOf(contract.RunImportID(end.TaskID)).Request, &req); err != nil || !slices.Equal(req.Roles, []string{"ci", "member"}) {
		t.Errorf("imported as %+v, %v", req, err)
	}
}
