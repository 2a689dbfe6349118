package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestSteering(t *testing.T) {
	b := newBench(t)
	id := b.submit(someImport).TaskID
	ask := func(method, what, body string) wire.Task {
		t.Helper()
		var out wire.Task
		b.do(method, "/v1/tasks/"+id+"/"+what, body).want(t, 202, "").into(t, &out)
		return out
	}
	if got := ask("POST", "pause", ""); !got.Paused || got.Status != "pending" || got.Priority != 5 {
		t.Errorf("paused: %+v", got)
	}
	ask("POST", "pause", "")
	var p contract.Progress
	b.do("GET", "/v1/tasks/"+id+"/progress", "").want(t, 200, "").into(t, &p)
	if !p.Paused {
		t.Errorf("progress of a paused task: %+v", p)
	}
	if got := ask("PUT", "priority", `{"priority":9}`); got.Priority != 9 || !got.Paused {
		t.Errorf("priority: %+v", got)
	}
	// What cannot be told now is recorded all the same, and left to the reconciler.
	b.imports.steerErr = errcode.New(errcode.WorkflowService, "away")
	if got := ask("POST", "resume", ""); got.Paused {
		t.Errorf("resumed: %+v", got)
	}
	want := []contract.Control{{Revision: 1, Paused: true, Priority: 5}, {Revision: 2, Paused: true, Priority: 9}, {Revision: 3, Priority: 9}}
	if len(b.imports.steered) != 3 || b.imports.steered[0] != want[0] || b.imports.steered[1] != want[1] || b.imports.steered[2] != want[2] {
		t.Errorf("told %+v, want %+v", b.imports.steered, want)
	}
	task, err := b.cat.Task(context.Background(), id)
	if err != nil || task.SteerTold != 2 || task.Steered != 3 {
		t.Errorf("told of %d of %d, %v", task.SteerTold, task.Steered, err)
	}
	for _, body := range []string{`{}`, `{"priority":null}`, `{"priority":10}`, `{"priority":-1}`, `{"priority":1.5}`, `{"priority":"9"}`, `{"urgency":1}`, ``} {
		b.do("PUT", "/v1/tasks/"+id+"/priority", body).want(t, 400, errcode.BadRequest)
	}
	b.do("POST", "/v1/imports", `{"source":{"url":"https://h/i"},"priority":10}`).want(t, 400, errcode.BadRequest)
	s := b.submit(`{"source":{"url":"https://h/i"},"priority":0}`)
	if task, err := b.cat.Task(context.Background(), s.TaskID); err != nil || task.Priority != 0 {
		t.Errorf("submitted with priority %d, %v", task.Priority, err)
	}
}

func TestAFinishedTaskIsSteeredNoMore(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	b.finish(s, []byte("x"))
	for what, method := range map[string]string{"pause": "POST", "resume": "POST", "retry": "POST", "priority": "PUT"} {
		b.do(method, "/v1/tasks/"+s.TaskID+"/"+what, `{"priority":1}`).want(t, 409, errcode.Conflict)
	}
	if len(b.imports.steered) != 0 {
		t.Errorf("told %+v", b.imports.steered)
	}
}

func TestRetry(t *testing.T) {
	b := newBench(t)
	s := b.submit(`{"source":{"url":"https://h/i","format":"raw"},"idempotency_key":"k","priority":7,"image":{"name":"n"}}`)
	fail := func(id string) {
		t.Helper()
		if err := b.cat.Fail(context.Background(), id, metadata.TaskError{Code: errcode.SourceTooSlow, Message: "slow"}); err != nil {
			t.Fatal(err)
		}
	}
	b.do("POST", "/v1/tasks/"+s.TaskID+"/retry", "").want(t, 409, errcode.Conflict)
	b.do("PUT", "/v1/tasks/"+s.TaskID+"/priority", `{"priority":9}`).want(t, 202, "")
	b.do("PUT", "/v1/tasks/"+s.TaskID+"/priority", `{"priority":2}`).want(t, 202, "")
	fail(s.TaskID)
	var again wire.Submitted
	a := b.do("POST", "/v1/tasks/"+s.TaskID+"/retry", "").want(t, 202, "")
	a.into(t, &again)
	if again.TaskID == s.TaskID || again.ImageID != s.ImageID || again.WorkflowID == s.WorkflowID || a.Header.Get("Location") != "/v1/tasks/"+again.TaskID {
		t.Errorf("tried again as %+v of %+v", again, s)
	}
	started := b.imports.started[len(b.imports.started)-1]
	if started.Urgency() != 2 || started.TaskID != again.TaskID || started.ImageID != s.ImageID || started.IdempotencyKey != "" || started.Source.Format != "raw" {
		t.Errorf("started %+v", started)
	}
	var task wire.Task
	b.do("GET", "/v1/tasks/"+again.TaskID, "").want(t, 200, "").into(t, &task)
	if task.RetryOf != s.TaskID || task.Priority != 2 || task.Status != "pending" {
		t.Errorf("task %+v", task)
	}
	b.do("POST", "/v1/tasks/"+s.TaskID+"/retry", "").want(t, 409, errcode.Conflict) // the other one runs
	_, err := b.cat.Accept(context.Background(), metadata.NewImport{
		Task:  metadata.Task{ID: "staged", Owner: "default", Type: "import", WorkflowID: "w", Request: []byte(`{"source":{"url":"` + contract.StagedURL("q", again.TaskID) + `"}}`)},
		Image: metadata.Image{ID: "image-of-staged"},
	})
	if err != nil {
		t.Fatal(err)
	}
	fail("staged")
	if got := b.do("POST", "/v1/tasks/staged/retry", "").want(t, 409, errcode.Conflict); !strings.Contains(string(got.body), "stage the bytes again") {
		t.Errorf("%s", got.body)
	}
	fail(again.TaskID)
	b.do("DELETE", "/v2/images/"+s.ImageID, "").want(t, 204, "")
	b.do("POST", "/v1/tasks/"+s.TaskID+"/retry", "").want(t, 409, errcode.Conflict)
	var req contract.ImportRequest
	if err := json.Unmarshal(task.Request, &req); err != nil || req.Image.Name != "n" {
		t.Errorf("request %s, %v", task.Request, err)
	}
}
