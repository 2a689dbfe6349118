package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"ingest/api/wire"
)

// fuzzBody posts any body: the server never fails, what it refuses it explains,
// and what it takes it shows again as it was.
func fuzzBody(f *testing.F, path string, ok int, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	shared := newBench(f) // one for all: making a database takes longer than a request
	f.Fuzz(func(t *testing.T, body string) {
		b := *shared
		b.t, b.imports.started = t, nil
		a := b.do(http.MethodPost, path, body)
		switch a.StatusCode {
		case http.StatusOK: // asked for before, under an id of its own
			if ok != http.StatusAccepted {
				t.Fatalf("got 200 %s", a.body)
			}
		case ok:
			var out struct {
				ID      string `json:"id"`
				ImageID string `json:"image_id"`
			}
			a.into(t, &out)
			shown := b.do("GET", "/v2/images/"+out.ID+out.ImageID, "").want(t, 200, "")
			if !json.Valid(shown.body) || ok == http.StatusCreated && string(shown.body) != string(a.body) {
				t.Fatalf("made %s, shown %s", a.body, shown.body)
			}
		case 400, 403, 409, 413:
			var e wire.ErrorBody
			a.into(t, &e)
			if e.Error.Code == "" || e.Message == "" || e.Error.Remedy == "" {
				t.Fatalf("the refusal says too little: %s", a.body)
			}
			if len(b.imports.started) != 0 {
				t.Fatal("a refused import was started")
			}
		default:
			t.Fatalf("%q: got %d %s", body, a.StatusCode, a.body)
		}
	})
}

func FuzzImports(f *testing.F) {
	fuzzBody(f, "/v1/imports", http.StatusAccepted,
		someImport,
		`{"task_id":"11111111-2222-3333-4444-555555555555","image_id":"11111111-2222-3333-4444-555555555556","idempotency_key":"k","owner":"default",
		"source":{"url":"/srv/disk","format":"raw","checksum":"sha256:`+strings.Repeat("0", 64)+`","credential":"c"},
		"target":{"format":"qcow2","compression":"zlib","options":{"a":"b"},"store":"local"},
		"image":{"name":"n","visibility":"public","container_format":"bare","tags":["t"],"properties":{"p":"v"},"min_disk":1,"min_ram":2,"protected":true}}`,
		`{"source":{"url":"http://h\u0000/"}}`, `{"source":null}`, `{"image":{"tags":null}}`, `null`, `{`, "\xff", `{"source":{"url":"http://[::1"}}`)
}

func FuzzCreateImage(f *testing.F) {
	fuzzBody(f, "/v2/images", http.StatusCreated,
		someImage, `{}`, `{"id":"11111111-2222-3333-4444-55555555555A"}`, `{"tags":[null]}`, `{"a":"\ud800"}`, `{"name":"\u0000"}`, `null`, `{"":""}`,
		`{"min_disk":1e3,"min_ram":9223372036854775808}`, "{\"\xff\":\"\xff\"}")
}

// FuzzPatch patches an image with anything: what is taken is shown again, what is refused
// leaves the image as it was, and what the server alone sets never changes.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`[]`, `[{"op":"add","path":"/a","value":"b"}]`, `[{"op":"remove","path":"/p"},{"op":"add","path":"/p","value":"v"}]`,
		`[{"op":"replace","path":"/tags","value":["a","a"]}]`, `[{"op":"replace","path":"/min_ram","value":1e3}]`,
		`[{"replace":"/name","value":null}]`, `[{"add":"/a~1b~0c","value":""}]`, `[{"op":"add","path":"/locations/-","value":{}}]`,
		`[{"op":"replace","path":"/status","value":"active"}]`, `[{"op":"add","path":"/ os_glance ","value":"x"}]`, `[{"op":"add","path":"/\u0000","value":"\ud800"}]`,
		`[{"op":"replace","path":"/visibility","value":"public"},{"op":"replace","path":"/protected","value":true}]`, `{`, `[null]`, "\xff",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	shared := newBench(f)
	f.Fuzz(func(t *testing.T, body string, older bool) {
		b := *shared
		b.t = t
		kind := patchNew
		if older {
			kind = patchOld
		}
		path := b.newImage(`{"p":"v","name":"n"}`)
		before := b.do("GET", path, "").want(t, 200, "")
		a := b.do("PATCH", path, body, "Content-Type", kind)
		after := b.do("GET", path, "").want(t, 200, "")
		var was, is map[string]any
		before.into(t, &was)
		after.into(t, &is)
		for _, name := range []string{"id", "status", "owner", "created_at", "size", "checksum", "self", "file", "schema"} {
			if was[name] != is[name] {
				t.Fatalf("%s was %v and is %v", name, was[name], is[name])
			}
		}
		for name := range is {
			if strings.HasPrefix(name, "os_glance") {
				t.Fatalf("a patch has set %q", name)
			}
		}
		switch a.StatusCode {
		case 200:
			if string(a.body) != string(after.body) {
				t.Fatalf("answered %s, shown %s", a.body, after.body)
			}
		case 400, 403, 409, 413:
			var e wire.ErrorBody
			a.into(t, &e)
			if e.Error.Code == "" || e.Message == "" || e.Error.Remedy == "" || string(before.body) != string(after.body) {
				t.Fatalf("refused with %s, and changed to %s", a.body, after.body)
			}
		default:
			t.Fatalf("got %d %s", a.StatusCode, a.body)
		}
	})
}

