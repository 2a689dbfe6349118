package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

const (
	someTask   = `{"type":"import","input":{"import_from":"https://example.org/disk.vmdk","import_from_format":"vmdk","image_properties":{"name":"n","disk_format":"vmdk","container_format":"bare","tags":["t"],"min_ram":64,"os_distro":"debian"}}}`
	publicTask = `{"type":"import","input":{"import_from":"https://example.org/disk.vmdk","import_from_format":"vmdk","image_properties":{"visibility":"public"}}}`
)

func TestCreateTask(t *testing.T) {
	b := newBench(t)
	a := b.do("POST", "/v2/tasks", someTask, keyHeader, "k").want(t, 201, "")
	var task map[string]any
	a.into(t, &task)
	id, image := task["id"].(string), task["image_id"].(string)
	if diff := cmp.Diff(set(stubMembers+"input result message self schema"), keys(task)); diff != "" {
		t.Error(diff)
	}
	if a.Header.Get("Location") != "/v2/tasks/"+id || task["type"] != "import" || task["status"] != "pending" || task["owner"] != "default" {
		t.Errorf("%v, Location %s", task, a.Header.Get("Location"))
	}
	var asked, shown any
	if err := json.Unmarshal([]byte(someTask), &asked); err != nil {
		t.Fatal(err)
	}
	shown = task["input"]
	want := asked.(map[string]any)["input"].(map[string]any)
	delete(want["image_properties"].(map[string]any), "disk_format") // the same as its source's
	if diff := cmp.Diff(any(want), shown); diff != "" {
		t.Error(diff)
	}
	req := b.imports.started[0]
	if req.TaskType != "import" || !cmp.Equal(req.Source, contract.SourceSpec{URL: "https://example.org/disk.vmdk", Format: "vmdk"}) || req.Target.Format != "" {
		t.Errorf("started %+v", req)
	}
	if m := b.anImage(image); m["status"] != "queued" || m["name"] != "n" || m["os_distro"] != "debian" || m["min_ram"] != 64.0 {
		t.Errorf("%v", m)
	}
	again := b.do("POST", "/v2/tasks", someTask, keyHeader, "k").want(t, 201, "")
	if again.Header.Get("Location") != a.Header.Get("Location") {
		t.Errorf("repeating made %s", again.Header.Get("Location"))
	}
	b.do("POST", "/v2/tasks", publicTask, keyHeader, "k").want(t, 409, errcode.IdempotencyReuse)

	b.finish(wire.Submitted{TaskID: id, ImageID: image}, []byte("bytes"))
	b.do("GET", "/v2/tasks/"+id, "").want(t, 200, "").into(t, &task)
	if task["message"] != "The image is active, with 5 bytes stored as qcow2." || task["result"].(map[string]any)["image_id"] != image {
		t.Errorf("%v", task)
	}
	var list struct{ Tasks []map[string]any }
	b.do("GET", "/v2/tasks?type=import", "").want(t, 200, "").into(t, &list)
	if len(list.Tasks) != 1 || list.Tasks[0]["id"] != id {
		t.Errorf("%v", list)
	}
}

func TestCreateTaskConverts(t *testing.T) {
	b := newBench(t)
	b.do("POST", "/v2/tasks", strings.Replace(someTask, `"disk_format":"vmdk"`, `"disk_format":"raw"`, 1)).want(t, 201, "")
	if got := b.imports.started[0].Target.Format; got != "raw" {
		t.Errorf("target %q", got)
	}
}

