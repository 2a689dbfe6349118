package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestVersions(t *testing.T) {
	b := newBench(t)
	for path, status := range map[string]int{"/": 300, "/v2": 300, "/v2/": 300, "/v3/images": 300, "/v2.0/": 300, "/versions": 200} {
		var body struct{ Versions []version }
		b.do("GET", path, "").want(t, status, "").into(t, &body)
		if len(body.Versions) == 0 || body.Versions[0].ID != "v2.15" || body.Versions[0].Status != "CURRENT" ||
			body.Versions[0].Links[0].Href != "http://example.com/v2/" {
			t.Errorf("%s: %+v", path, body)
		}
	}
	for _, path := range []string{"/v2/nothing", "/v1/nothing", "/favicon.ico", "/v"} {
		b.do("GET", path, "").want(t, 404, errcode.NotFound)
	}
}

func TestMethods(t *testing.T) {
	b := newBench(t)
	id := "11111111-2222-3333-4444-555555555555"
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/v2/tasks/" + id, "GET, HEAD"},
		{"PATCH", "/v2/tasks", "GET, HEAD, POST"},
		{"PUT", "/v2/images", "GET, HEAD, POST"},
		{"POST", "/v2/images/" + id, "DELETE, GET, HEAD, PATCH"},
		{"GET", "/v2/images/" + id + "/import", "POST"},
		{"GET", "/v1/imports", "POST"},
		{"GET", "/v1/tasks/" + id + "/cancel", "POST"},
		{"POST", "/versions", "GET, HEAD"},
	} {
		a := b.do(c.method, c.path, "").want(t, 405, errcode.MethodNotAllowed)
		if got := a.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow is %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

func TestServerAndHealth(t *testing.T) {
	b := newBench(t)
	var s wire.Server
	b.do("GET", "/v1/server", "").want(t, 200, "").into(t, &s)
	if s.Version != "1.2.3" || s.OutputFormat != "qcow2" || len(s.Targets) < 2 || s.Targets[1].Name != "qcow2" || s.Targets[1].Options[0].Name != "compression" || len(s.Presets) == 0 || s.Stores[0] != "local" {
		t.Errorf("%+v", s)
	}
	if !slices.Equal(s.Checksums, []string{"sha256", "sha512"}) || s.Keyrings == nil || len(s.Keyrings) > 0 {
		t.Errorf("takes %q, keyrings %q", s.Checksums, s.Keyrings)
	}
	trusting := newBench(t, func(d *Deps) { d.Defaults.Keyrings, d.Defaults.AllowMD5 = []string{"debian"}, true })
	trusting.do("GET", "/v1/server", "").want(t, 200, "").into(t, &s)
	if !slices.Equal(s.Checksums, []string{"sha256", "sha512", "md5"}) || !slices.Equal(s.Keyrings, []string{"debian"}) {
		t.Errorf("takes %q, keyrings %q", s.Checksums, s.Keyrings)
	}
	b.do("GET", "/v1/healthz", "").want(t, 200, "")
	var info map[string]map[string]any
	b.do("GET", "/v2/info/import", "").want(t, 200, "").into(t, &info)
	if info["import-methods"]["type"] != "array" {
		t.Errorf("%v", info)
	}
}

// closed is a database that does not answer.
type closed struct{}

func (closed) InTx(context.Context, func(metadata.Tx) error) error {
	return errcode.New(errcode.CatalogueBusy, "the database does not answer")
}
func (closed) Close() error { return nil }

func TestHealthWithoutCatalogue(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Catalogue = metadata.New(closed{}) })
	b.do("GET", "/v1/healthz", "").want(t, 503, errcode.CatalogueBusy)
	a := b.do("POST", "/v1/imports", someImport).want(t, 503, errcode.CatalogueBusy)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if len(b.imports.started) != 0 {
		t.Error("an import was started that the catalogue had not accepted")
	}
}

func TestRequestID(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"X-Request-Id", "X-Openstack-Request-Id"} {
		a := b.do("GET", "/versions", "", name, "req-mine.1")
		if a.Header.Get("X-Openstack-Request-Id") != "req-mine.1" || a.Header.Get("X-Request-Id") != "req-mine.1" {
			t.Errorf("%s was not taken over: %v", name, a.Header)
		}
	}
	for _, bad := range []string{"", "with space", strings.Repeat("x", 65), "<script>"} {
		got := b.do("GET", "/versions", "", "X-Request-Id", bad).Header.Get("X-Openstack-Request-Id")
		if !strings.HasPrefix(got, "req-") || len(got) != 40 {
			t.Errorf("%q: got %q", bad, got)
		}
	}
	s := b.submit(someImport, "X-Request-Id", "req-7")
	task, err := b.cat.Task(context.Background(), s.TaskID)
	if err != nil || task.RequestID != "req-7" {
		t.Errorf("the task's request id is %q, %v", task.RequestID, err)
	}
}

