package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// Schedules is the part of the workflow service that keeps schedules.
type Schedules interface {
	// Tell makes the service know a schedule as the catalogue has it, or forget one that
	// is deleted there.
	Tell(ctx context.Context, id string) error
	// Next lists the times of the next runs. errcode.NotFound says that the service does
	// not know the schedule.
	Next(ctx context.Context, id string) ([]time.Time, error)
	// Backfill runs a schedule once for each time that it had, and returns how many that
	// are.
	Backfill(ctx context.Context, id string, from, to time.Time) (int, error)
}

const (
	// shownRuns is how many of the last runs are shown with a schedule.
	shownRuns = 20
	// untoldNotice is told with a change that the workflow service has not heard of.
	untoldNotice = "recorded; the workflow service does not answer, so the server tells it by itself when it does"
)

func (a *api) scheduleRoutes() []route {
	return []route{
		{"GET", "/v1/schedules", a.listSchedules},
		{"POST", "/v1/schedules", a.addSchedule},
		{"GET", "/v1/schedules/{id}", a.showSchedule},
		{"DELETE", "/v1/schedules/{id}", a.removeSchedule},
		{"POST", "/v1/schedules/{id}/pause", a.pauseSchedule},
		{"POST", "/v1/schedules/{id}/resume", a.resumeSchedule},
		{"POST", "/v1/schedules/{id}/trigger", a.triggerSchedule},
		{"POST", "/v1/schedules/{id}/backfill", a.backfillSchedule},
		{"POST", "/v1/schedules/{id}/rollback", a.rollbackSchedule},
	}
}

