package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// patch sends a patch of the newer dialect.
func (b *bench) patch(id, body string, header ...string) answer {
	b.t.Helper()
	return b.do("PATCH", "/v2/images/"+id, body, append([]string{"Content-Type", patchNew}, header...)...)
}

// imageID makes an image and returns its id.
func (b *bench) imageID(body string, header ...string) string {
	b.t.Helper()
	var m wire.Image
	b.do("POST", "/v2/images", body, header...).want(b.t, 201, "").into(b.t, &m)
	return m.ID
}

// anImage returns an image as it is shown.
func (b *bench) anImage(id string, header ...string) map[string]any {
	b.t.Helper()
	var m map[string]any
	b.do("GET", "/v2/images/"+id, "", header...).want(b.t, 200, "").into(b.t, &m)
	return m
}

func TestPatch(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{"name":"old","kernel_id":"11111111-2222-4333-8444-555555555555","a/b":"1","t~c":"2","gone":"x"}`)
	a := b.patch(id, `[
		{"op":"replace","path":"/name","value":"new"},
		{"op":"add","path":"/disk_format","value":"raw"},
		{"op":"replace","path":"/container_format","value":"bare"},
		{"op":"replace","path":"/min_ram","value":64.0},
		{"op":"add","path":"/min_disk","value":2},
		{"op":"replace","path":"/protected","value":true},
		{"op":"replace","path":"/os_hidden","value":true},
		{"op":"replace","path":"/visibility","value":"private"},
		{"op":"replace","path":"/tags","value":["b","a","b"]},
		{"op":"add","path":"/fresh","value":"f"},
		{"op":"add","path":"/kernel_id","value":"66666666-2222-4333-8444-555555555555"},
		{"op":"replace","path":"/a~1b","value":"one"},
		{"op":"remove","path":"/t~0c"},
		{"op":"remove","path":"/gone"},
		{"op":"add","path":"/gone","value":"back"}
	]`).want(t, 200, "")
	var got map[string]any
	a.into(t, &got)
	want := map[string]any{"id": id, "status": "queued", "name": "new", "disk_format": "raw", "container_format": "bare", "min_ram": 64.0, "min_disk": 2.0,
		"protected": true, "os_hidden": true, "visibility": "private", "fresh": "f", "kernel_id": "66666666-2222-4333-8444-555555555555", "a/b": "one", "gone": "back"}
	for k, v := range want {
		if !cmp.Equal(got[k], v) {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if _, there := got["t~c"]; there {
		t.Error("t~c was not removed")
	}
	tags := got["tags"].([]any)
	if len(tags) != 2 || !slices.Contains(tags, any("a")) {
		t.Errorf("tags are %v", tags)
	}
	if got["updated_at"] == got["created_at"] {
		t.Error("updated_at stayed")
	}
	if diff := cmp.Diff(got, b.anImage(id)); diff != "" {
		t.Error(diff)
	}
	b.patch(id, `[{"op":"replace","path":"/name","value":null}]`).want(t, 200, "")
	if b.anImage(id)["name"] != nil {
		t.Error("the name was not taken away")
	}
	b.patch(id, `[]`).want(t, 200, "")
}

func TestPatchOfTheOlderDialect(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{"a":"1"}`)
	old := func(body string) answer {
		return b.do("PATCH", "/v2/images/"+id, body, "Content-Type", patchOld+"; charset=utf-8")
	}
	old(`[{"replace":"/name","value":"n"},{"add":"/b","value":"2"},{"remove":"/a"}]`).want(t, 200, "")
	m := b.anImage(id)
	if _, there := m["a"]; there || m["name"] != "n" || m["b"] != "2" {
		t.Errorf("%v", m)
	}
	for body, c := range map[string]struct {
		status int
		code   errcode.Code
	}{
		`[{"add":"/b","value":"3"}]`:                          {409, errcode.Conflict},
		`[{"add":"/name","value":"3"}]`:                       {409, errcode.Conflict},
		`[{"remove":"/a"}]`:                                   {409, errcode.Conflict},
		`[{"replace":"/a","value":"3"}]`:                      {409, errcode.Conflict},
		`[{"replace":"/b","add":"/c","value":"3"}]`:           {400, errcode.BadRequest},
		`[{"op":"replace","path":"/b","value":"3"}]`:          {400, errcode.BadRequest},
		`[{"replace":5,"value":"3"}]`:                         {400, errcode.BadRequest},
		`[{"replace":"/b"}]`:                                  {400, errcode.BadRequest},
		`[{"replace":"/id","value":"3"}]`:                     {403, errcode.Forbidden},
		`[{"replace":"/status","value":"active"}]`:            {403, errcode.Forbidden},
		`[{"remove":"/name"}]`:                                {403, errcode.Forbidden},
		`[{"add":"/locations/-","value":{"url":"u"}}]`:        {403, errcode.Forbidden},
		`[{"replace":"/locations","value":[]}]`:               {403, errcode.Forbidden},
		`[{"add":"/c","value":"1"},{"add":"/c","value":"1"}]`: {409, errcode.Conflict},
	} {
		old(body).want(t, c.status, c.code)
	}
	if _, there := b.anImage(id)["c"]; there {
		t.Error("half of a patch was made")
	}
}

