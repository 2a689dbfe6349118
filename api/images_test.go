package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// glanceMembers are those of every image object.
var glanceMembers = []string{"id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo",
	"os_hash_value", "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at",
	"tags", "min_ram", "min_disk", "self", "file", "schema"}

func TestCreateImage(t *testing.T) {
	b := newBench(t)
	a := b.do("POST", "/v2/images", `{"name":"n","disk_format":"vmdk","container_format":"bare","tags":["x"],"min_ram":64,"architecture":"x86_64","os_hidden":true}`).want(t, 201, "")
	var m map[string]any
	a.into(t, &m)
	for _, k := range glanceMembers {
		if _, ok := m[k]; !ok {
			t.Errorf("no member %q", k)
		}
	}
	id, _ := m["id"].(string)
	if a.Header.Get("Location") != "/v2/images/"+id || a.Header.Get("OpenStack-image-import-methods") != "web-download" {
		t.Errorf("headers %v", a.Header)
	}
	want := map[string]any{"status": "queued", "visibility": "shared", "architecture": "x86_64", "size": nil, "owner": "default",
		"checksum": nil, "self": "/v2/images/" + id, "created_at": "2026-01-31T12:00:01Z", "os_hidden": true, "min_ram": 64.0}
	for k, v := range want {
		if !cmp.Equal(m[k], v) {
			t.Errorf("%s is %v, want %v", k, m[k], v)
		}
	}
	var shown map[string]any
	b.do("GET", "/v2/images/"+id, "").want(t, 200, "").into(t, &shown)
	if diff := cmp.Diff(m, shown); diff != "" {
		t.Error(diff)
	}
	b.do("POST", "/v2/images", `{"id":"`+id+`"}`).want(t, 409, errcode.Conflict)
	b.do("GET", "/v2/images/nothing", "").want(t, 404, errcode.NotFound)
}

func TestCreateImageIsValidated(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		body   string
		status int
		code   errcode.Code
	}{
		{`{}`, 201, ""},
		{`{"name":null,"disk_format":null}`, 201, ""},
		{`{"name":7}`, 400, errcode.BadRequest},
		{`{"id":"x"}`, 400, errcode.BadRequest},
		{`{"id":"{11111111-2222-3333-4444-555555555555}"}`, 400, errcode.BadRequest},
		{`{"disk_format":"doc"}`, 400, errcode.BadRequest},
		{`{"visibility":"secret"}`, 400, errcode.BadRequest},
		{`{"protected":"yes"}`, 400, errcode.BadRequest},
		{`{"tags":"x"}`, 400, errcode.BadRequest},
		{`{"min_disk":-1}`, 400, errcode.BadRequest},
		{`{"min_disk":1.5}`, 400, errcode.BadRequest},
		{`{"free":7}`, 400, errcode.BadRequest},
		{`{"free":null}`, 400, errcode.BadRequest},
		{`{"` + strings.Repeat("k", 256) + `":"v"}`, 400, errcode.BadRequest},
		{`{"status":"active"}`, 403, errcode.Forbidden},
		{`{"size":1}`, 403, errcode.Forbidden},
		{`{"locations":[]}`, 403, errcode.Forbidden},
		{`{"os_glance_import_task":"x"}`, 403, errcode.Forbidden},
		{`{"owner":"blue"}`, 403, errcode.Forbidden},
		{`{"owner":"default"}`, 201, ""},
	} {
		b.do("POST", "/v2/images", c.body).want(t, c.status, c.code)
	}
}

