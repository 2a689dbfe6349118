package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

const cloneID = "9f3c6f0a-5f38-4a8e-9d5b-0b9f0f4f7a11"

func newCloneBench(t testing.TB) *bench {
	return newBench(t, func(d *Deps) {
		d.Identity, d.Defaults.Schemes, d.Stores = proven{}, []string{"https", "glance"}, []string{"local", "far"}
		d.Regions = map[string]Region{"north": {URL: "https://image.north.example:9292/v"}, "south": {Credential: "south-cloud"}}
	})
}

// cloneOf is the body of a request for a clone.
func cloneOf(source, rest string) string {
	return `{"type":"clone","input":{"source":{"image_id":"` + cloneID + `",` + source + `}` + rest + `}}`
}

const fromEast = `"url":"http://image.east.example:9292/v"`

func TestClone(t *testing.T) {
	b, red := newCloneBench(t), rolesHeader("red", "member")
	body := cloneOf(fromEast+`,"credential":"east"`, `,"same_id":true,"image_properties":{"name":"mine","x":"y"},"stores":["far"],"priority":3`)
	a := b.do("POST", "/v2/tasks", body, red...).want(t, 201, "")
	var task struct {
		ID, Type, Status string
		ImageID          string `json:"image_id"`
		Input            map[string]any
	}
	a.into(t, &task)
	source := map[string]any{"url": "glance://image.east.example:9292/v/" + cloneID + "?scheme=http", "credential": "east"}
	want := map[string]any{"source": source, "image_id": cloneID, "image_properties": map[string]any{"name": "mine", "x": "y", "visibility": "private"}, "stores": []any{"far"}}
	if diff := cmp.Diff(want, task.Input); diff != "" || task.Type != "clone" || task.ImageID != cloneID {
		t.Errorf("%+v\n%s", task, diff)
	}
	req := b.imports.started[0]
	if name, arg := req.Workflow(); name != contract.CloneWorkflow || !cmp.Equal(arg, any(req)) || req.Method != contract.MethodClone || req.Target.Store != "far" || req.Urgency() != 3 || req.Owner != "red" {
		t.Errorf("starts %s with %+v", name, arg)
	}
	img, err := b.cat.Image(t.Context(), cloneID)
	if err != nil || img.Status != metadata.ImageQueued || img.Visibility != "private" || img.Protected || img.Owner != "red" || img.DiskFormat != "" {
		t.Errorf("image %+v, %v", img, err)
	}
	// The same again is the same task; another one of the same id is in its way.
	if again := b.do("POST", "/v2/tasks", body, red...).want(t, 201, ""); again.Header.Get("Location") != "/v2/tasks/"+task.ID {
		t.Errorf("again made %s", again.Header.Get("Location"))
	}
	b.do("POST", "/v2/tasks", cloneOf(`"region":"north"`, `,"same_id":true`), red...).want(t, 409, errcode.Conflict)
	b.do("POST", "/v2/tasks", strings.Replace(body, "mine", "other", 1), red...).want(t, 409, errcode.Conflict)
	b.do("POST", "/v2/tasks", body, rolesHeader("blue", "member")...).want(t, 409, errcode.Conflict)
	b.finish(wire.Submitted{TaskID: task.ID, ImageID: cloneID}, []byte("bytes"))
	if again := b.do("POST", "/v2/tasks", body, red...).want(t, 201, ""); again.Header.Get("Location") != "/v2/tasks/"+task.ID {
		t.Errorf("behind its end, again made %s", again.Header.Get("Location"))
	}
	var list struct{ Tasks []map[string]any }
	b.do("GET", "/v2/tasks?type=clone", "", red...).want(t, 200, "").into(t, &list)
	if len(list.Tasks) != 1 {
		t.Errorf("%v", list)
	}
	// Without a wish the server chooses the id, and each request makes a clone.
	for range 2 {
		b.do("POST", "/v2/tasks", cloneOf(fromEast, ""), red...).want(t, 201, "")
	}
	if s := b.imports.started; s[len(s)-1].ImageID == s[len(s)-2].ImageID || s[len(s)-1].ImageID == cloneID {
		t.Errorf("images %s and %s", s[len(s)-1].ImageID, s[len(s)-2].ImageID)
	}
}

