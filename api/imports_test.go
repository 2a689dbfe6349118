package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestSubmit(t *testing.T) {
	b := newBench(t)
	body := `{"source":{"url":"https://example.org/disk.vmdk","format":"vmdk","checksum":"sha256:` + strings.Repeat("0a", 32) + `"},
		"target":{"format":"qcow2","compression":"zstd","store":"local","options":{"cluster_size":"64k"}},
		"image":{"name":"disk","visibility":"private","tags":["a","a","b"],"properties":{"os_distro":"debian"},"min_disk":3,"protected":true}}`
	a := b.do("POST", "/v1/imports", body, "X-Project-Id", "red").want(t, 202, "")
	var s wire.Submitted
	a.into(t, &s)
	if !s.Started || s.Existed || s.Status != "pending" || s.WorkflowID != "import/red/"+s.TaskID || a.Header.Get("Location") != "/v1/tasks/"+s.TaskID {
		t.Errorf("got %+v", s)
	}
	if len(b.imports.started) != 1 || b.imports.workflows[0] != s.WorkflowID {
		t.Fatalf("started %v", b.imports.workflows)
	}
	got := b.imports.started[0]
	if got.TaskID != s.TaskID || got.ImageID != s.ImageID || got.Owner != "red" || got.TaskType != "api_image_import" || got.Target.Options["cluster_size"] != "64k" {
		t.Errorf("started %+v", got)
	}
	// What is recorded is what was started.
	task, err := b.cat.Task(context.Background(), s.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	var recorded contract.ImportRequest
	if err := json.Unmarshal(task.Request, &recorded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, recorded); diff != "" {
		t.Error(diff)
	}
	var img wire.Image
	b.do("GET", "/v2/images/"+s.ImageID, "", "X-Project-Id", "red").want(t, 200, "").into(t, &img)
	if img.Status != "queued" || img.Name != "disk" || img.Visibility != "private" || !img.Protected || img.MinDisk != 3 ||
		!cmp.Equal(img.Tags, []string{"a", "b"}) || img.Properties["os_distro"] != "debian" || img.ContainerFormat != "bare" {
		t.Errorf("image %+v", img)
	}
}

func TestSubmitWithMembers(t *testing.T) {
	b := newBench(t)
	body := `{"source":{"url":"http://h/i.vmdk","members":[{"url":"/srv/i-s001.vmdk"},{"url":"http://h/?id=7","name":"i-s002.vmdk","checksum":"sha256:` +
		strings.Repeat("0a", 32) + `"}]},"verify":"full"}`
	b.do("POST", "/v1/imports", body, "Idempotency-Key", "k").want(t, 202, "")
	want := []contract.MemberSpec{{URL: "/srv/i-s001.vmdk"}, {URL: "http://h/?id=7", Name: "i-s002.vmdk", Checksum: "sha256:" + strings.Repeat("0a", 32)}}
	got := b.imports.started[0]
	if diff := cmp.Diff(want, got.Source.Members); diff != "" || got.Verify != "full" {
		t.Errorf("started with verify %q, members (-want +got):\n%s", got.Verify, diff)
	}
	b.do("POST", "/v1/imports", body, "Idempotency-Key", "k").want(t, 200, "")
	b.do("POST", "/v1/imports", strings.Replace(body, "id=7", "id=8", 1), "Idempotency-Key", "k").want(t, 409, errcode.IdempotencyReuse)
	b.do("POST", "/v1/imports", strings.Replace(body, `,"verify":"full"`, "", 1), "Idempotency-Key", "k").want(t, 409, errcode.IdempotencyReuse)
}

func TestSubmitIsValidated(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("n", 256)
	many := make([]string, 129)
	for i := range many {
		many[i] = `"t` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `"`
	}
	for _, c := range []struct {
		name, body string
		status     int
		code       errcode.Code
		field      string
	}{
		{"no source", `{}`, 400, errcode.BadRequest, "source.url"},
		{"unknown member", `{"sorce":{}}`, 400, errcode.BadRequest, "body"},
		{"wrong type", `{"source":{"url":7}}`, 400, errcode.BadRequest, "source.url"},
		{"scheme", `{"source":{"url":"ftp://h/i"}}`, 400, errcode.SourceScheme, "source.url"},
		{"gopher in capitals", `{"source":{"url":"GOPHER://h/i"}}`, 400, errcode.SourceScheme, "source.url"},
		{"no host", `{"source":{"url":"http:///i"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"password", `{"source":{"url":"http://u:p@h/i"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"line break", `{"source":{"url":"http://h/i\n"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"too long", `{"source":{"url":"http://h/` + strings.Repeat("x", 4096) + `"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"not escaped", `{"source":{"url":"http://h/%zz"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"relative path", `{"source":{"url":"images/disk.vmdk"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"file URL with host", `{"source":{"url":"file://host/disk"}}`, 400, errcode.SourceURLInvalid, "source.url"},
		{"format", `{"source":{"url":"http://h/i","format":"doc"}}`, 400, errcode.BadRequest, "source.format"},
		{"checksum algorithm", `{"source":{"url":"http://h/i","checksum":"sha1:` + strings.Repeat("0", 40) + `"}}`, 422, errcode.ChecksumAlgorithm, "source.checksum"},
		{"checksum file", `{"source":{"url":"http://h/i","checksum_file":"ftp://h/SUMS"}}`, 400, errcode.SourceScheme, "source.checksum_file.url"},
		{"signature with a password", `{"source":{"url":"http://h/i","signature":"http://u:p@h/i.sig"}}`, 400, errcode.SourceURLInvalid, "source.signature.url"},
		{"signature without a keyring", `{"source":{"url":"http://h/i","signature":"auto"}}`, 400, errcode.KeyringUnknown, "source.keyring"},
		{"checksum length", `{"source":{"url":"http://h/i","checksum":"sha256:00"}}`, 400, errcode.ChecksumInvalid, "source.checksum"},
		{"checksum digits", `{"source":{"url":"http://h/i","checksum":"sha256:` + strings.Repeat("zz", 32) + `"}}`, 400, errcode.ChecksumInvalid, "source.checksum"},
		{"checksum alone", `{"source":{"url":"http://h/i","checksum":"` + strings.Repeat("00", 32) + `"}}`, 400, errcode.ChecksumInvalid, "source.checksum"},
		{"target", `{"source":{"url":"http://h/i"},"target":{"format":"doc"}}`, 400, errcode.TargetFormat, "target.format"},
		{"compression", `{"source":{"url":"http://h/i"},"target":{"format":"raw","compression":"zlib"}}`, 400, errcode.TargetOption, "target.options.compression"},
		{"compression of the default", `{"source":{"url":"http://h/i"},"target":{"compression":"rle"}}`, 400, errcode.TargetOption, "target.options.compression"},
		{"store", `{"source":{"url":"http://h/i"},"target":{"store":"other"}}`, 409, errcode.StoreUnknown, "target.store"},
		{"name", `{"source":{"url":"http://h/i"},"image":{"name":"` + long + `"}}`, 400, errcode.BadRequest, "name"},
		{"visibility", `{"source":{"url":"http://h/i"},"image":{"visibility":"secret"}}`, 400, errcode.BadRequest, "visibility"},
		{"container", `{"source":{"url":"http://h/i"},"image":{"container_format":"box"}}`, 400, errcode.BadRequest, "container_format"},
		{"reserved property", `{"source":{"url":"http://h/i"},"image":{"properties":{"os_glance_x":"1"}}}`, 403, errcode.Forbidden, "os_glance_x"},
		{"reserved in capitals", `{"source":{"url":"http://h/i"},"image":{"properties":{"OS_GLANCE_x":"1"}}}`, 403, errcode.Forbidden, "OS_GLANCE_x"},
		{"property called as a member", `{"source":{"url":"http://h/i"},"image":{"properties":{"name":"1"}}}`, 400, errcode.BadRequest, "properties.name"},
		{"read-only property", `{"source":{"url":"http://h/i"},"image":{"properties":{"status":"active"}}}`, 403, errcode.Forbidden, "status"},
		{"property without name", `{"source":{"url":"http://h/i"},"image":{"properties":{"":"1"}}}`, 400, errcode.BadRequest, "properties"},
		{"too many tags", `{"source":{"url":"http://h/i"},"image":{"tags":[` + strings.Join(many, ",") + `]}}`, 413, errcode.BadRequest, "tags"},
		{"negative", `{"source":{"url":"http://h/i"},"image":{"min_disk":-1}}`, 400, errcode.BadRequest, "min_disk"},
		{"huge", `{"source":{"url":"http://h/i"},"image":{"min_ram":99999999999}}`, 400, errcode.BadRequest, "min_ram"},
		{"task id", `{"task_id":"x","source":{"url":"http://h/i"}}`, 400, errcode.BadRequest, "task_id"},
		{"image id", `{"image_id":"../../x","source":{"url":"http://h/i"}}`, 400, errcode.BadRequest, "image_id"},
		{"task type", `{"task_type":"export","source":{"url":"http://h/i"}}`, 400, errcode.BadRequest, "task_type"},
		{"owner", `{"owner":"blue","source":{"url":"http://h/i"}}`, 403, errcode.Forbidden, "owner"},
		{"member without url", `{"source":{"url":"http://h/i","members":[{"name":"a"}]}}`, 400, errcode.SourceURLInvalid, "source.members[0].url"},
		{"scheme of a member", `{"source":{"url":"http://h/i","members":[{"url":"http://h/a"},{"url":"ftp://h/b"}]}}`, 400, errcode.SourceScheme, "source.members[1].url"},
		{"password of a member", `{"source":{"url":"http://h/i","members":[{"url":"http://u:p@h/a"}]}}`, 400, errcode.SourceURLInvalid, "source.members[0].url"},
		{"member without a name", `{"source":{"url":"http://h/i","members":[{"url":"http://h/?id=1"}]}}`, 400, errcode.BadRequest, "source.members[0].name"},
		{"member with a path for a name", `{"source":{"url":"http://h/i","members":[{"url":"http://h/a","name":"../a"}]}}`, 400, errcode.BadRequest, "source.members[0].name"},
		{"checksum of a member", `{"source":{"url":"http://h/i","members":[{"url":"http://h/a","checksum":"md5:00"}]}}`, 400, errcode.ChecksumInvalid, "source.members[0].checksum"},
		{"format of a member", `{"source":{"url":"http://h/i","members":[{"url":"http://h/a","format":"vmdk"}]}}`, 400, errcode.BadRequest, "body"},
		{"too many members", `{"source":{"url":"http://h/i","members":[` + strings.Repeat(`{"url":"http://h/a"},`, 64) + `{"url":"http://h/a"}]}}`, 400, errcode.BadRequest, "source.members"},
		{"members too long together", `{"source":{"url":"http://h/i","members":[` + strings.Repeat(`{"url":"http://h/`+strings.Repeat("x", 4000)+`/a"},`, 33) + `{"url":"http://h/a"}]}}`, 400, errcode.BadRequest, "source.members"},
		{"verify", `{"source":{"url":"http://h/i"},"verify":"some"}`, 400, errcode.BadRequest, "verify"},
		{"verify below the operator's", `{"source":{"url":"http://h/i"},"verify":"stored"}`, 403, errcode.Forbidden, "verify"},
		{"key with slash", `{"idempotency_key":"a/b","source":{"url":"http://h/i"}}`, 400, errcode.BadRequest, "idempotency_key"},
		{"key too long", `{"idempotency_key":"` + strings.Repeat("k", 129) + `","source":{"url":"http://h/i"}}`, 400, errcode.BadRequest, "idempotency_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e wire.ErrorBody
			b.do("POST", "/v1/imports", c.body).want(t, c.status, c.code).into(t, &e)
			if e.Error.Evidence == nil || e.Error.Evidence.Field != c.field {
				t.Errorf("the field is not named: %+v", e.Error)
			}
			if strings.Contains(e.Error.Message+e.Error.Evidence.Value, "u:p") {
				t.Errorf("a password is shown: %+v", e.Error)
			}
		})
	}
	if len(b.imports.started) != 0 {
		t.Errorf("%d imports were started", len(b.imports.started))
	}
	if tasks, err := b.cat.Tasks(context.Background(), metadata.TaskFilter{}); err != nil || len(tasks) != 0 {
		t.Errorf("%d tasks were recorded, %v", len(tasks), err)
	}
}

func TestSubmitAtTheLimits(t *testing.T) {
	b := newBench(t)
	for _, body := range []string{
		`{"source":{"url":"http://h/` + strings.Repeat("x", 4096-9) + `"}}`,
		`{"source":{"url":"/srv/images/disk image.vmdk"}}`,
		`{"source":{"url":"file:///srv/disk.raw"},"target":{"format":"raw","compression":"none"}}`,
		`{"source":{"url":"http://h/i"},"image":{"name":"` + strings.Repeat("ä", 255) + `"}}`,
		`{"source":{"url":"http://h/i","checksum":"sha512:` + strings.Repeat("AB", 64) + `"}}`,
		`{"idempotency_key":"` + strings.Repeat("k", 128) + `","source":{"url":"http://h/i"}}`,
	} {
		b.submit(body)
	}
}

func TestIdempotency(t *testing.T) {
	b := newBench(t)
	first := b.submit(someImport, "Idempotency-Key", "k1")
	if first.WorkflowID != "import/default/key-k1" {
		t.Errorf("workflow id %q", first.WorkflowID)
	}
	var again wire.Submitted
	b.do("POST", "/v1/imports", someImport, "Idempotency-Key", "k1").want(t, 200, "").into(t, &again)
	if again.TaskID != first.TaskID || again.ImageID != first.ImageID || !again.Existed {
		t.Errorf("got %+v, want %+v", again, first)
	}
	// The repeated one starts the recorded ids, which does nothing if it runs.
	if got := b.imports.started[1]; got.TaskID != first.TaskID || got.ImageID != first.ImageID {
		t.Errorf("started %+v", got)
	}
	// The same key in the body is the same key, and another order is no other request.
	b.do("POST", "/v1/imports", `{"image":{"name":"disk"},"source":{"url":"https://example.org/disk.vmdk"},"idempotency_key":"k1"}`).want(t, 200, "")
	b.do("POST", "/v1/imports", `{"source":{"url":"https://example.org/other"}}`, "Idempotency-Key", "k1").want(t, 409, errcode.IdempotencyReuse)
	b.do("POST", "/v1/imports", `{"idempotency_key":"k2","source":{"url":"https://h/i"}}`, "Idempotency-Key", "k1").want(t, 400, errcode.BadRequest)
	// Another project's key is another key.
	other := b.submit(someImport, "Idempotency-Key", "k1", "X-Project-Id", "red")
	if other.TaskID == first.TaskID {
		t.Error("two projects share a task")
	}

	id := "11111111-2222-3333-4444-555555555555"
	body := `{"task_id":"` + id + `","source":{"url":"https://example.org/a"}}`
	if s := b.submit(body); s.TaskID != id {
		t.Errorf("task id %s", s.TaskID)
	}
	b.do("POST", "/v1/imports", body).want(t, 200, "")
	b.do("POST", "/v1/imports", strings.Replace(body, "/a", "/b", 1)).want(t, 409, errcode.IdempotencyReuse)
	b.do("POST", "/v1/imports", body, "X-Project-Id", "red").want(t, 409, errcode.Conflict)

	// A finished one is not started again.
	b.finish(first, []byte("data"))
	n := len(b.imports.started)
	b.do("POST", "/v1/imports", someImport, "Idempotency-Key", "k1").want(t, 200, "").into(t, &again)
	if again.Status != "success" || len(b.imports.started) != n {
		t.Errorf("got %+v, %d starts", again, len(b.imports.started)-n)
	}
}

func TestAcceptedWithoutWorkflowService(t *testing.T) {
	b := newBench(t)
	b.imports.startErr = errcode.New(errcode.WorkflowService, "away")
	s := b.submit(someImport, "Idempotency-Key", "k")
	if s.Started || s.Notice == "" {
		t.Errorf("got %+v", s)
	}
	task, err := b.cat.Task(context.Background(), s.TaskID)
	if err != nil || task.Status != metadata.TaskPending {
		t.Errorf("task %+v, %v", task, err)
	}
	// Repeating it heals it.
	b.imports.startErr = nil
	var again wire.Submitted
	b.do("POST", "/v1/imports", someImport, "Idempotency-Key", "k").want(t, 200, "").into(t, &again)
	if !again.Started || again.TaskID != s.TaskID {
		t.Errorf("got %+v", again)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	path := "/v1/tasks/" + s.TaskID + "/cancel"
	var task wire.Task
	b.do("POST", path, "").want(t, 202, "").into(t, &task)
	if task.Status != "pending" || len(b.imports.cancelled) != 1 || b.imports.cancelled[0] != s.WorkflowID {
		t.Errorf("got %+v, cancelled %v", task, b.imports.cancelled)
	}
	b.imports.cancelErr = errcode.New(errcode.WorkflowService, "away")
	b.do("POST", path, "").want(t, 503, errcode.WorkflowService)
	b.imports.cancelErr = errcode.New(errcode.NotFound, "no workflow")
	b.do("POST", path, "").want(t, 202, "").into(t, &task)
	if task.Status != "failure" || task.Error == nil || task.Error.Code != errcode.TaskCancelled || task.Error.Remedy == "" {
		t.Errorf("got %+v", task)
	}
	b.do("POST", path, "").want(t, 409, errcode.Conflict)
	b.do("POST", "/v1/tasks/nothing/cancel", "").want(t, 404, errcode.NotFound)
}

func TestWholeTask(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	ctx := context.Background()
	if err := b.cat.Start(ctx, s.TaskID); err != nil {
		t.Fatal(err)
	}
	if err := b.cat.SetStage(ctx, s.TaskID, metadata.Event{Stage: "fetch", Attempt: 1, Message: "begins"}); err != nil {
		t.Fatal(err)
	}
	b.imports.progress = func(metadata.Task) (contract.Progress, error) {
		return contract.Progress{Stage: "convert", Bytes: 5, Total: 10, Rate: 1, ETA: 5, Attempt: 2}, nil
	}
	var p contract.Progress
	b.do("GET", "/v1/tasks/"+s.TaskID+"/progress", "").want(t, 200, "").into(t, &p)
	if diff := cmp.Diff(contract.Progress{TaskID: s.TaskID, Status: "processing", Stage: "convert", Bytes: 5, Total: 10, Rate: 1, ETA: 5, Attempt: 2}, p); diff != "" {
		t.Error(diff)
	}
	b.imports.progress = nil // the catalogue still knows the stage
	b.do("GET", "/v1/tasks/"+s.TaskID+"/progress", "").want(t, 200, "").into(t, &p)
	if p.Stage != "fetch" || p.Status != "processing" || p.Total != -1 || p.ETA != -1 {
		t.Errorf("got %+v", p)
	}
	off := int64(512)
	err := b.cat.Fail(ctx, s.TaskID, metadata.TaskError{Code: errcode.VMDKHeader, Message: "the header contradicts itself", Stage: "detect",
		Evidence: &errcode.Evidence{Format: "vmdk", Field: "grainSize", Offset: &off, Value: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	var task wire.Task
	b.do("GET", "/v1/tasks/"+s.TaskID, "").want(t, 200, "").into(t, &task)
	if task.Status != "failure" || task.Error.Stage != "detect" || task.Error.Evidence.Field != "grainSize" ||
		task.Error.Remedy != errcode.Lookup(errcode.VMDKHeader).Remedy {
		t.Errorf("got %+v", task.Error)
	}
	if n := len(task.Events); n != 4 || task.Events[0].Kind != "status" || task.Events[n-1].Code != string(errcode.VMDKHeader) {
		t.Errorf("events %+v", task.Events)
	}
	var ev wire.Events
	b.do("GET", "/v1/tasks/"+s.TaskID+"/events", "").want(t, 200, "").into(t, &ev)
	if diff := cmp.Diff(task.Events, ev.Events); diff != "" {
		t.Error(diff)
	}
	b.do("GET", "/v1/tasks/nothing/events", "").want(t, 404, errcode.NotFound)
	b.do("GET", "/v1/tasks/nothing/progress", "").want(t, 404, errcode.NotFound)
}

func TestProgressOfAFinishedTask(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	b.finish(s, []byte("12345"))
	b.imports.progress = func(metadata.Task) (contract.Progress, error) {
		t.Error("a finished task was looked up in the workflow service")
		return contract.Progress{}, nil
	}
	var p contract.Progress
	b.do("GET", "/v1/tasks/"+s.TaskID+"/progress", "").want(t, 200, "").into(t, &p)
	if p.Status != "success" || p.Stage != contract.StageDone || p.Bytes != 5 || p.Total != 5 || p.ETA != 0 {
		t.Errorf("got %+v", p)
	}
}