func TestListImages(t *testing.T) {
	b := newBench(t)
	var ids []string
	for i := range 7 {
		var img wire.Image
		b.do("POST", "/v2/images", fmt.Sprintf(`{"name":"n%d","disk_format":"%s","container_format":"bare","tags":["t%d","all"],"even":"%v"}`,
			i, []string{"raw", "qcow2"}[i%2], i, i%2 == 0)).want(t, 201, "").into(t, &img)
		ids = append(ids, img.ID)
	}
	b.do("POST", "/v2/images", `{"name":"hidden","os_hidden":true}`).want(t, 201, "")
	b.do("POST", "/v2/images", `{"name":"theirs"}`, "X-Project-Id", "red").want(t, 201, "")
	b.do("POST", "/v2/images", `{"name":"community","visibility":"community"}`, "X-Project-Id", "red").want(t, 201, "")
	b.do("POST", "/v2/images", `{"name":"public","visibility":"public"}`, "X-Project-Id", "red").want(t, 201, "")

	for _, c := range []struct{ query, want string }{
		{"", "public n6 n5 n4 n3 n2 n1 n0"},
		{"limit=2", "public n6"},
		{"limit=0", ""},
		{"limit=5000", "public n6 n5 n4 n3 n2 n1 n0"},
		{"marker=" + ids[3], "n2 n1 n0"},
		{"marker=" + ids[3] + "&limit=1", "n2"},
		{"sort=name:asc", "n0 n1 n2 n3 n4 n5 n6 public"},
		{"sort=name:asc&limit=2&marker=" + ids[2], "n3 n4"},
		{"sort=disk_format:asc,name:desc", "public n5 n3 n1 n6 n4 n2 n0"},
		{"sort_key=name&sort_dir=asc", "n0 n1 n2 n3 n4 n5 n6 public"},
		{"sort_key=created_at&sort_dir=desc", "public n6 n5 n4 n3 n2 n1 n0"},
		{"sort_dir=asc", "n0 n1 n2 n3 n4 n5 n6 public"},
		{"name=n3", "n3"},
		{"name=in:n1,n5", "n5 n1"},
		{`name=in:"n1",n2`, "n2 n1"},
		{"id=" + ids[4], "n4"},
		{"disk_format=raw", "n6 n4 n2 n0"},
		{"tag=all&tag=t2", "n2"},
		{"even=true", "n6 n4 n2 n0"},
		{"status=active", ""},
		{"owner=red", "public"},
		{"visibility=shared", "n6 n5 n4 n3 n2 n1 n0"},
		{"visibility=community", "community"},
		{"visibility=all", "public community n6 n5 n4 n3 n2 n1 n0"},
		{"os_hidden=true", "hidden"},
		{"protected=true", ""},
		{"size_min=1", ""},
		{"min_disk_max=0&name=n1", "n1"},
		{"created_at=lt:2026-01-31T12:00:03Z", "n1 n0"},
		{"created_at=gte:2026-01-31T12:00:07Z&name=in:n5,n6", "n6"},
		{"created_at=2026-01-31T12:00:01Z", "n0"},
		{"created_at=gt:2026-01-31T12:00:05.5Z&created_at=lte:2026-01-31T12:00:07Z", "n6 n5"},
		{"created_at=neq:2026-01-31T12:00:01Z&name=in:n0,n1", "n1"},
		{"updated_at=eq:2026-01-31T13:00:01%2B01:00", "n0"},
		{"name=eq:n3", "n3"},
		{"name=ubuntu:24.04", ""},
		{"name=in:", ""},
		{"name=in", ""},
		{`name=in:"n1,n2",n3`, "n3"},
		{"status=in:queued,active&limit=1", "public"},
		{"id=in:" + ids[0] + "," + ids[6], "n6 n0"},
		{"min_disk=0&min_ram_max=0&name=n1", "n1"},
		{"size=0", ""},
		{"virtual_size_max=5", ""},
		{"checksum=&name=n2", "n2"},
		{"os_hash_value=abc", ""},
		{"os_hash_algo=sha512", ""},
		{"tag=all&tag=%20t2%20", "n2"},
		{"tag=ALL", ""},
		{"even=True", ""},
		{"name_min=1", ""},
		{"owner=", "public n6 n5 n4 n3 n2 n1 n0"},
		{"visibility=", "public n6 n5 n4 n3 n2 n1 n0"},
		{"sort=created_at:desc,name:asc&limit=1", "public"},
		{"sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc&name=in:n0,n1,n2", "n1 n2 n0"},
		{"sort=size,id&limit=0", ""},
	} {
		var list wire.ImageList
		b.do("GET", "/v2/images?"+strings.ReplaceAll(c.query, `"`, "%22"), "").want(t, 200, "").into(t, &list)
		var names []string
		for _, m := range list.Images {
			names = append(names, m.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.query, got, c.want)
		}
	}
	for _, q := range []string{"limit=-1", "limit=x", "marker=nothing", "sort=name:up", "sort=owner", "sort_key=name&sort=name",
		"visibility=secret", "protected=maybe", "size_min=big", "created_at=yesterday", "created_at=near:2026-01-31", "changes-since=2026-01-31",
		"sort=name:asc&marker=nothing", "member_status=perhaps", "name=neq:x", "status=gt:active", `name=in:%22a`, `name=in:a%22b`, `name=in:%22a%22b,c`,
		"sort=name:asc,", "sort=", "sort_key=name&sort_key=id&sort_key=size&sort_dir=asc&sort_dir=desc", "min_disk=x", "size=-1", "virtual_size_min=1.5", "created_at=",
		"id=in:" + strings.Repeat("x,", 1000) + "x", strings.Repeat("tag=x&", 129), "limit=99999999999999999999", "name=a%00b", "tag=%ff", "marker=%00", "x%00=y", "os_distro=%ed%a0%80"} {
		b.do("GET", "/v2/images?"+q, "").want(t, 400, errcode.BadRequest)
	}
}

