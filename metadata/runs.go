package metadata

import (
	"context"
	"encoding/json"

	"ingest/internal/errcode"
)

// Outcomes of runs that the catalogue itself tells apart.
const (
	runWaiting = "waiting" // for another run of the schedule to end
	runRunning = "running"
	runFailed  = "failed"
)

// StageCompare is the stage of the report in which a run says what it has compared.
const StageCompare = "compare"

// A RunStart asks for the rows of a run.
type RunStart struct {
	// Task needs ID, WorkflowID, ImageID, the image that a new version would become, and
	// Request. Its type, owner and user are those of the schedule.
	Task       Task
	ScheduleID string
	ByHand     bool
}

// A RunState is what a run begins with.
type RunState struct {
	Schedule Schedule
	Task     Task
	Run      Run
	// Busy is the task of another run, which is under way, "" for none.
	Busy string
	// Known is the current version, and KnownFit says that its images can be used.
	Known    *Version
	KnownFit bool
}

// AcceptRun records a run that was asked for by hand, in status pending, so that it is
// started also if the caller dies. It is safe to repeat.
func (c *Catalogue) AcceptRun(ctx context.Context, in RunStart) (Task, error) {
	return update(ctx, c, func(tx Tx) (Task, error) {
		s, err := liveSchedule(ctx, tx, in.ScheduleID)
		if err != nil {
			return Task{}, err
		}
		t, _, err := c.run(ctx, tx, s, in)
		return t, err
	})
}

// BeginRun records a run, if it is not known, and begins it unless another one of the
// schedule is under way. It is safe to repeat. A schedule that is gone is
// errcode.NotFound.
func (c *Catalogue) BeginRun(ctx context.Context, in RunStart) (RunState, error) {
	return update(ctx, c, func(tx Tx) (RunState, error) {
		var st RunState
		var err error
		if t, err := tx.Task(ctx, in.Task.ID); err == nil && t.Status.Finished() {
			st.Task = t
			st.Run, err = tx.Run(ctx, t.ID)
			if isNotFound(err) {
				err = nil
			}
			return st, err
		}
		if st.Schedule, err = liveSchedule(ctx, tx, in.ScheduleID); err != nil {
			return st, err
		}
		if st.Task, st.Run, err = c.run(ctx, tx, st.Schedule, in); err != nil {
			return st, err
		}
		if st.Busy, err = busyRun(ctx, tx, st.Run); err != nil || st.Busy != "" {
			return st, err
		}
		if st.Run.Outcome != runRunning {
			st.Run.Outcome, st.Run.UpdatedAt = runRunning, c.moment()
			if err := tx.PutRun(ctx, st.Run); err != nil {
				return st, err
			}
		}
		if st.Task.Status == TaskPending {
			st.Task.Status, st.Task.Stage = TaskProcessing, StageCompare
			if err := c.storeTask(ctx, tx, TaskPending, st.Task); err != nil {
				return st, err
			}
			if err := c.event(ctx, tx, st.Task, Event{Kind: EventStatus, Status: string(TaskProcessing), Stage: StageCompare}); err != nil {
				return st, err
			}
		}
		return st, known(ctx, tx, &st)
	})
}

// run finds the rows of a run, or makes them.
func (c *Catalogue) run(ctx context.Context, tx Tx, s Schedule, in RunStart) (Task, Run, error) {
	t, err := tx.Task(ctx, in.Task.ID)
	if err == nil {
		if t.WorkflowID != in.Task.WorkflowID {
			return t, Run{}, errcode.New(errcode.Conflict, "task %s is run by workflow %s", t.ID, t.WorkflowID)
		}
		r, err := tx.Run(ctx, t.ID)
		return t, r, err
	}
	if !isNotFound(err) {
		return t, Run{}, err
	}
	now := c.moment()
	t = in.Task
	t.Type, t.Owner, t.UserID, t.Status = "api_image_import", s.Owner, s.UserID, TaskPending
	t.CreatedAt, t.UpdatedAt = now, now
	if err := tx.PutTask(ctx, t); err != nil {
		return t, Run{}, err
	}
	if err := c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status)}); err != nil {
		return t, Run{}, err
	}
	r := Run{ID: t.ID, ScheduleID: s.ID, ByHand: in.ByHand, Outcome: runWaiting, CreatedAt: now, UpdatedAt: now}
	if err := tx.PutRun(ctx, r); err != nil {
		return t, r, err
	}
	return t, r, tx.TrimRuns(ctx, s.ID, KeptRuns)
}

