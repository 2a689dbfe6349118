package api

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func keys(m map[string]any) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, k := range strings.Fields(names) {
		out[k] = true
	}
	return out
}

const (
	stubMembers = "id type status owner image_id request_id created_at updated_at " // of one by nobody known, that has not ended
	rowMembers  = stubMembers + "user_id expires_at "
)

func TestTaskShapes(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	var task map[string]any
	b.do("GET", "/v2/tasks/"+s.TaskID, "").want(t, 200, "").into(t, &task)
	if diff := cmp.Diff(set(stubMembers+"input result message self schema"), keys(task)); diff != "" {
		t.Error(diff)
	}
	if task["type"] != "api_image_import" || task["status"] != "pending" || task["result"] != nil || task["expires_at"] != nil ||
		task["self"] != "/v2/tasks/"+s.TaskID || task["message"] != "" {
		t.Errorf("got %v", task)
	}
	method := task["input"].(map[string]any)["import_req"].(map[string]any)["method"].(map[string]any)
	if method["name"] != "web-download" || method["uri"] != "https://example.org/disk.vmdk" {
		t.Errorf("input %v", task["input"])
	}
	var list struct{ Tasks []map[string]any }
	b.do("GET", "/v2/tasks", "").want(t, 200, "").into(t, &list)
	if diff := cmp.Diff(set(stubMembers+"self schema"), keys(list.Tasks[0])); diff != "" {
		t.Error(diff)
	}
	list.Tasks = nil
	b.do("GET", "/v2/images/"+s.ImageID+"/tasks", "").want(t, 200, "").into(t, &list)
	if diff := cmp.Diff(set(rowMembers+"input result message deleted deleted_at"), keys(list.Tasks[0])); diff != "" {
		t.Error(diff)
	}
	b.finish(s, []byte("data"))
	b.do("GET", "/v2/tasks/"+s.TaskID, "").want(t, 200, "").into(t, &task)
	if task["status"] != "success" || task["result"].(map[string]any)["image_id"] != s.ImageID || task["expires_at"] == nil {
		t.Errorf("got %v", task)
	}
	b.do("GET", "/v2/tasks/nothing", "").want(t, 404, errcode.NotFound)
	b.do("GET", "/v2/images/nothing/tasks", "").want(t, 404, errcode.NotFound)
}

func TestFailedTaskSaysWhy(t *testing.T) {
	b := newBench(t)
	s := b.submit(`{"task_type":"import","source":{"url":"http://h/i","format":"vmdk"}}`)
	if err := b.cat.Fail(context.Background(), s.TaskID, metadata.TaskError{Code: errcode.Empty, Message: "the source has no bytes", Remedy: "Look."}); err != nil {
		t.Fatal(err)
	}
	var task map[string]any
	b.do("GET", "/v2/tasks/"+s.TaskID, "").want(t, 200, "").into(t, &task)
	if task["message"] != "IMG_EMPTY: the source has no bytes Look." || task["input"].(map[string]any)["import_from"] != "http://h/i" {
		t.Errorf("got %v", task)
	}
}

func TestListTasks(t *testing.T) {
	b := newBench(t)
	var ids []string
	for range 5 {
		ids = append(ids, b.submit(someImport).TaskID)
	}
	old := b.submit(`{"task_type":"import","source":{"url":"http://h/i"}}`)
	b.submit(someImport, "X-Project-Id", "red")
	if err := b.cat.Fail(context.Background(), ids[1], metadata.TaskError{Code: errcode.Empty, Message: "empty"}); err != nil {
		t.Fatal(err)
	}
	name := map[string]string{old.TaskID: "old"}
	for i, id := range ids {
		name[id] = string(rune('0' + i))
	}
	for _, c := range []struct{ query, want string }{
		{"", "old 4 3 2 1 0"},
		{"limit=2", "old 4"},
		{"limit=2&marker=" + ids[3], "2 1"},
		{"sort_key=created_at&sort_dir=asc", "0 1 2 3 4 old"},
		{"sort_key=status&sort_dir=asc&limit=1", "1"},
		{"type=import", "old"},
		{"type=location_import", ""},
		{"status=failure", "1"},
		{"status=success", ""},
		{"image_id=" + old.ImageID, "old"},
	} {
		for _, path := range []string{"/v2/tasks?", "/v1/tasks?"} {
			var list struct {
				Tasks []struct{ ID string }
				Next  string
			}
			b.do("GET", path+c.query, "").want(t, 200, "").into(t, &list)
			var got []string
			for _, task := range list.Tasks {
				got = append(got, name[task.ID])
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("%s%s: got %q, want %q", path, c.query, g, c.want)
			}
			if more := strings.Contains(c.query, "limit"); more != (list.Next != "") {
				t.Errorf("%s%s: next is %q", path, c.query, list.Next)
			}
		}
	}
	for _, q := range []string{"type=nothing", "status=done", "marker=x", "marker=11111111-2222-3333-4444-555555555555", "sort_key=owner", "limit=-1"} {
		b.do("GET", "/v2/tasks?"+q, "").want(t, 400, errcode.BadRequest)
	}
	var whole wire.TaskList
	b.do("GET", "/v1/tasks?status=failure", "").want(t, 200, "").into(t, &whole)
	if whole.Tasks[0].Error == nil || whole.Tasks[0].Error.Code != errcode.Empty {
		t.Errorf("got %+v", whole.Tasks[0])
	}
}