// TestListsOfOthers asks with somebody else's images, and as an administrator.
func TestListsOfOthers(t *testing.T) {
	b := newBench(t)
	for _, visibility := range []string{"private", "shared", "community", "public"} {
		for _, owner := range []string{"red", "blue"} {
			b.do("POST", "/v2/images", fmt.Sprintf(`{"name":"%s-%s","visibility":"%s"}`, owner, visibility, visibility), of(owner, "admin")...).want(t, 201, "")
		}
	}
	ids := map[string]string{}
	var list wire.ImageList
	b.do("GET", "/v2/images?visibility=all", "", of("green", "admin")...).want(t, 200, "").into(t, &list)
	for _, m := range list.Images {
		ids[m.Name] = m.ID
	}
	const red = "red-public red-community red-shared red-private"
	for _, c := range []struct {
		who         []string
		query, want string
	}{
		{of("red"), "", "blue-public " + red},
		{of("red"), "owner=red", red},
		{of("red"), "owner=blue", "blue-public"},
		{of("red"), "owner=blue&visibility=private", ""},
		{of("red"), "visibility=community", "blue-community red-community"},
		{of("red"), "visibility=all&owner=blue", "blue-public blue-community"},
		{of("red"), "visibility=private", "red-private"},
		{of("green"), "", "blue-public red-public"},
		{of("green"), "visibility=shared", ""},
		{of("green", "admin"), "visibility=private", "blue-private red-private"},
		{of("green", "admin"), "owner=red", "red-public red-shared red-private"},
		{of("green", "admin"), "owner=red&visibility=all", red},
		{of("red"), "marker=" + ids["blue-public"], red},
		{of("red"), "marker=" + ids["blue-community"], red[len("red-public "):]},
	} {
		if got := b.names(c.query, c.who...); got != c.want {
			t.Errorf("%v %q: got %q, want %q", c.who, c.query, got, c.want)
		}
	}
	// What the caller does not see marks nothing.
	b.do("GET", "/v2/images?marker="+ids["blue-private"], "", of("red")...).want(t, 400, errcode.BadRequest)
}

// TestPages follows next over all pages, in both ways of listing.
func TestPages(t *testing.T) {
	b := newBench(t)
	for i := range 11 {
		b.do("POST", "/v2/images", fmt.Sprintf(`{"name":"n%02d"}`, i)).want(t, 201, "")
	}
	for _, start := range []string{"/v2/images?limit=3", "/v2/images?limit=3&sort=name:asc"} {
		seen, pages := map[string]bool{}, 0
		for next := start; next != ""; pages++ {
			var list wire.ImageList
			b.do("GET", next, "").want(t, 200, "").into(t, &list)
			for _, m := range list.Images {
				if seen[m.ID] {
					t.Errorf("%s is listed twice", m.Name)
				}
				seen[m.ID] = true
			}
			if u, err := url.Parse(list.First); err != nil || u.Query().Has("marker") {
				t.Errorf("first is %q", list.First)
			}
			next = list.Next
		}
		if len(seen) != 11 || pages != 4 {
			t.Errorf("%s: %d images on %d pages", start, len(seen), pages)
		}
	}
}

