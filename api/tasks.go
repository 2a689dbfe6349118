package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/metadata"
)

var taskSortKeys = []string{"id", "type", "status", "created_at", "updated_at", "expires_at"}

// taskStub has the members of a task that Glance shows in lists.
type taskStub struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Status    string  `json:"status"`
	Owner     string  `json:"owner"`
	ImageID   *string `json:"image_id,omitempty"` // the schema of tasks knows no null for these
	RequestID *string `json:"request_id,omitempty"`
	UserID    *string `json:"user_id,omitempty"`
	ExpiresAt *string `json:"expires_at,omitempty"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
}

// links are the two members that point to other places.
type links struct {
	Self   string `json:"self"`
	Schema string `json:"schema"`
}

// taskRow is a task in the list of an image, which is a database row in Glance, with null
// for what there is not.
type taskRow struct {
	taskStub
	taskWork
	ImageID   *string `json:"image_id"`
	RequestID *string `json:"request_id"`
	UserID    *string `json:"user_id"`
	ExpiresAt *string `json:"expires_at"`
	Deleted   bool    `json:"deleted"`
	DeletedAt *string `json:"deleted_at"`
}

func stubOf(t metadata.Task) taskStub {
	return taskStub{
		ID: t.ID, Type: t.Type, Status: string(t.Status), Owner: t.Owner,
		ImageID: optional(t.ImageID), RequestID: optional(t.RequestID), UserID: optional(t.UserID),
		ExpiresAt: optionalTime(t.ExpiresAt),
		CreatedAt: t.CreatedAt.UTC().Format(wire.TimeFormat), UpdatedAt: t.UpdatedAt.UTC().Format(wire.TimeFormat),
	}
}

func linksOf(t metadata.Task) links { return links{"/v2/tasks/" + t.ID, "/v2/schemas/task"} }

// mustJSON writes what consists of strings, numbers and structs of them only.
func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return raw
}

func (a *api) showTask(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "tasks_api_access"); err != nil {
		return err
	}
	t, err := a.taskFor(r, "get_task")
	if err != nil {
		return err
	}
	if a.Catalogue.Expired(t) {
		return notFound("task", t.ID)
	}
	writeJSON(w, http.StatusOK, glanceTask(t))
	return nil
}

// taskWhole is a task as it is shown alone.
type taskWhole struct {
	taskStub
	taskWork
	links
}

func glanceTask(t metadata.Task) taskWhole { return taskWhole{stubOf(t), workOf(t), linksOf(t)} }

func (a *api) listTasks(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "tasks_api_access"); err != nil {
		return err
	}
	tasks, more, err := a.taskPage(r, a.Catalogue.LiveTasks)
	if err != nil {
		return err
	}
	type item struct {
		taskStub
		links
	}
	out := struct {
		Tasks  []item `json:"tasks"`
		First  string `json:"first"`
		Next   string `json:"next,omitempty"`
		Schema string `json:"schema"`
	}{Tasks: make([]item, 0, len(tasks)), First: firstURL(r), Schema: "/v2/schemas/tasks"}
	for _, t := range tasks {
		out.Tasks = append(out.Tasks, item{stubOf(t), linksOf(t)})
	}
	if more {
		out.Next = nextURL(r, tasks[len(tasks)-1].ID)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *api) imageTasks(w http.ResponseWriter, r *http.Request) error {
	img, err := a.imageFor(r, "ingest:image_tasks")
	if err != nil {
		return err
	}
	tasks, err := a.Catalogue.LiveTasks(r.Context(), metadata.TaskFilter{Owner: img.Owner, ImageID: img.ID})
	if err == nil && len(tasks) == 0 {
		// A further disk of a machine has its image from the task of the first one.
		tasks, err = a.Catalogue.LiveTasks(r.Context(), metadata.TaskFilter{Owner: img.Owner, Status: metadata.TaskSuccess, Result: img.ID})
	}
	if err != nil {
		return err
	}
	rows := make([]taskRow, 0, len(tasks))
	for _, t := range tasks {
		rows = append(rows, rowOf(a.taskShown(r, t)))
	}
	writeJSON(w, http.StatusOK, map[string]any{"tasks": rows})
	return nil
}

func rowOf(t metadata.Task) taskRow {
	s := stubOf(t)
	return taskRow{taskStub: s, taskWork: workOf(t), ImageID: s.ImageID, RequestID: s.RequestID, UserID: s.UserID, ExpiresAt: s.ExpiresAt}
}

// taskPage reads a page of the tasks that the caller sees, of those that list gives.
func (a *api) taskPage(r *http.Request, list func(context.Context, metadata.TaskFilter) ([]metadata.Task, error)) ([]metadata.Task, bool, error) {
	if err := a.mayAct(r, "get_tasks"); err != nil {
		return nil, false, err
	}
	q := r.URL.Query()
	p, err := parsePage(q, taskSortKeys)
	if err != nil {
		return nil, false, err
	}
	p = tidy(p)
	f, err := taskFilter(q)
	if err != nil {
		return nil, false, err
	}
	f.Owner = project(r.Context())
	if a.administers(r) {
		f.Owner = q.Get("owner") // all, if it names none
	}
	tasks, more, err := lister[metadata.Task]{
		id: func(t metadata.Task) string { return t.ID },
		fetch: func(marker string, limit int) ([]metadata.Task, error) {
			f := f
			f.Marker, f.Limit = marker, limit
			return list(r.Context(), f)
		},
		keep:    func(t metadata.Task) bool { return a.Access().Allows("get_task", caller(r), taskTarget(t)) },
		compare: compareTasks,
	}.page(p)
	for i, t := range tasks {
		tasks[i] = a.taskShown(r, t)
	}
	return tasks, more, err
}

func taskFilter(q url.Values) (metadata.TaskFilter, error) {
	f := metadata.TaskFilter{Type: q.Get("type"), Status: metadata.TaskStatus(q.Get("status")), ImageID: q.Get("image_id")}
	if err := checkOneOf("type", f.Type, taskTypeNames()); err != nil {
		return f, err
	}
	var known []string
	for _, s := range metadata.TaskStatuses() {
		known = append(known, string(s))
	}
	if err := checkOneOf("status", string(f.Status), known); err != nil {
		return f, err
	}
	if m := q.Get("marker"); m != "" {
		if _, err := uuid.Parse(m); err != nil {
			return f, badField("marker", m, "expected a UUID")
		}
	}
	return f, nil
}

func compareTasks(a, b metadata.Task, key string) int {
	switch key {
	case "type":
		return strings.Compare(a.Type, b.Type)
	case "status":
		return strings.Compare(string(a.Status), string(b.Status))
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	case "expires_at":
		return orNever(a.ExpiresAt).Compare(orNever(b.ExpiresAt))
	default:
		return strings.Compare(a.ID, b.ID)
	}
}

func orNever(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalTime(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return optional(t.UTC().Format(wire.TimeFormat))
}