func TestForeignPages(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Hosts = []string{"localhost", "127.0.0.1", "::1"} })
	for _, host := range []string{"localhost", "LOCALHOST:9292", "127.0.0.1:9292", "[::1]:9292", "[::1]"} {
		b.do("GET", "http://"+host+"/versions", "").want(t, 200, "")
	}
	b.do("GET", "http://evil.example:9292/v2/images", "").want(t, 403, errcode.Forbidden)
	b.do("POST", "http://localhost/v1/imports", someImport, "Sec-Fetch-Site", "cross-site").want(t, 403, errcode.Forbidden)
	b.do("POST", "http://localhost/v1/imports", someImport, "Origin", "https://evil.example").want(t, 403, errcode.Forbidden)
	b.do("POST", "http://localhost/v1/imports", someImport, "Sec-Fetch-Site", "same-origin").want(t, 202, "")
}

func TestProjects(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport, "X-Project-Id", "red")
	for _, path := range []string{"/v2/tasks/", "/v1/tasks/"} {
		b.do("GET", path+s.TaskID, "", "X-Project-Id", "red").want(t, 200, "")
		b.do("GET", path+s.TaskID, "", "X-Project-Id", "blue").want(t, 404, errcode.NotFound)
		b.do("GET", path+s.TaskID, "").want(t, 404, errcode.NotFound)
	}
	b.do("GET", "/v2/images/"+s.ImageID, "", "X-Project-Id", "blue").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/images/"+s.ImageID, "", "X-Project-Id", "blue").want(t, 404, errcode.NotFound)
	b.do("POST", "/v1/tasks/"+s.TaskID+"/cancel", "", "X-Project-Id", "blue").want(t, 404, errcode.NotFound)
	b.do("GET", "/versions", "", "X-Project-Id", "a/b").want(t, 400, errcode.BadRequest)
	b.do("GET", "/versions", "", "X-Project-Id", strings.Repeat("p", 64)).want(t, 200, "")
	b.do("GET", "/versions", "", "X-Project-Id", strings.Repeat("p", 65)).want(t, 400, errcode.BadRequest)

	public := b.submit(`{"source":{"url":"http://h/i"},"image":{"visibility":"public"}}`, "X-Project-Id", "red")
	b.do("GET", "/v2/images/"+public.ImageID, "", "X-Project-Id", "blue").want(t, 200, "")
	b.do("DELETE", "/v2/images/"+public.ImageID, "", "X-Project-Id", "blue").want(t, 403, errcode.Forbidden)
	b.do("POST", "/v2/images/"+public.ImageID+"/import", `{}`, "X-Project-Id", "blue").want(t, 403, errcode.Forbidden)
}

func TestBodies(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"/v1/imports", "/v2/images"} {
		for _, c := range []struct {
			name, body string
			status     int
		}{
			{"empty", "", 400},
			{"cut", `{"name":`, 400},
			{"no JSON", `name=x`, 400},
			{"two values", `{} {}`, 400},
			{"array", `[]`, 400},
			{"too large", `{"name":"` + strings.Repeat("x", MaxBody) + `"}`, 413},
			{"deep", strings.Repeat(`{"a":`, 20000), 400},
		} {
			t.Run(path+" "+c.name, func(t *testing.T) {
				b.do("POST", path, c.body).want(t, c.status, errcode.BadRequest)
			})
		}
	}
}

// panics is a catalogue's database with a bug.
type panics struct{ closed }

func (panics) InTx(context.Context, func(metadata.Tx) error) error { panic("a secret detail") }

func TestPanicIsAnswered(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Catalogue = metadata.New(panics{}) })
	a := b.do("GET", "/v1/healthz", "").want(t, 500, errcode.Internal)
	if strings.Contains(string(a.body), "secret") {
		t.Errorf("the panic's text is shown: %s", a.body)
	}
}

func TestErrorShape(t *testing.T) {
	b := newBench(t)
	a := b.do("POST", "/v1/imports", `{"source":{"url":"http://h/i","checksum":"md5:00"}}`).want(t, 400, errcode.ChecksumInvalid)
	var got map[string]any
	a.into(t, &got)
	detail := got["error"].(map[string]any)
	evidence := detail["evidence"].(map[string]any)
	if got["code"] != "400 Bad Request" || got["title"] != "Bad Request" || evidence["field"] != "source.checksum" || evidence["value"] != "md5:00" {
		raw, _ := json.Marshal(got)
		t.Errorf("got %s", raw)
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/json" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("content type %q", ct)
	}
	if a := b.do(http.MethodHead, "/v2/images", ""); a.StatusCode != 200 {
		t.Errorf("HEAD got %d", a.StatusCode)
	}
}