func TestDeleteImage(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	b.finish(s, []byte("data"))
	b.do("DELETE", "/v2/images/"+s.ImageID, "").want(t, 204, "")
	if len(b.blobs.data) != 0 {
		t.Errorf("bytes are left: %v", b.blobs.data)
	}
	b.do("GET", "/v2/images/"+s.ImageID, "").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/images/"+s.ImageID, "").want(t, 404, errcode.NotFound)

	busy := b.submit(someImport)
	b.do("DELETE", "/v2/images/"+busy.ImageID, "").want(t, 204, "")
	if !cmp.Equal(b.imports.cancelled, []string{busy.WorkflowID}) {
		t.Errorf("cancelled %v", b.imports.cancelled)
	}
	b.imports.cancelErr = errcode.New(errcode.NotFound, "no workflow")
	unstarted := b.submit(someImport)
	b.do("DELETE", "/v2/images/"+unstarted.ImageID, "").want(t, 204, "")
	var task wire.Task
	b.do("GET", "/v1/tasks/"+unstarted.TaskID, "").want(t, 200, "").into(t, &task)
	if task.Error == nil || task.Error.Code != errcode.TaskCancelled {
		t.Errorf("the import of a deleted image that was never started is %s %+v", task.Status, task.Error)
	}
	kept := b.submit(`{"source":{"url":"http://h/i"},"image":{"protected":true}}`)
	b.do("DELETE", "/v2/images/"+kept.ImageID, "").want(t, 403, errcode.Forbidden)
	if len(b.imports.cancelled) != 2 {
		t.Error("the import of a protected image was cancelled")
	}
}

const download = `{"method":{"name":"web-download","uri":"https://example.org/disk.vmdk"}}`

func (b *bench) newImage(body string) string {
	b.t.Helper()
	var img wire.Image
	b.do("POST", "/v2/images", body).want(b.t, 201, "").into(b.t, &img)
	return "/v2/images/" + img.ID
}

const someImage = `{"name":"n","disk_format":"vmdk","container_format":"bare","architecture":"x86_64"}`

func TestImportCall(t *testing.T) {
	b := newBench(t)
	image := b.newImage(someImage)
	for _, c := range []struct {
		name, body string
		status     int
		code       errcode.Code
	}{
		{"no body", ``, 400, errcode.BadRequest},
		{"no method", `{}`, 400, errcode.BadRequest},
		{"no name", `{"method":{"uri":"http://h/i"}}`, 400, errcode.BadRequest},
		{"not enabled", `{"method":{"name":"glance-direct"}}`, 400, errcode.BadRequest},
		{"unknown", `{"method":{"name":"teleport"}}`, 400, errcode.BadRequest},
		{"no uri", `{"method":{"name":"web-download"}}`, 400, errcode.BadRequest},
		{"flag", `{"method":{"name":"web-download","uri":"http://h/i"},"all_stores":"yes"}`, 400, errcode.BadRequest},
		{"file", `{"method":{"name":"web-download","uri":"file:///etc/passwd"}}`, 400, errcode.SourceScheme},
		{"path", `{"method":{"name":"web-download","uri":"/etc/passwd"}}`, 400, errcode.SourceScheme},
		{"password", `{"method":{"name":"web-download","uri":"http://u:p@h/i"}}`, 400, errcode.SourceURLInvalid},
		{"store", `{"method":{"name":"web-download","uri":"http://h/i"},"stores":["other"]}`, 409, errcode.StoreUnknown},
		{"two stores", `{"method":{"name":"web-download","uri":"http://h/i"},"stores":["local","other"]}`, 409, errcode.StoreUnknown},
		{"all stores and some", `{"method":{"name":"web-download","uri":"http://h/i"},"stores":["local"],"all_stores":true}`, 400, errcode.BadRequest},
		{"a store twice", `{"method":{"name":"web-download","uri":"http://h/i"},"stores":["local","local"]}`, 400, errcode.BadRequest},
		{"copy of what has no bytes", `{"method":{"name":"copy-image"},"stores":["local"]}`, 409, errcode.Conflict},
		{"copy to nowhere", `{"method":{"name":"copy-image"}}`, 400, errcode.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) { b.do("POST", image+"/import", c.body).want(t, c.status, c.code) })
	}
	b.do("POST", "/v2/images/nothing/import", download).want(t, 404, errcode.NotFound)
	b.do("POST", b.newImage(`{"container_format":"bare"}`)+"/import", download).want(t, 409, errcode.Conflict)
	b.do("POST", b.newImage(`{"disk_format":"raw"}`)+"/import", download).want(t, 409, errcode.Conflict)
	if len(b.imports.started) != 0 {
		t.Fatalf("%d imports were started", len(b.imports.started))
	}

	a := b.do("POST", image+"/import", download).want(t, 202, "")
	if len(a.body) != 0 || a.Header.Get("X-Ingest-Task-Id") == "" || a.Header.Get("X-Ingest-Notice") != "" {
		t.Errorf("headers %v, body %q", a.Header, a.body)
	}
	got := b.imports.started[0]
	want := contract.SourceSpec{URL: "https://example.org/disk.vmdk", Format: "vmdk"}
	if !cmp.Equal(got.Source, want) || "/v2/images/"+got.ImageID != image || got.Image.Properties["architecture"] != "x86_64" || got.TaskID != a.Header.Get("X-Ingest-Task-Id") {
		t.Errorf("started %+v", got)
	}
}

