package activities

import (
	"context"
	"encoding/json"

	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// A Looker says which version a source has.
type Looker interface {
	LookAt(ctx context.Context, l contract.LookParams) (contract.Looked, error)
}

// A ReimportActivities holds the activities of a schedule's runs.
type ReimportActivities struct{ d Deps }

// NewReimportActivities returns the activities.
func NewReimportActivities(d Deps) *ReimportActivities { return &ReimportActivities{d} }

// Begin makes the catalogue's rows of a run, or finds them, and says what the run has to
// do.
func (a *ReimportActivities) Begin(ctx context.Context, p contract.BeginRunParams) (contract.BeginRunResult, error) {
	w := work{stage: contract.StageRegister, taskID: p.TaskID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.BeginRunResult, error) {
		var out contract.BeginRunResult
		req := contract.RunRequest(p.ScheduleID, "", p.TaskID)
		st, err := a.d.Catalogue.BeginRun(ctx, metadata.RunStart{ScheduleID: p.ScheduleID, Task: metadata.Task{
			ID: p.TaskID, WorkflowID: p.WorkflowID, ImageID: req.ImageID, Request: mustJSON(req), Priority: contract.DefaultPriority,
		}})
		if errcode.Of(err) == errcode.NotFound {
			_, err := a.d.Catalogue.Task(ctx, p.TaskID)
			if errcode.Of(err) == errcode.NotFound {
				return contract.BeginRunResult{Gone: true}, nil
			}
			if err == nil {
				err = errcode.New(errcode.Conflict, "schedule %s was deleted", p.ScheduleID)
			}
			return out, err
		}
		if err != nil {
			return out, err
		}
		if st.Task.Status.Finished() {
			return endedRun(st)
		}
		return begun(st)
	})
}

// begun is what a run that is under way has to do.
func begun(st metadata.RunState) (contract.BeginRunResult, error) {
	out := contract.BeginRunResult{Busy: st.Busy, Owner: st.Schedule.Owner}
	if err := json.Unmarshal(st.Schedule.Spec, &out.Spec); err != nil {
		return out, errcode.Wrap(err, errcode.Internal, "read schedule %s", st.Schedule.ID)
	}
	out.Spec.Import.Owner, out.Spec.Import.UserID = st.Schedule.Owner, st.Schedule.UserID
	if st.Known != nil && st.KnownFit {
		out.Known = &contract.SourceVersion{}
		if err := json.Unmarshal(st.Known.Source, out.Known); err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "read version %s", st.Known.ID)
		}
	}
	out.Missing = st.Schedule.Current != "" && out.Known == nil
	if len(st.Schedule.Held) > 0 && !out.Missing {
		out.Held = &contract.SourceVersion{}
		if err := json.Unmarshal(st.Schedule.Held, out.Held); err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "read held version of schedule %s", st.Schedule.ID)
		}
	}
	return out, nil
}

// endedRun is how a run has ended before.
func endedRun(st metadata.RunState) (contract.BeginRunResult, error) {
	out := contract.BeginRunResult{Finished: true}
	if st.Task.Status == metadata.TaskSuccess {
		out.Run = &contract.ReimportEnd{TaskID: st.Task.ID, Outcome: st.Run.Outcome, Message: st.Run.Message, ImageID: st.Run.ImageID}
		return out, nil
	}
	v := contract.ValueOf(errcode.New(errcode.Internal, "task %s has failed: %s", st.Task.ID, st.Task.Message))
	if e := st.Task.Error; e != nil {
		v = contract.ErrorValue{Code: e.Code, Message: e.Message, Evidence: e.Evidence, Remedy: e.Remedy}
	}
	out.Error = &v
	return out, nil
}

// Look says which version the source has. It beats while it does.
func (a *ReimportActivities) Look(ctx context.Context, p contract.LookParams) (contract.Looked, error) {
	stop := beating(ctx, a.d.beatEvery())
	defer stop()
	w := work{stage: contract.StageFetch}
	out, err := guard(a.d.Log, w, func() (contract.Looked, error) {
		if a.d.Looker == nil {
			return contract.Looked{}, errcode.New(errcode.Internal, "this worker looks at no sources")
		}
		return a.d.Looker.LookAt(ctx, p)
	})
	if cause := interrupted(ctx, w.stage); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		a.d.Log.Warn().Str("error", trace(err)).Msg("a schedule's source could not be looked at")
		return contract.Looked{}, a.d.temporal(err, activity.GetInfo(ctx).Attempt)
	}
	return out, nil
}