// A clone that has failed is tried again as what it was.
func TestCloneIsTriedAgain(t *testing.T) {
	b, red := newCloneBench(t), rolesHeader("red", "member")
	var task struct{ ID string }
	b.do("POST", "/v2/tasks", cloneOf(fromEast, `,"image_id":"`+cloneID+`"`), red...).want(t, 201, "").into(t, &task)
	if err := b.cat.Start(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.cat.Fail(t.Context(), task.ID, metadata.TaskError{Code: errcode.SourceUnreachable, Message: "away"}); err != nil {
		t.Fatal(err)
	}
	// A second clone would be in the way of the first one's image.
	b.do("POST", "/v2/tasks", cloneOf(fromEast, `,"same_id":true`), red...).want(t, 409, errcode.Conflict)
	var again wire.Submitted
	b.do("POST", "/v1/tasks/"+task.ID+"/retry", "", red...).want(t, 202, "").into(t, &again)
	got, err := b.cat.Task(t.Context(), again.TaskID)
	req := b.imports.started[len(b.imports.started)-1]
	if err != nil || got.Type != contract.TypeClone || got.ImageID != cloneID || req.Method != contract.MethodClone || req.Source.URL == "" {
		t.Errorf("again: %+v, %v, started %+v", got, err, req)
	}
	// The same asked for now means the attempt that runs.
	same := b.do("POST", "/v2/tasks", cloneOf(fromEast, `,"same_id":true`), red...).want(t, 201, "")
	if same.Header.Get("Location") != "/v2/tasks/"+again.TaskID {
		t.Errorf("beside the second attempt, the same made %s", same.Header.Get("Location"))
	}
}

// A clone whose image was deleted is none: the same asked for again does not mean it.
func TestCloneThatIsGone(t *testing.T) {
	b, red := newCloneBench(t), rolesHeader("red", "member")
	body := cloneOf(fromEast, `,"same_id":true`)
	var task struct{ ID string }
	b.do("POST", "/v2/tasks", body, red...).want(t, 201, "").into(t, &task)
	b.finish(wire.Submitted{TaskID: task.ID, ImageID: cloneID}, []byte("bytes"))
	b.do("DELETE", "/v2/images/"+cloneID, "", red...).want(t, 204, "")
	a := b.do("POST", "/v2/tasks", body, red...)
	if a.Header.Get("Location") == "/v2/tasks/"+task.ID || a.StatusCode != 409 && a.StatusCode != 201 {
		t.Errorf("status %d, %s: the image is gone", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestCloneIsRefused(t *testing.T) {
	b, red := newCloneBench(t), rolesHeader("red", "member")
	id := func(s string) string { return strings.Replace(cloneOf(fromEast, ""), cloneID, s, 1) }
	for _, c := range []struct {
		body   string
		status int
		code   errcode.Code
	}{
		{`{"type":"clone","input":{}}`, 400, errcode.BadRequest},
		{id(""), 400, errcode.BadRequest}, {id("../" + cloneID), 400, errcode.BadRequest}, {id(strings.ToUpper(cloneID)), 400, errcode.BadRequest}, {id("web"), 400, errcode.BadRequest},
		{cloneOf(`"x":1`, ""), 400, errcode.BadRequest}, {cloneOf(`"url":""`, ""), 400, errcode.BadRequest}, {cloneOf(`"url":5`, ""), 400, errcode.BadRequest},
		{cloneOf(`"url":"file:///etc/passwd"`, ""), 400, errcode.SourceURLInvalid}, {cloneOf(`"url":"https://user:s3cr3t@h"`, ""), 400, errcode.SourceURLInvalid},
		{cloneOf(`"url":"https://h/?token=s3cr3t"`, ""), 400, errcode.SourceURLInvalid}, {cloneOf(`"url":"https://h/#s3cr3t"`, ""), 400, errcode.SourceURLInvalid},
		{cloneOf(`"url":"https:///x"`, ""), 400, errcode.SourceURLInvalid},
		{cloneOf(`"region":"west"`, ""), 400, errcode.BadRequest}, {cloneOf(fromEast+`,"region":"north"`, ""), 400, errcode.BadRequest},
		{cloneOf(`"region":"south","credential":"mine"`, ""), 400, errcode.BadRequest},
		{cloneOf(fromEast, `,"same_id":"yes"`), 400, errcode.BadRequest}, {cloneOf(fromEast, `,"other":1`), 400, errcode.BadRequest},
		{cloneOf(fromEast, `,"same_id":true,"image_id":"8f3c6f0a-5f38-4a8e-9d5b-0b9f0f4f7a11"`), 400, errcode.BadRequest}, {cloneOf(fromEast, `,"image_id":"x"`), 400, errcode.BadRequest},
		{cloneOf(fromEast, `,"image_properties":{"disk_format":"raw"}`), 400, errcode.BadRequest}, {cloneOf(fromEast, `,"image_properties":{"id":"`+cloneID+`"}`), 400, errcode.BadRequest},
		{cloneOf(fromEast, `,"image_properties":{"visibility":"public"}`), 403, errcode.Forbidden}, {cloneOf(fromEast, `,"image_properties":{"os_glance_x":"y"}`), 403, errcode.Forbidden},
		{cloneOf(fromEast, `,"image_properties":{"owner":"blue"}`), 403, errcode.Forbidden},
		{cloneOf(fromEast, `,"priority":11`), 400, errcode.BadRequest}, {cloneOf(fromEast, `,"stores":["none"]`), 409, errcode.StoreUnknown},
	} {
		if a := b.do("POST", "/v2/tasks", c.body, red...).want(t, c.status, c.code); strings.Contains(string(a.body), "s3cr3t") {
			t.Errorf("%s: tells a secret: %s", c.body, a.body)
		}
	}
	if len(b.imports.started) > 0 {
		t.Errorf("started %+v", b.imports.started)
	}
	// It is a task of its own, and no import that is called so.
	b.do("POST", "/v1/imports", `{"method":"clone","source":{"url":"glance://h/`+cloneID+`"}}`, red...).want(t, 400, errcode.BadRequest)
	b.do("POST", "/v1/imports", `{"source":{"url":"glance://h/`+cloneID+`"},"target":{"as_is":true}}`, red...).want(t, 400, errcode.BadRequest)
	// A server that reads from no image services clones none.
	b = newBench(t, func(d *Deps) { d.Defaults.Schemes = []string{"https"} })
	b.do("POST", "/v2/tasks", cloneOf(fromEast, "")).want(t, 400, errcode.SourceScheme)
}

func TestWhereCloneReads(t *testing.T) {
	b, red := newCloneBench(t), rolesHeader("red", "member")
	for source, want := range map[string]contract.SourceSpec{
		`"url":"https://image.east.example/"`: {URL: "glance://image.east.example/" + cloneID},
		`"region":"north"`:                    {URL: "glance://image.north.example:9292/v/" + cloneID},
		`"region":"south"`:                    {URL: "glance:///" + cloneID + "?interface=public&region=south", Credential: "south-cloud"},
		`"credential":"mine"`:                 {URL: "glance:///" + cloneID, Credential: "mine"},
	} {
		b.do("POST", "/v2/tasks", cloneOf(source, ""), red...).want(t, 201, "")
		if got := b.imports.started[len(b.imports.started)-1].Source; !cmp.Equal(got, want) {
			t.Errorf("%s reads %+v, want %+v", source, got, want)
		}
	}
}
