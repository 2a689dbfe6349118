package api

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestStageAndImport(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(qcow2Image)
	direct := `{"method":{"name":"glance-direct"}}`
	b.do("POST", path+"/import", direct).want(t, 409, errcode.Conflict)
	b.put(path+"/stage", bytes.NewReader(qcow2File(t))).want(t, 204, "")
	if got := b.image(path).Status; got != "uploading" {
		t.Fatalf("the image is %s", got)
	}
	b.put(path+"/stage", strings.NewReader("x")).want(t, 409, errcode.Conflict)
	b.do("POST", path+"/import", `{"method":{"name":"web-download","uri":"https://example.org/x"}}`).want(t, 409, errcode.Conflict)
	for range 2 { // the answer may have been lost
		b.do("POST", path+"/import", direct).want(t, 202, "")
	}
	tasks, err := b.cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	queue, id, ok := contract.ParseStagedURL(b.imports.started[0].Source.URL)
	if !ok || queue != "ingest-host-a" || id != tasks[0].ID {
		t.Errorf("the source is %q", b.imports.started[0].Source.URL)
	}
	if err := b.cat.Fail(t.Context(), id, metadata.TaskError{Code: errcode.TaskCancelled, Message: "no"}); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(b.staging + "/" + id) // as the import's clean-up does
	b.nothingLeft(path)
}

func TestStagedImageIsDeleted(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(rawImage)
	b.put(path+"/stage", bytes.NewReader(noise(t, 1<<20))).want(t, 204, "")
	b.do("DELETE", path, "").want(t, 204, "")
	if list, err := os.ReadDir(b.staging); err != nil || len(list) > 0 {
		t.Errorf("left in staging: %v, %v", list, err)
	}
}

// Nobody but the server names what was staged.
func TestStagedURLIsNotForClients(t *testing.T) {
	b := newUploadBench(t)
	for _, url := range []string{"staged://ingest-host-a/11111111-1111-4111-8111-111111111111", "STAGED://a/b"} {
		b.do("POST", "/v1/imports", `{"source":{"url":"`+url+`"}}`).want(t, 400, errcode.SourceScheme)
		b.do("POST", b.newImage(rawImage)+"/import", `{"method":{"name":"web-download","uri":"`+url+`"}}`).want(t, 400, errcode.SourceScheme)
	}
}

// An import of another cloud's image reads the region that the operator has named, and
// no place that a client names.
func TestImportOfAnotherRegion(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) {
		d.Defaults.Schemes = []string{"https", "glance"}
		d.Regions = map[string]Region{
			"north": {URL: "http://image.north.example:9292/v"},
			"south": {Credential: "south-cloud"},
		}
	})
	const id = "9f3c6f0a-5f38-4a8e-9d5b-0b9f0f4f7a11"
	for _, c := range []struct {
		name, method string
		status       int
		code         errcode.Code
		url, with    string
	}{
		{"by URL", `"glance_region":"north","glance_image_id":"` + id + `"`, 202, "", "glance://image.north.example:9292/v/" + id + "?scheme=http", ""},
		{"by credential", `"glance_region":"south","glance_image_id":"` + id + `","glance_service_interface":"internal"`, 202, "", "glance:///" + id + "?interface=internal&region=south", "south-cloud"},
		{"no region", `"glance_image_id":"` + id + `"`, 400, errcode.BadRequest, "", ""},
		{"an unknown region", `"glance_region":"west","glance_image_id":"` + id + `"`, 400, errcode.BadRequest, "", ""},
		{"no id", `"glance_region":"north"`, 400, errcode.BadRequest, "", ""},
		{"a name", `"glance_region":"north","glance_image_id":"../../secret"`, 400, errcode.BadRequest, "", ""},
		{"another interface", `"glance_region":"north","glance_image_id":"` + id + `","glance_service_interface":"private"`, 400, errcode.BadRequest, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := b.newImage(rawImage)
			b.do("POST", path+"/import", `{"method":{"name":"glance-download",`+c.method+`}}`).want(t, c.status, c.code)
			if c.status != 202 {
				return
			}
			if got := b.imports.started[len(b.imports.started)-1].Source; got.URL != c.url || got.Credential != c.with || got.Format != "raw" {
				t.Errorf("the source is %+v", got)
			}
		})
	}
}

func TestImportMethods(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.Methods = []string{"web-download", "copy-image"} })
	got := b.do("POST", "/v2/images", rawImage).want(t, 201, "").Header.Get("OpenStack-image-import-methods")
	if got != "web-download" {
		t.Errorf("the methods are %q", got)
	}
	path := b.newImage(rawImage)
	b.put(path+"/stage", strings.NewReader("x")).want(t, 404, errcode.NotFound)
	b.do("POST", path+"/import", `{"method":{"name":"glance-direct"}}`).want(t, 400, errcode.BadRequest)
}