// listSchedules lists those of the caller's project; with all_projects, an administrator
// sees all.
func (a *api) listSchedules(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "ingest:schedule_read"); err != nil {
		return err
	}
	owner := caller(r).Project
	if r.URL.Query().Get("all_projects") == "true" {
		if !a.administers(r) {
			return forbidden("context_is_admin")
		}
		owner = ""
	}
	all, err := a.Catalogue.Schedules(r.Context(), owner)
	if err != nil {
		return err
	}
	out := wire.ScheduleList{Schedules: make([]wire.Schedule, 0, len(all))}
	for _, s := range all {
		one, err := a.scheduleShown(r, s)
		if err != nil {
			return err
		}
		out.Schedules = append(out.Schedules, one)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// addSchedule records a schedule, and tells the workflow service of it. What it cannot be
// told now it is told by the server, later.
func (a *api) addSchedule(w http.ResponseWriter, r *http.Request) error {
	if a.Schedules == nil {
		return errcode.New(errcode.NotFound, "this server keeps no schedules")
	}
	if err := a.mayAct(r, "ingest:schedule_create"); err != nil {
		return err
	}
	var spec contract.ScheduleSpec
	if err := decode(r, &spec); err != nil {
		return err
	}
	spec = spec.Filled()
	if err := a.checkSchedule(r, &spec); err != nil {
		return err
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write schedule")
	}
	s, err := a.Catalogue.AddSchedule(r.Context(), metadata.Schedule{
		ID: uuid.NewString(), Owner: spec.Import.Owner, UserID: spec.Import.UserID, Name: spec.Name, Spec: raw,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/schedules/"+s.ID)
	return a.told(w, r, http.StatusCreated, s)
}

// checkSchedule checks what a schedule shall do as if it were done now: each run is
// checked again, by the rules of its day.
func (a *api) checkSchedule(r *http.Request, spec *contract.ScheduleSpec) error {
	if err := spec.CheckSpec(); err != nil {
		return err
	}
	req := &spec.Import
	owner := project(r.Context())
	if req.Owner != "" && req.Owner != owner {
		return fieldError(errcode.Forbidden, "import.owner", req.Owner, "a schedule belongs to the project that makes it, here %q", owner)
	}
	if len(req.Roles) > 0 {
		return fieldError(errcode.Forbidden, "import.roles", "", "roles are those of whom the server has authenticated; a request names none")
	}
	req.Owner, req.RequestID = owner, ""
	if err := a.sign(r, req); err != nil {
		return err
	}
	if err := a.checkRequest(*req); err != nil {
		return err
	}
	if err := a.maySubmit(r, *req); err != nil {
		return err
	}
	return a.permit(*req)
}

// told tells the workflow service of a change, and answers with the schedule.
func (a *api) told(w http.ResponseWriter, r *http.Request, status int, s metadata.Schedule) error {
	err := a.Schedules.Tell(r.Context(), s.ID)
	if err != nil {
		a.Log.Warn().Err(err).Str("schedule", s.ID).Msg("the workflow service could not be told of a schedule, left to the reconciler")
	} else {
		s.Told = s.Revision
	}
	out, err := a.scheduleShown(r, s)
	if err != nil {
		return err
	}
	if out.Pending {
		out.Notice = untoldNotice
	}
	writeJSON(w, status, out)
	return nil
}

func (a *api) showSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_read")
	if err != nil {
		return err
	}
	out, err := a.scheduleShown(r, s)
	if err != nil {
		return err
	}
	h, err := a.Catalogue.ScheduleHistory(r.Context(), s.ID, shownRuns)
	if err != nil {
		return err
	}
	for _, v := range h.Versions {
		one := wire.ScheduleVersion{ImageID: v.ID, Images: v.Images, Status: v.Status, TaskID: v.TaskID, SwitchedAt: v.CreatedAt}
		if err := json.Unmarshal(v.Source, &one.Source); err != nil {
			return errcode.Wrap(err, errcode.Internal, "read version %s", v.ID)
		}
		out.Versions = append(out.Versions, one)
	}
	for _, run := range h.Runs {
		out.Runs = append(out.Runs, wire.ScheduleRun{
			TaskID: run.ID, Outcome: run.Outcome, ByHand: run.ByHand, ImageID: run.ImageID, Code: run.Code, Message: run.Message,
			CreatedAt: run.CreatedAt, UpdatedAt: run.UpdatedAt,
		})
	}
	if a.Schedules != nil && !s.Paused {
		if out.Next, err = a.Schedules.Next(r.Context(), s.ID); err != nil {
			out.Notice = "the next runs are not known: the workflow service does not answer, or has still to be told of the schedule"
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// removeSchedule ends a schedule. Its images stay as they are.
func (a *api) removeSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_delete")
	if err != nil {
		return err
	}
	if s, err = a.Catalogue.DeleteSchedule(r.Context(), s.ID); err != nil {
		return err
	}
	if err := a.Schedules.Tell(r.Context(), s.ID); err != nil {
		a.Log.Warn().Err(err).Str("schedule", s.ID).Msg("the workflow service could not be told that a schedule is deleted, left to the reconciler")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) pauseSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_modify")
	if err != nil {
		return err
	}
	var body wire.SchedulePause
	if err := decodeOptional(r, &body); err != nil {
		return err
	}
	if utf8.RuneCountInString(body.Note) > maxName {
		return badField("note", "", "the note is longer than %d characters", maxName)
	}
	if s, err = a.Catalogue.PauseSchedule(r.Context(), s.ID, true, body.Note); err != nil {
		return err
	}
	return a.told(w, r, http.StatusOK, s)
}

func (a *api) resumeSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_modify")
	if err != nil {
		return err
	}
	if s, err = a.Catalogue.PauseSchedule(r.Context(), s.ID, false, ""); err != nil {
		return err
	}
	return a.told(w, r, http.StatusOK, s)
}

// triggerSchedule runs a schedule now, also one that is paused. The run is recorded before
// it is started, so that it is started in any case.
func (a *api) triggerSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_run")
	if err != nil {
		return err
	}
	id := uuid.NewString()
	req := contract.RunRequest(s.ID, s.Owner, id)
	raw, err := json.Marshal(req)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write request")
	}
	t, err := a.Catalogue.AcceptRun(r.Context(), metadata.RunStart{ScheduleID: s.ID, ByHand: true, Task: metadata.Task{
		ID: id, WorkflowID: contract.RunWorkflowID(s.Owner, s.ID, id), ImageID: req.ImageID, Request: raw,
		RequestID: requestID(r.Context()), Priority: contract.DefaultPriority,
	}})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/tasks/"+t.ID)
	writeJSON(w, http.StatusAccepted, a.begin(r.Context(), t, false))
	return nil
}

func (a *api) backfillSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_run")
	if err != nil {
		return err
	}
	var body wire.Backfill
	if err := decode(r, &body); err != nil {
		return err
	}
	now := time.Now()
	switch {
	case body.From.IsZero() || body.To.IsZero():
		return badField("from", "", "a backfill needs from and to")
	case !body.From.Before(body.To) || body.To.After(now.Add(time.Minute)):
		return badField("to", "", "a backfill is from a moment to a later one that is not in the future")
	case now.Sub(body.From) > 366*24*time.Hour:
		return badField("from", "", "a backfill goes back 366 days at most")
	}
	n, err := a.Schedules.Backfill(r.Context(), s.ID, body.From, body.To)
	if errcode.Of(err) == errcode.NotFound {
		err = errcode.Wrap(err, errcode.WorkflowService, "the workflow service has still to be told of the schedule")
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, wire.Backfilled{Runs: n})
	return nil
}

