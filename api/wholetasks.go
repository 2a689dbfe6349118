package api

import (
	"context"
	"encoding/json"
	"net/http"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func wholeOf(t metadata.Task) wire.Task {
	out := wire.Task{
		ID: t.ID, Type: t.Type, Status: string(t.Status), Stage: t.Stage, Owner: t.Owner, UserID: t.UserID,
		RequestID: t.RequestID, ImageID: t.ImageID, WorkflowID: t.WorkflowID, IdempotencyKey: t.IdempotencyKey,
		Message: t.Message, Restarts: t.Restarts, Paused: t.Paused, Priority: t.Priority, RetryOf: t.RetryOf, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
		ExpiresAt: t.ExpiresAt, Request: t.Request,
	}
	if len(t.Result) > 0 {
		var res contract.ImportResult
		if json.Unmarshal(t.Result, &res) == nil {
			out.Result = &res
		}
	}
	if e := t.Error; e != nil {
		out.Error = &wire.ErrorDetail{Code: e.Code, Message: e.Message, Stage: e.Stage, Evidence: e.Evidence, Remedy: e.Remedy}
		if out.Error.Remedy == "" {
			out.Error.Remedy = errcode.Lookup(e.Code).Remedy
		}
	}
	return out
}

func eventsOf(events []metadata.Event) []wire.Event {
	out := make([]wire.Event, 0, len(events))
	for _, e := range events {
		out = append(out, wire.Event{
			Seq: e.Seq, At: e.At.UTC(), Kind: e.Kind, Status: e.Status, Stage: e.Stage, Attempt: e.Attempt,
			Bytes: e.Bytes, Seconds: e.Duration.Seconds(), Code: e.Code, Message: e.Message, Detail: e.Detail,
		})
	}
	return out
}

// ownEvents returns a task that the caller sees, with its history.
func (a *api) ownEvents(r *http.Request) (metadata.Task, []metadata.Event, error) {
	t, err := a.wholeTaskFor(r, "get_task")
	if err != nil {
		return t, nil, err
	}
	events, err := a.Catalogue.Events(r.Context(), t.ID)
	return a.taskShown(r, t), a.reportsShown(r, t, events), err
}

func (a *api) listWholeTasks(w http.ResponseWriter, r *http.Request) error {
	tasks, more, err := a.taskPage(r, a.Catalogue.Tasks)
	if err != nil {
		return err
	}
	out := wire.TaskList{Tasks: make([]wire.Task, 0, len(tasks))}
	for _, t := range tasks {
		out.Tasks = append(out.Tasks, wholeOf(t))
	}
	if more {
		out.Next = nextURL(r, tasks[len(tasks)-1].ID)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *api) showWholeTask(w http.ResponseWriter, r *http.Request) error {
	t, events, err := a.ownEvents(r)
	if err != nil {
		return err
	}
	out := wholeOf(t)
	out.Events = eventsOf(events)
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *api) taskEvents(w http.ResponseWriter, r *http.Request) error {
	_, events, err := a.ownEvents(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, wire.Events{Events: eventsOf(events)})
	return nil
}

// taskProgress says how far a task is, or streams it to those who accept events.
func (a *api) taskProgress(w http.ResponseWriter, r *http.Request) error {
	t, err := a.taskFor(r, "get_task")
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	if wantsStream(r) {
		return a.stream(w, r, t)
	}
	writeJSON(w, http.StatusOK, a.progressOf(r.Context(), t))
	return nil
}

// recorded is the progress as the catalogue knows it.
func recorded(t metadata.Task) contract.Progress {
	p := contract.Progress{
		TaskID: t.ID, Stage: contract.Stage(t.Stage), Status: string(t.Status),
		Total: -1, ETA: -1, ObservedAt: t.UpdatedAt.UTC(), Message: t.Message, Paused: t.Paused,
	}
	var res contract.ImportResult
	if t.Status == metadata.TaskSuccess && json.Unmarshal(t.Result, &res) == nil {
		for _, img := range res.Images {
			p.Bytes += img.Size
		}
		p.Stage, p.Total, p.ETA = contract.StageDone, p.Bytes, 0
	}
	return p
}

// stop asks a task to stop. Its workflow cleans up and then fails it with
// TASK_CANCELLED; a task that has none that runs is failed here.
func (a *api) stop(ctx context.Context, t metadata.Task) error {
	err := a.Imports.Cancel(ctx, t.WorkflowID)
	if errcode.Of(err) != errcode.NotFound {
		return err
	}
	return a.Catalogue.Fail(ctx, t.ID, metadata.TaskError{
		Code: errcode.TaskCancelled, Message: "cancelled while no workflow ran for it",
		Stage: t.Stage, Remedy: errcode.Lookup(errcode.TaskCancelled).Remedy,
	})
}

// cancelTask asks a task to stop.
func (a *api) cancelTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.taskFor(r, "ingest:modify_task")
	if err != nil {
		return err
	}
	if t.Status.Finished() {
		return errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
	}
	if err := a.stop(r.Context(), t); err != nil {
		return err
	}
	if t, err = a.Catalogue.Task(r.Context(), t.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, wholeOf(a.taskShown(r, t)))
	return nil
}
