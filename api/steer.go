package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// pauseTask lets a task's work stand still at its next resume point. A task that is
// paused stays so.
func (a *api) pauseTask(w http.ResponseWriter, r *http.Request) error { return a.setPaused(w, r, true) }

// resumeTask lets the work of a paused task go on. One that is not paused goes on anyway.
func (a *api) resumeTask(w http.ResponseWriter, r *http.Request) error {
	return a.setPaused(w, r, false)
}

func (a *api) setPaused(w http.ResponseWriter, r *http.Request, paused bool) error {
	t, err := a.taskFor(r, "ingest:modify_task")
	if err != nil {
		return err
	}
	return a.steer(w, r, t, metadata.Steering{Paused: &paused})
}

// rankTask gives a task another place among those that wait.
func (a *api) rankTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.taskFor(r, "ingest:task_priority")
	if err != nil {
		return err
	}
	var body wire.Priority
	if err := decode(r, &body); err != nil {
		return err
	}
	switch p := body.Priority; {
	case p == nil:
		return badField("priority", "", "the priority is missing")
	case *p < contract.MinPriority || *p > contract.MaxPriority:
		return badField("priority", "", "priority %d is not between %d and %d", *p, contract.MinPriority, contract.MaxPriority)
	}
	return a.steer(w, r, t, metadata.Steering{Priority: body.Priority})
}

// steer records a change, and tells the workflow of it. What it cannot be told now it is
// told by the reconciler, or learns when it is started.
func (a *api) steer(w http.ResponseWriter, r *http.Request, t metadata.Task, s metadata.Steering) error {
	if err := noRun(t, "steered"); err != nil {
		return err
	}
	t, err := a.Catalogue.Steer(r.Context(), t.ID, s)
	if err != nil {
		return err
	}
	if t.SteerTold < t.Steered {
		a.tell(r.Context(), t)
	}
	writeJSON(w, http.StatusAccepted, wholeOf(a.taskShown(r, t)))
	return nil
}

// tell signals a task's workflow.
func (a *api) tell(ctx context.Context, t metadata.Task) {
	err := a.Imports.Steer(ctx, t.WorkflowID, contract.Control{Revision: t.Steered, Paused: t.Paused, Priority: t.Priority})
	if err == nil {
		err = a.Catalogue.SteerTold(ctx, t.ID, t.Steered)
	}
	if err != nil {
		a.Log.Warn().Err(err).Str("task", t.ID).Msg("the workflow could not be told how to go on, left to the reconciler")
	}
}

// retryTask makes a task that repeats the request of a failed one. The failed one stays
// as it is: its status is final.
func (a *api) retryTask(w http.ResponseWriter, r *http.Request) error {
	old, err := a.taskFor(r, "ingest:modify_task")
	if err != nil {
		return err
	}
	req, err := a.again(r, old)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(req)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write request")
	}
	acc, err := a.Catalogue.Retry(r.Context(), metadata.NewImport{
		Task: metadata.Task{
			ID: req.TaskID, Type: old.Type, Owner: old.Owner, UserID: req.UserID, RequestID: req.RequestID, ImageID: old.ImageID,
			WorkflowID: contract.WorkflowID(old.Owner, req.TaskID, ""), Request: raw, Priority: old.Priority, RetryOf: old.ID,
		},
		Copy:   req.Method == contract.MethodCopy,
		Export: req.Method == contract.MethodExport,
	})
	if err != nil {
		return err
	}
	out := a.begin(r.Context(), acc.Task, false)
	w.Header().Set("Location", "/v1/tasks/"+out.TaskID)
	writeJSON(w, http.StatusAccepted, out)
	return nil
}

// again is the request of a task that has failed, as one of the caller. The policy and
// the server's settings may have changed since, so it is judged like any other.
func (a *api) again(r *http.Request, old metadata.Task) (contract.ImportRequest, error) {
	req, err := requestOf(old)
	if err != nil {
		return req, errcode.Wrap(err, errcode.Conflict, "the request of task %s cannot be read", old.ID)
	}
	if old.Status != metadata.TaskFailure {
		return req, errcode.New(errcode.Conflict, "task %s is %s, and only a failed one can be tried again", old.ID, string(old.Status)).
			With(errcode.Evidence{Structure: "task", Field: "status", Value: string(old.Status)})
	}
	if _, _, staged := contract.ParseStagedURL(req.Source.URL); staged {
		return req, errcode.New(errcode.Conflict, "what was staged for task %s is gone with it: stage the bytes again, and import them", old.ID).
			With(errcode.Evidence{Structure: "request", Field: "source.url"})
	}
	if err := noRun(old, "tried again"); err != nil {
		return req, err
	}
	req.TaskID, req.ImageID, req.Owner = uuid.NewString(), old.ImageID, old.Owner
	req.IdempotencyKey, req.UserID, req.Roles, req.RequestID = "", "", nil, requestID(r.Context())
	req.Priority = &old.Priority // the one that was set last
	if err := a.sign(r, &req); err != nil {
		return req, err
	}
	if req.Method == contract.MethodExport {
		err := a.mayExport(r, &req)
		return req, err
	}
	if err := a.mayWorkOn(r, old.ImageID, importRule(req.Method)); err != nil {
		return req, err
	}
	if req.Method == contract.MethodCopy {
		return req, a.permitCopy(req)
	}
	if req.Method == contract.MethodLocate {
		return req, a.mayLocateAgain(r, req)
	}
	if err := a.checkTask(req); err != nil {
		return req, err
	}
	return req, a.permit(req)
}

// noRun refuses what cannot be done with a run of a schedule.
func noRun(t metadata.Task, what string) error {
	req, err := requestOf(t)
	if err != nil || req.Method != contract.MethodReimport {
		return nil
	}
	return errcode.New(errcode.Conflict, "task %s is a run of schedule %s, which cannot be %s: its import is task %s, and the schedule can be paused and triggered",
		t.ID, req.ScheduleID, what, contract.RunImportID(t.ID)).
		With(errcode.Evidence{Structure: "task", Field: "method", Value: req.Method})
}

// mayWorkOn judges who repeats a task by its image, as who asks for it anew is. Of an
// image that is gone, or that was given to another project, the catalogue tells.
func (a *api) mayWorkOn(r *http.Request, imageID, rule string) error {
	img, err := a.Catalogue.Image(r.Context(), imageID)
	if errcode.Of(err) == errcode.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := a.imageTarget(r, img)
	if err != nil {
		return err
	}
	return a.judge(r, rule, t)
}