// rollbackSchedule switches to an older version, at once.
func (a *api) rollbackSchedule(w http.ResponseWriter, r *http.Request) error {
	s, err := a.scheduleFor(r, "ingest:schedule_rollback")
	if err != nil {
		return err
	}
	var body wire.Rollback
	if err := decodeOptional(r, &body); err != nil {
		return err
	}
	one, err := scheduleOf(s)
	if err != nil {
		return err
	}
	got, err := a.Catalogue.Rollback(r.Context(), s.ID, body.To, one.Spec.Deactivates())
	if err != nil {
		return err
	}
	a.Log.Info().Str("schedule", s.ID).Str("image", got.Current).Str("from", got.Previous).Msg("a schedule was rolled back")
	writeJSON(w, http.StatusOK, wire.RolledBack{CurrentImage: got.Current, PreviousImage: got.Previous})
	return nil
}

// scheduleFor returns the schedule that a path names, if the caller may do with it what
// rule says. One of another project is answered like one that does not exist.
func (a *api) scheduleFor(r *http.Request, rule string) (metadata.Schedule, error) {
	id := r.PathValue("id")
	if a.Schedules == nil {
		return metadata.Schedule{}, errcode.New(errcode.NotFound, "this server keeps no schedules")
	}
	s, err := a.Catalogue.Schedule(r.Context(), id)
	if err != nil {
		return s, unseen(err, "schedule", id)
	}
	if s.Owner != caller(r).Project && !a.administers(r) {
		return s, notFound("schedule", id)
	}
	return s, a.judge(r, rule, access.NewTarget(s.Owner))
}

// decodeOptional is decode for a body that may be left out.
func decodeOptional(r *http.Request, v any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return decode(r, v)
}

// scheduleShown is a schedule without the properties that the caller may not read.
func (a *api) scheduleShown(r *http.Request, s metadata.Schedule) (wire.Schedule, error) {
	out, err := scheduleOf(s)
	out.Spec.Import.Image.Properties = a.readable(r, out.Spec.Import.Image.Properties)
	return out, err
}

func scheduleOf(s metadata.Schedule) (wire.Schedule, error) {
	out := wire.Schedule{
		ID: s.ID, Name: s.Name, Owner: s.Owner, Paused: s.Paused, Note: s.Note, Pending: s.Told < s.Revision,
		CurrentImage: s.Current, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	if err := json.Unmarshal(s.Spec, &out.Spec); err != nil {
		return out, errcode.Wrap(err, errcode.Internal, "read schedule %s", s.ID)
	}
	if len(s.Held) > 0 {
		out.Held = &contract.SourceVersion{}
		if err := json.Unmarshal(s.Held, out.Held); err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "read held version of schedule %s", s.ID)
		}
	}
	return out, nil
}