func TestImportCallRepeated(t *testing.T) {
	b := newBench(t)
	image := b.newImage(someImage)
	task := b.do("POST", image+"/import", download).want(t, 202, "").Header.Get("X-Ingest-Task-Id")
	if again := b.do("POST", image+"/import", download).want(t, 202, "").Header.Get("X-Ingest-Task-Id"); again != task {
		t.Errorf("repeating made task %s beside %s", again, task)
	}
	other := strings.Replace(download, "disk", "other", 1)
	b.do("POST", image+"/import", other).want(t, 409, errcode.Conflict)
	b.finish(wire.Submitted{TaskID: task, ImageID: strings.TrimPrefix(image, "/v2/images/")}, []byte("data"))
	if again := b.do("POST", image+"/import", download).want(t, 202, "").Header.Get("X-Ingest-Task-Id"); again != task {
		t.Errorf("repeating after the end made task %s beside %s", again, task)
	}
	b.do("POST", image+"/import", other).want(t, 409, errcode.Conflict)

	// With a key, another request is told apart.
	keyed := b.newImage(someImage)
	task = b.do("POST", keyed+"/import", download, "Idempotency-Key", "k").want(t, 202, "").Header.Get("X-Ingest-Task-Id")
	b.finish(wire.Submitted{TaskID: task, ImageID: strings.TrimPrefix(keyed, "/v2/images/")}, []byte("data"))
	if again := b.do("POST", keyed+"/import", download, "Idempotency-Key", "k").want(t, 202, "").Header.Get("X-Ingest-Task-Id"); again != task {
		t.Errorf("repeating made task %s beside %s", again, task)
	}
	b.do("POST", keyed+"/import", other, "Idempotency-Key", "k").want(t, 409, errcode.IdempotencyReuse)
}

func TestImportCallWithoutWorkflowService(t *testing.T) {
	b := newBench(t)
	b.imports.startErr = errcode.New(errcode.WorkflowService, "away")
	if a := b.do("POST", b.newImage(someImage)+"/import", download).want(t, 202, ""); a.Header.Get("X-Ingest-Notice") == "" {
		t.Error("nothing says that the import is not started yet")
	}
}

func TestImageJSON(t *testing.T) {
	size := int64(5)
	in := wire.Image{ID: "i", Name: "n", Status: "active", Size: &size, Tags: []string{"a"}, Properties: map[string]string{"p": "v"}, ContentDigest: "d", Stores: "local"}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out wire.Image
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
	// A property never hides a member.
	in.Properties["status"] = "deleted"
	if raw, err = json.Marshal(in); err != nil || !strings.Contains(string(raw), `"status":"active"`) || strings.Contains(string(raw), `"deleted"`) {
		t.Errorf("%s, %v", raw, err)
	}
	if err := json.Unmarshal([]byte(`{"size":"big"}`), &out); err == nil {
		t.Error("a size that is no number was read")
	}
}