// busyRun returns the task of another run of the schedule that has begun and not ended.
func busyRun(ctx context.Context, tx Tx, mine Run) (string, error) {
	runs, err := tx.Runs(ctx, mine.ScheduleID, 0)
	if err != nil {
		return "", err
	}
	for _, r := range runs {
		if r.ID == mine.ID || r.Outcome != runRunning {
			continue
		}
		t, err := tx.Task(ctx, r.ID)
		if err != nil && !isNotFound(err) {
			return "", err
		}
		if err == nil && !t.Status.Finished() {
			return r.ID, nil
		}
	}
	return "", nil
}

// known fills in the schedule's current version.
func known(ctx context.Context, tx Tx, st *RunState) error {
	if st.Schedule.Current == "" {
		return nil
	}
	v, err := tx.Version(ctx, st.Schedule.Current)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	st.Known = &v
	img, err := liveImage(ctx, tx, v.ID)
	st.KnownFit = err == nil && (img.Status == ImageActive || img.Status == ImageDeactivated)
	if isNotFound(err) {
		err = nil
	}
	return err
}

// A RunEnd ends a run that has nothing to switch.
type RunEnd struct {
	TaskID  string
	Outcome string
	Message string
	Report  json.RawMessage // what was compared, nil for nothing
	Result  json.RawMessage // of the task
}

// EndRun ends a run's task with success. It is safe to repeat.
func (c *Catalogue) EndRun(ctx context.Context, e RunEnd) (Run, error) {
	return update(ctx, c, func(tx Tx) (Run, error) {
		t, err := tx.Task(ctx, e.TaskID)
		if err != nil {
			return Run{}, err
		}
		if t.Status == TaskFailure {
			return Run{}, errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
		}
		r, err := tx.Run(ctx, e.TaskID)
		if err != nil || t.Status == TaskSuccess {
			return r, err
		}
		s, err := tx.Schedule(ctx, r.ScheduleID)
		if err != nil {
			return r, err
		}
		r.ImageID = s.Current
		return r, c.endRun(ctx, tx, t, &r, e)
	})
}

// endRun writes the end of a run, with its task's.
func (c *Catalogue) endRun(ctx context.Context, tx Tx, t Task, r *Run, e RunEnd) error {
	r.Outcome, r.Message, r.UpdatedAt = e.Outcome, plain(e.Message), c.moment()
	if err := tx.PutRun(ctx, *r); err != nil {
		return err
	}
	if len(e.Report) > 0 {
		if err := c.event(ctx, tx, t, Event{Kind: EventReport, Stage: StageCompare, Message: r.Message, Detail: e.Report}); err != nil {
			return err
		}
	}
	was := t.Status
	if was == TaskPending { // it was skipped
		t.Status = TaskProcessing
		if err := c.storeTask(ctx, tx, was, t); err != nil {
			return err
		}
		was = TaskProcessing
	}
	t.Status, t.Stage, t.Message, t.Result, t.Error = TaskSuccess, StageDone, r.Message, e.Result, nil
	if r.ImageID != "" {
		t.ImageID = r.ImageID
	}
	if err := c.storeTask(ctx, tx, was, t); err != nil {
		return err
	}
	return c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage, Message: r.Message})
}

// failRun notes the failure of a task, if it is a run's. The image that the run would have
// switched to is removed, unless its import goes on.
func (c *Catalogue) failRun(ctx context.Context, tx Tx, t Task, why TaskError) error {
	r, err := tx.Run(ctx, t.ID)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Outcome, r.Code, r.Message, r.UpdatedAt = runFailed, why.Code, why.Message, c.moment()
	if err := tx.PutRun(ctx, r); err != nil {
		return err
	}
	img, err := liveImage(ctx, tx, t.ImageID)
	waits := img.Status == ImageQueued || img.Status == ImageActive && img.Hidden
	if isNotFound(err) || err == nil && (!waits || img.Protected) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.Version(ctx, img.ID); !isNotFound(err) {
		return err
	}
	_, err = c.remove(ctx, tx, img) // a sweep removes the bytes
	return err
}