// FuzzRequests sends any request that is HTTP to any path: nothing is the server's fault,
// and whatever is refused is explained.
func FuzzRequests(f *testing.F) {
	for _, rt := range (&api{}).routes() {
		path := strings.NewReplacer("{$}", "", "{id}", "11111111-2222-3333-4444-555555555555").Replace(rt.path)
		f.Add(rt.method + " " + path + "?limit=1&sort=name:asc HTTP/1.1\r\nHost: h\r\nContent-Type: " + patchNew + "\r\nX-Roles: admin\r\nContent-Length: 2\r\n\r\n{}")
	}
	for _, s := range []string{
		"GET /v2/images/%00 HTTP/1.0\r\n\r\n", "GET //v2//images/../x HTTP/1.1\r\nHost: h\r\n\r\n", "GET /v2/images?marker=%ff&created_at=gt: HTTP/1.1\r\nHost: h\r\nRange: bytes=-1\r\n\r\n",
		"PUT /v2/images/x/tags/%2f HTTP/1.1\r\nHost: h\r\nX-Project-Id: a\r\n\r\n", "POST /v2/tasks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nIdempotency-Key: k\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add(s)
	}
	shared := newBench(f, func(d *Deps) { d.Stores = []string{"local", "far"} })
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Skip()
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		w := httptest.NewRecorder()
		shared.handler.ServeHTTP(w, r.WithContext(ctx))
		if ctx.Err() != nil {
			t.Fatal("this takes longer than ten seconds")
		}
		switch {
		case w.Code >= 500:
			t.Fatalf("got %d %s", w.Code, w.Body)
		case w.Code >= 400 && r.Method != http.MethodHead && w.Body.Len() > 0:
			var e wire.ErrorBody
			if json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error.Code == "" || e.Error.Remedy == "" {
				t.Fatalf("the refusal says too little: %s", w.Body)
			}
		}
	})
}

// FuzzCloneInput makes clones of any input: what is taken reads an image of an image service
// and nothing else, and is private unless it says otherwise.
func FuzzCloneInput(f *testing.F) {
	for _, rest := range []string{
		fromEast, fromEast + `},"same_id":true,"image_id":"` + cloneID + `","stores":["far"],"all_stores":false,"priority":0,"x":{"a":"b"`,
		`"region":"north"},"image_properties":{"visibility":"public","name":"\u0000","protected":true}`, `"url":"http://[::1]:9292/%2e%2e?x#y","region":"south","credential":"\ud800"`,
		`"credential":"mine"},"image_properties":null,"all_stores_must_succeed":null,"stores":null`, `"url":"HTTPS://h\\@g/"`, "\xff",
	} {
		f.Add(rest)
	}
	shared := newCloneBench(f)
	f.Fuzz(func(t *testing.T, rest string) {
		b := *shared
		b.t, b.imports.started = t, nil
		a := b.do("POST", "/v2/tasks", `{"type":"clone","input":{"source":{"image_id":"`+cloneID+`",`+rest+`}}`, rolesHeader("red", "member")...)
		if a.StatusCode != 201 {
			var e wire.ErrorBody
			if a.into(t, &e); a.StatusCode > 413 || e.Error.Code == "" || e.Error.Remedy == "" {
				t.Fatalf("%s: got %d %s", rest, a.StatusCode, a.body)
			}
			return
		}
		for _, req := range b.imports.started {
			u, err := url.Parse(req.Source.URL)
			if err != nil || u.Scheme != "glance" || u.User != nil || !strings.HasSuffix(u.Path, "/"+cloneID) || req.Target.AsIs || req.CheckClone() != nil {
				t.Fatalf("%s: started %+v, %v", rest, req, req.CheckClone())
			}
			if v := req.Image.Visibility; v == "" || v == "public" || !strings.Contains(rest, "visibility") && v != "private" {
				t.Fatalf("%s: a member has made a %q image", rest, v)
			}
		}
	})
}