func TestPatchIsRefused(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{"a":"1"}`)
	one := func(op, path, value string) string {
		return fmt.Sprintf(`[{"op":"add","path":"/half","value":"x"},{"op":%q,"path":%q,"value":%s}]`, op, path, value)
	}
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		body   string
		status int
	}{
		{one("replace", "/missing", `"v"`), 409}, {one("remove", "/missing", `"v"`), 409},
		{one("remove", "/name", `""`), 403}, {one("remove", "/tags", `""`), 403}, {one("remove", "/owner", `""`), 403},
		{one("replace", "/status", `"active"`), 403}, {one("add", "/checksum", `"c"`), 403}, {one("add", "/size", `1`), 403},
		{one("add", "/virtual_size", `1`), 403}, {one("replace", "/id", `"i"`), 403}, {one("add", "/created_at", `"t"`), 403},
		{one("add", "/updated_at", `"t"`), 403}, {one("add", "/direct_url", `"t"`), 403}, {one("add", "/self", `"t"`), 403},
		{one("add", "/file", `"t"`), 403}, {one("add", "/schema", `"t"`), 403}, {one("add", "/os_hash_algo", `"t"`), 403},
		{one("add", "/os_hash_value", `"t"`), 403}, {one("add", "/location", `"t"`), 403}, {one("add", "/deleted", `"t"`), 403},
		{one("add", "/deleted_at", `"t"`), 403}, {one("add", "/os_glance_failed_import", `"t"`), 403}, {one("remove", "/os_glance_x", `"t"`), 403},
		{one("add", "/os_glance", `"t"`), 403}, {one("replace", "/owner", `"else"`), 403}, {one("add", "/owner", `"else"`), 403},
		{one("add", "/"+long, `"v"`), 400}, {one("add", "/n", `1`), 400}, {one("add", "/n", `null`), 400}, {one("add", "/n", `{}`), 400},
		{one("add", "/n", `"\u0000"`), 400}, {one("add", "/n", `"`+strings.Repeat("v", maxValue+1)+`"`), 400},
		{one("replace", "/name", `"`+long+`"`), 400}, {one("replace", "/name", `5`), 400}, {one("replace", "/visibility", `"all"`), 400},
		{one("replace", "/visibility", `null`), 400}, {one("replace", "/protected", `"true"`), 400}, {one("replace", "/os_hidden", `null`), 400},
		{one("replace", "/min_ram", `-1`), 400}, {one("replace", "/min_ram", `1.5`), 400}, {one("replace", "/min_disk", `"1"`), 400},
		{one("replace", "/min_disk", `99999999999999999999`), 400}, {one("replace", "/min_disk", `1e400`), 400}, {one("replace", "/disk_format", `"floppy"`), 400},
		{one("replace", "/container_format", `"box"`), 400}, {one("replace", "/tags", `"a"`), 400}, {one("replace", "/tags", `[1]`), 400},
		{one("replace", "/tags", `null`), 400}, {one("replace", "/tags", `["`+long+`"]`), 400}, {one("replace", "/tags", manyTags(129)), 413},
		{one("add", "/tags/-", `"a"`), 400}, {one("add", "/a/b", `"a"`), 400}, {one("add", "a", `"a"`), 400}, {one("add", "", `"a"`), 400},
		{one("add", "/", `"a"`), 400}, {one("add", "//a", `"a"`), 400}, {one("add", "/a/", `"a"`), 400}, {one("add", "/a~", `"a"`), 400},
		{one("add", "/a~2", `"a"`), 400}, {one("add", "/a~~0", `"a"`), 400}, {one("move", "/a", `"a"`), 400}, {one("test", "/a", `"1"`), 400},
		{one("replace", "/locations/1", `{}`), 400}, {one("add", "/locations", `{}`), 400}, {one("remove", "/locations/0", `{}`), 403},
		{one("replace", "/locations", `[{"url":"file:///etc/passwd","metadata":{}}]`), 403},
		{`[{"op":"add","path":"/n"}]`, 400}, {`[{"op":"add","value":"v"}]`, 400}, {`[{"path":"/n","value":"v"}]`, 400}, {`[{"op":1,"path":"/n","value":"v"}]`, 400},
		{`[{"op":"add","path":null,"value":"v"}]`, 400}, {`[1]`, 400}, {`["a"]`, 400}, {`{}`, 400}, {`null`, 400}, {`"a"`, 400}, {``, 400}, {`[`, 400}, {`[] []`, 400},
		{strings.Repeat("[", 20000), 400},
	} {
		a := b.patch(id, c.body)
		if a.StatusCode != c.status {
			t.Errorf("%.200s: got %d, want %d: %s", c.body, a.StatusCode, c.status, a.body)
			continue
		}
		var e wire.ErrorBody
		a.into(t, &e)
		if e.Error.Code == "" || e.Error.Remedy == "" {
			t.Errorf("%.200s: the refusal says too little: %s", c.body, a.body)
		}
	}
	m := b.anImage(id)
	if _, there := m["half"]; there || m["a"] != "1" || m["updated_at"] != m["created_at"] {
		t.Errorf("a refused patch left something: %v", m)
	}
	b.patch("11111111-2222-3333-4444-555555555555", `[]`).want(t, 404, errcode.NotFound)
	for _, kind := range []string{"", "application/json", "application/json-patch+json", "application/openstack-images-v2.2-json-patch", "x"} {
		a := b.do("PATCH", "/v2/images/"+id, `[]`, "Content-Type", kind).want(t, 415, errcode.MediaType)
		if got := a.Header.Get("Accept-Patch"); got != patchOld+", "+patchNew {
			t.Errorf("Accept-Patch is %q", got)
		}
	}
}

// manyTags writes a list of n tags.
func manyTags(n int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprint("t", i)
	}
	raw, _ := json.Marshal(tags)
	return string(raw)
}

func TestPatchKeepsQuotas(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{}`)
	ops := func(n int, from int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"op":"add","path":"/p%d","value":"v"}`, from+i))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	b.patch(id, ops(maxProperties, 0)).want(t, 200, "")
	b.patch(id, ops(1, 500)).want(t, 413, errcode.BadRequest)
	b.patch(id, `[{"op":"add","path":"/p500","value":"v"},{"op":"remove","path":"/p0"}]`).want(t, 200, "")
	b.patch(id, `[{"op":"replace","path":"/tags","value":`+manyTags(maxTags)+`}]`).want(t, 200, "")
	// An import may have found more; whoever takes some away is let.
	if _, err := b.cat.UpdateImage(t.Context(), id, func(m *metadata.Image) error {
		for i := range 10 {
			m.Properties[fmt.Sprint("found", i)] = "x"
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.patch(id, `[{"op":"remove","path":"/found0"}]`).want(t, 200, "")
	b.patch(id, `[{"op":"replace","path":"/found1","value":"y"}]`).want(t, 200, "")
	b.patch(id, ops(1, 600)).want(t, 413, errcode.BadRequest)
}

func TestPatchOfFormatsBelongsToTheTimeBeforeBytes(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	format := `[{"op":"replace","path":"/disk_format","value":"raw"}]`
	b.patch(s.ImageID, format).want(t, 200, "")
	b.finish(s, []byte("bytes"))
	b.patch(s.ImageID, format).want(t, 403, errcode.Forbidden)
	b.patch(s.ImageID, `[{"op":"replace","path":"/container_format","value":"bare"}]`).want(t, 403, errcode.Forbidden)
	b.patch(s.ImageID, `[{"op":"replace","path":"/name","value":"later"}]`).want(t, 200, "")
}

func TestPatchOfAdministrators(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Identity = proven{} })
	red, admin := rolesHeader("red", "member"), rolesHeader("ops", "admin")
	id := b.imageID(`{}`, red...)
	public := `[{"op":"replace","path":"/visibility","value":"public"}]`
	b.patch(id, public, red...).want(t, 403, errcode.Forbidden)
	b.patch(id, public, admin...).want(t, 200, "")
	b.patch(id, `[{"op":"replace","path":"/owner","value":"blue"}]`, admin...).want(t, 200, "")
	if got := b.anImage(id, admin...)["owner"]; got != "blue" {
		t.Errorf("owner is %v", got)
	}
	b.patch(id, `[{"op":"replace","path":"/owner","value":null}]`, admin...).want(t, 400, errcode.BadRequest)
	b.patch(id, `[{"op":"replace","path":"/name","value":"n"}]`, red...).want(t, 403, errcode.Forbidden)
}

const guardedProperties = `
[^locked$]
create = admin
read = admin,member
update = admin
delete = admin
[^secret$]
create = admin
read = admin
update = admin
delete = admin
[.*]
create = admin,member
read = admin,member
update = admin,member
delete = admin,member
`

func TestPatchOfProtectedProperties(t *testing.T) {
	p, problems := access.ParseProtections([]byte(guardedProperties), access.ByRoles)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b := newBench(t, func(d *Deps) {
		d.Identity = proven{}
		d.Protections = func() *access.Protections { return p }
	})
	red, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	id := b.imageID(`{"locked":"1","secret":"2","free":"3"}`, admin...)
	for _, op := range []string{
		`{"op":"replace","path":"/locked","value":"x"}`, `{"op":"replace","path":"/locked","value":"1"}`,
		`{"op":"remove","path":"/locked"}`, `{"op":"add","path":"/secret","value":"x"}`,
	} {
		b.patch(id, "["+op+"]", red...).want(t, 403, errcode.Forbidden)
	}
	for _, op := range []string{`{"op":"replace","path":"/secret","value":"x"}`, `{"op":"remove","path":"/secret"}`} {
		b.patch(id, "["+op+"]", red...).want(t, 409, errcode.Conflict)
	}
	a := b.patch(id, `[{"op":"replace","path":"/free","value":"y"}]`, red...).want(t, 200, "")
	if strings.Contains(string(a.body), "secret") {
		t.Errorf("shown: %s", a.body)
	}
	if m := b.anImage(id, admin...); m["secret"] != "2" || m["locked"] != "1" || m["free"] != "y" {
		t.Errorf("%v", m)
	}
}

// TestPatchesLoseNothing changes one image from many sides, while an import works on it.
func TestPatchesLoseNothing(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	const n = 60
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			body := fmt.Sprintf(`[{"op":"add","path":"/p%d","value":"%d"},{"op":"replace","path":"/min_ram","value":%d}]`, i, i, i)
			b.patch(s.ImageID, body).want(t, 200, "")
		})
		if i%6 == 0 {
			all.Go(func() { b.do("PUT", fmt.Sprintf("/v2/images/%s/tags/t%d", s.ImageID, i), "").want(t, 204, "") })
		}
	}
	all.Go(func() { b.finish(s, []byte("bytes")) })
	all.Wait()
	m := b.anImage(s.ImageID)
	for i := range n {
		if m[fmt.Sprint("p", i)] != fmt.Sprint(i) {
			t.Errorf("p%d is lost: %v", i, m[fmt.Sprint("p", i)])
		}
	}
	if tags := m["tags"].([]any); len(tags) != n/6 {
		t.Errorf("tags %v", tags)
	}
	if m["status"] != "active" || m["size"] != 5.0 {
		t.Errorf("the import is lost: %v", m)
	}
}

func TestDeactivate(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Identity = proven{} })
	red, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	s := b.submit(someImport, red...)
	off, on := "/v2/images/"+s.ImageID+"/actions/deactivate", "/v2/images/"+s.ImageID+"/actions/reactivate"
	b.do("POST", off, "", red...).want(t, 403, errcode.Forbidden)
	b.do("POST", on, "", red...).want(t, 403, errcode.Forbidden)
	b.finish(s, []byte("bytes"))
	b.do("POST", on, "", red...).want(t, 204, "")
	for range 2 {
		b.do("POST", off, "", red...).want(t, 204, "")
	}
	if got := b.anImage(s.ImageID, red...)["status"]; got != "deactivated" {
		t.Errorf("status is %v", got)
	}
	b.do("GET", "/v2/images/"+s.ImageID+"/file", "", red...).want(t, 403, errcode.Forbidden)
	b.do("GET", "/v2/images/"+s.ImageID+"/file", "", admin...).want(t, 200, "")
	for range 2 {
		b.do("POST", on, "", red...).want(t, 204, "")
	}
	b.do("GET", "/v2/images/"+s.ImageID+"/file", "", red...).want(t, 200, "")
}