func TestCreateTaskIsRefused(t *testing.T) {
	b := newBench(t)
	input := func(s string) string { return `{"type":"import","input":` + s + `}` }
	for _, c := range []struct {
		body   string
		status int
		code   errcode.Code
	}{
		{``, 400, errcode.BadRequest}, {`[]`, 400, errcode.BadRequest}, {`{}`, 400, errcode.BadRequest}, {`{"type":"import"}`, 400, errcode.BadRequest},
		{`{"input":{}}`, 400, errcode.BadRequest}, {`{"type":5,"input":{}}`, 400, errcode.BadRequest}, {`{"type":"import","input":null}`, 400, errcode.BadRequest},
		{`{"type":"import","input":[]}`, 400, errcode.BadRequest}, {`{"type":"api_image_import","input":{}}`, 400, errcode.BadRequest},
		{`{"type":"location_import","input":{}}`, 400, errcode.BadRequest}, {`{"type":"format_disk","input":{}}`, 400, errcode.BadRequest},
		{input(`{}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","image_properties":{}}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"raw"}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"floppy","image_properties":{}}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"raw","image_properties":[]}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"raw","image_properties":{},"more":1}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"raw","image_properties":{"n":1}}`), 400, errcode.BadRequest},
		{input(`{"import_from":"http://h/i","import_from_format":"raw","image_properties":{"status":"active"}}`), 403, errcode.Forbidden},
		{input(`{"import_from":"http://h/i","import_from_format":"raw","image_properties":{"owner":"blue"}}`), 403, errcode.Forbidden},
		{input(`{"import_from":"file:///etc/passwd","import_from_format":"raw","image_properties":{}}`), 400, errcode.SourceScheme},
		{input(`{"import_from":"/etc/passwd","import_from_format":"raw","image_properties":{}}`), 400, errcode.SourceScheme},
		{input(`{"import_from":"swift://h/i","import_from_format":"raw","image_properties":{}}`), 400, errcode.SourceScheme},
		{input(`{"import_from":"http://u:p@h/i","import_from_format":"raw","image_properties":{}}`), 400, errcode.SourceURLInvalid},
		{input(`{"import_from":"http:///i","import_from_format":"raw","image_properties":{}}`), 400, errcode.SourceScheme},
		{input(`{"import_from":null,"import_from_format":"raw","image_properties":{}}`), 400, errcode.BadRequest},
	} {
		a := b.do("POST", "/v2/tasks", c.body)
		if a.StatusCode != c.status {
			t.Errorf("%s: got %d %s", c.body, a.StatusCode, a.body)
			continue
		}
		a.want(t, c.status, c.code)
	}
	if len(b.imports.started) > 0 {
		t.Error("a refused task was started")
	}
	if a := b.do("DELETE", "/v2/tasks/11111111-2222-3333-4444-555555555555", ""); a.StatusCode != 405 || !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("DELETE of a task: %d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
	}
}

// TestExpiredTasks: Glance's clients do not see a task that has expired; its history stays.
func TestExpiredTasks(t *testing.T) {
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	cat := metadata.New(repo, metadata.WithClock(func() time.Time { return now }), metadata.WithTaskTTL(time.Hour))
	b := newBench(t, func(d *Deps) { d.Catalogue = cat })
	b.cat = cat
	s := b.submit(someImport)
	b.finish(s, []byte("bytes"))
	count := func(path string) int {
		t.Helper()
		var list struct{ Tasks []any }
		b.do("GET", path, "").want(t, 200, "").into(t, &list)
		return len(list.Tasks)
	}
	for _, c := range []struct {
		after    time.Duration
		n, shown int
	}{{time.Hour - time.Second, 1, 200}, {time.Second, 0, 404}} {
		now = now.Add(c.after)
		for _, path := range []string{"/v2/tasks", "/v2/tasks?sort_key=status", "/v2/images/" + s.ImageID + "/tasks"} {
			if got := count(path); got != c.n {
				t.Errorf("%s has %d tasks, want %d", path, got, c.n)
			}
		}
		if a := b.do("GET", "/v2/tasks/"+s.TaskID, ""); a.StatusCode != c.shown {
			t.Errorf("got %d, want %d", a.StatusCode, c.shown)
		}
		b.do("GET", "/v1/tasks/"+s.TaskID, "").want(t, 200, "")
		if got := count("/v1/tasks"); got != 1 {
			t.Errorf("/v1/tasks has %d", got)
		}
	}
}