// Switch makes the images of an import the schedule's current version, and ends the run.
func (a *ReimportActivities) Switch(ctx context.Context, p contract.SwitchParams) (contract.ReimportEnd, error) {
	w := work{stage: contract.StageActivate, taskID: p.End.TaskID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ReimportEnd, error) {
		end := p.End
		t, err := a.d.Catalogue.Task(ctx, end.ImportTaskID)
		if err != nil {
			return end, err
		}
		var made contract.ImportResult
		if err := json.Unmarshal(t.Result, &made); t.Status != metadata.TaskSuccess || err != nil {
			return end, errcode.New(errcode.Conflict, "task %s has imported nothing: it is %s", t.ID, string(t.Status))
		}
		var images []string
		for _, img := range made.Images {
			images = append(images, img.ImageID)
		}
		sw := metadata.Switch{ImportTask: t.ID, Images: images, Deactivate: p.Deactivate, End: runEnd(end)}
		sw.End.Result = t.Result
		if end.Comparison != nil {
			sw.Source = mustJSON(end.Comparison.Found)
		}
		got, err := a.d.Catalogue.Switch(ctx, sw)
		end.ImageID, end.Previous = got.Current, got.Previous
		return end, err
	})
}

// End ends a run that has nothing to switch.
func (a *ReimportActivities) End(ctx context.Context, p contract.EndRunParams) (contract.ReimportEnd, error) {
	w := work{stage: contract.StageDone, taskID: p.End.TaskID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ReimportEnd, error) {
		r, err := a.d.Catalogue.EndRun(ctx, runEnd(p.End))
		p.End.ImageID = r.ImageID
		return p.End, err
	})
}

func runEnd(e contract.ReimportEnd) metadata.RunEnd {
	out := metadata.RunEnd{TaskID: e.TaskID, Outcome: e.Outcome, Message: e.Message}
	if e.Comparison != nil {
		out.Report = mustJSON(e.Comparison)
	}
	return out
}

// Prune removes the versions of a schedule that are not kept. What it cannot remove is
// found by the next run, or swept.
func (a *ReimportActivities) Prune(ctx context.Context, p contract.PruneParams) error {
	w := work{stage: contract.StageCleanup, taskID: p.TaskID}
	_, err := row(ctx, a.d, w, func(ctx context.Context) (struct{}, error) {
		s, err := a.d.Catalogue.Schedule(ctx, p.ScheduleID)
		if errcode.Of(err) == errcode.NotFound {
			return struct{}{}, nil
		}
		var spec contract.ScheduleSpec
		if err == nil {
			err = json.Unmarshal(s.Spec, &spec)
		}
		if err != nil {
			return struct{}{}, err
		}
		gone, err := a.d.Catalogue.Prunable(ctx, s.ID, *spec.Filled().Keep)
		if err != nil {
			return struct{}{}, err
		}
		for _, id := range gone {
			places, err := a.d.Catalogue.DeleteVersionImage(ctx, s.ID, id)
			if err != nil {
				return struct{}{}, err
			}
			a.drop(ctx, p.TaskID, id, places)
		}
		if len(gone) > 0 { // forgets their versions
			_, err = a.d.Catalogue.Prunable(ctx, s.ID, *spec.Filled().Keep)
		}
		return struct{}{}, err
	})
	return err
}

// drop removes the bytes of an image that was deleted.
func (a *ReimportActivities) drop(ctx context.Context, taskID, imageID string, places []metadata.Location) {
	for _, loc := range places {
		one := contract.CleanupParams{TaskID: taskID, ImageID: imageID, Store: loc.Store, Key: loc.Key}
		if err := NewCleanupActivity(a.d).one(ctx, one); err != nil {
			a.d.Log.Warn().Err(err).Str("image", imageID).Str("store", loc.Store).Msg("remove the bytes of an old version, left for the sweep")
		}
	}
}

// ImportEnd says whether an import has ended, and how.
func (a *ReimportActivities) ImportEnd(ctx context.Context, p contract.ImportEndParams) (contract.ImportEnd, error) {
	w := work{stage: contract.StageActivate, taskID: p.TaskID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ImportEnd, error) {
		t, err := a.d.Catalogue.Task(ctx, p.TaskID)
		out := contract.ImportEnd{Finished: t.Status.Finished()}
		if err == nil && t.Status == metadata.TaskFailure {
			var reg contract.RegisterResult
			err = ended(t, &reg)
			out.Error = reg.Error
		}
		return out, err
	})
}

// mustJSON writes what has no value that JSON does not know.
func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}
