package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
