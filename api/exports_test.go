package api

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// exporting is a bench that exports to files and web servers, with an active image of
// the project red.
func exporting(t *testing.T) (b *bench, id string) {
	t.Helper()
	b = newBench(t, func(d *Deps) {
		d.Identity, d.Defaults.Destinations = proven{}, []string{"file", "http", "https"}
	})
	s := b.submit(someImport, rolesHeader("red", "member")...)
	b.finish(s, []byte("bytes"))
	return b, s.ImageID
}

func TestExports(t *testing.T) {
	b, id := exporting(t)
	ask := func(rest string) string { return `{"image_id":"` + id + `",` + rest + `}` }
	good := ask(`"target":{"format":"qcow2","compression":"zstd"},"destination":{"url":"/srv/x.qcow2","overwrite":true},"idempotency_key":"k"`)
	red := rolesHeader("red", "member")
	var first, second wire.Submitted
	b.do("POST", "/v1/exports", good, red...).want(t, 202, "").into(t, &first)
	b.do("POST", "/v1/exports", good, red...).want(t, 200, "").into(t, &second)
	if first.ImageID != id || second.TaskID != first.TaskID || !second.Existed {
		t.Errorf("first %+v, second %+v", first, second)
	}
	task, err := b.cat.Task(t.Context(), first.TaskID)
	if err != nil || task.Type != "export" || task.Owner != "red" || task.ImageID != id {
		t.Errorf("task %+v, %v", task, err)
	}
	req, err := requestOf(task)
	name, arg := req.Workflow()
	if x, ok := arg.(contract.ExportRequest); err != nil || name != contract.ExportWorkflow || !ok || x.Destination != (contract.DestinationSpec{URL: "/srv/x.qcow2", Overwrite: true}) || x.Target.Compression != "zstd" || x.TaskID != task.ID {
		t.Errorf("starts %s with %+v", name, arg)
	}
	for _, c := range []struct {
		body   string
		status int
		code   errcode.Code
	}{
		{`{}`, 400, errcode.BadRequest},
		{`{"image_id":"x","destination":{"url":"/x"}}`, 400, errcode.BadRequest},
		{`{"image_id":"` + uuid.NewString() + `","destination":{"url":"/x"}}`, 404, errcode.NotFound},
		{ask(`"destination":{}`), 400, errcode.BadRequest},
		{ask(`"destination":{"url":"x"}`), 400, errcode.DestinationInvalid},
		{ask(`"destination":{"url":"s3://bucket/key"}`), 400, errcode.DestinationScheme},
		{ask(`"destination":{"url":"https://user:pw@h/x"}`), 400, errcode.DestinationInvalid},
		{ask(`"destination":{"url":"https:///x"}`), 400, errcode.DestinationInvalid},
		{ask(`"destination":{"url":"https://h/x#y"}`), 400, errcode.DestinationInvalid},
		{ask(`"destination":{"url":"https://h/x?X-Amz-Signature=s3cr3t"}`), 400, errcode.DestinationSecret},
		{ask(`"destination":{"url":"/x"},"target":{"format":"nothing"}`), 400, errcode.TargetFormat},
		{ask(`"destination":{"url":"/x"},"target":{"compression":"zstd"}`), 400, errcode.BadRequest},
		{ask(`"destination":{"url":"/x"},"target":{"store":"local"}`), 400, errcode.BadRequest},
		{ask(`"destination":{"url":"/x"},"owner":"blue"`), 403, errcode.Forbidden},
		{ask(`"destination":{"url":"/x"},"roles":["admin"]`), 403, errcode.Forbidden},
	} {
		if a := b.do("POST", "/v1/exports", c.body, red...).want(t, c.status, c.code); strings.Contains(string(a.body), "s3cr3t") || strings.Contains(string(a.body), "pw") {
			t.Errorf("%s: tells a secret: %s", c.body, a.body)
		}
	}
}

// Who may export: the image's own project and administrators, even of what others see.
func TestWhoMayExport(t *testing.T) {
	b, id := exporting(t)
	body := `{"image_id":"` + id + `","destination":{"url":"/srv/x"}}`
	for _, c := range []struct {
		project, role string
		status        int
	}{{"red", "member", 202}, {"red", "admin", 202}, {"red", "reader", 403}, {"red", "none", 404}, {"blue", "member", 404}, {"blue", "admin", 202}} {
		code := map[int]errcode.Code{403: errcode.Forbidden, 404: errcode.NotFound}[c.status]
		b.do("POST", "/v1/exports", body, rolesHeader(c.project, c.role)...).want(t, c.status, code)
	}
}

func TestExportAsATask(t *testing.T) {
	b, id := exporting(t)
	admin := rolesHeader("red", "admin")
	var task struct {
		ID, Type, Message string
		Input, Result     map[string]any
	}
	b.do("POST", "/v2/tasks", `{"type":"export","input":{"image_id":"`+id+`","export_to":"/srv/x","export_to_format":"raw"}}`, admin...).want(t, 201, "").into(t, &task)
	if task.Type != "export" || task.Input["export_to"] != "/srv/x" || task.Input["export_to_format"] != "raw" || task.Input["image_id"] != id {
		t.Errorf("got %+v", task)
	}
	for _, input := range []string{`{}`, `{"image_id":"` + id + `"}`, `{"image_id":"` + id + `","export_to":5}`, `{"image_id":"` + id + `","export_to":"/x","more":1}`} {
		b.do("POST", "/v2/tasks", `{"type":"export","input":`+input+`}`, admin...).want(t, 400, errcode.BadRequest)
	}
	if err := b.cat.StartCopy(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	done := contract.ImportResult{TaskID: task.ID, Images: []contract.ImageResult{{ImageID: id}}, Exported: &contract.Exported{Destination: "/srv/x", DiskFormat: "raw", Verified: true}}
	for range 2 {
		if err := b.cat.FinishExport(t.Context(), task.ID, mustJSON(done)); err != nil {
			t.Fatal(err)
		}
	}
	b.do("GET", "/v2/tasks/"+task.ID, "", admin...).want(t, 200, "").into(t, &task)
	if task.Result["export_location"] != "/srv/x" || !strings.Contains(task.Message, "exported as raw to /srv/x") {
		t.Errorf("got %+v", task)
	}
	if img, err := b.cat.Image(t.Context(), id); err != nil || img.Status != metadata.ImageActive {
		t.Errorf("the image is %s, %v", img.Status, err)
	}
}
