package api

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/stores"
)

// places are Locations whose URLs are s3://store/key, and whose objects are all of the
// same bytes but those of which a name says otherwise.
type places struct{ read []string }

func (p *places) LocationURL(_ context.Context, store, key string) (string, error) {
	if store == "away" {
		return "", errcode.New(errcode.StoreUnavailable, "away")
	}
	return "s3://" + store + "/" + key, nil
}

func (p *places) FindLocation(raw string) (store, key string, ok bool) {
	u, ok := stores.PlainURL(raw)
	if !ok || u.Scheme != "s3" {
		return "", "", false
	}
	key = strings.TrimPrefix(u.Path, "/")
	return u.Host, key, stores.IsExternal(key) || strings.HasSuffix(key, "/upload")
}

func (p *places) SameBytes(_ context.Context, store, key string, _ stores.Digest) error {
	p.read = append(p.read, store+"/"+key)
	if strings.Contains(key, "other") {
		return errcode.New(errcode.VerifyMismatch, "other bytes")
	}
	return nil
}

// located returns a bench whose server shows all of its places.
func located(t *testing.T) (*bench, *places) {
	p := &places{}
	return newBench(t, func(d *Deps) {
		d.Locations, d.ShowDirectURL, d.ShowLocations = p, true, true
		d.Stores = []string{"local", "fast", "cold"}
	}), p
}

const queuedRaw = `{"name":"n","disk_format":"raw","container_format":"bare"}`

func TestLocationsAreShownToWhoMaySeeThem(t *testing.T) {
	b, _ := located(t)
	id := b.copied("bytes", "fast", "away")
	img, err := b.cat.Image(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		DirectURL string `json:"direct_url"`
		Locations []struct {
			URL      string
			Metadata map[string]string
		}
	}
	b.do("GET", "/v2/images/"+id, "").want(t, 200, "").into(t, &shown)
	first := "s3://local/" + img.Key
	// The copies' keys are not the image's own: nobody knows whose they were.
	if shown.DirectURL != first || len(shown.Locations) < 1 || shown.Locations[0].URL != first || shown.Locations[0].Metadata["store"] != "local" {
		t.Errorf("shown %+v", shown)
	}
	var list []map[string]any
	b.do("GET", "/v2/images/"+id+"/locations", "").want(t, 200, "").into(t, &list)
	if len(list) != 2 { // the store that is away is left out
		t.Errorf("listed %v", list)
	}
	off := newBench(t, func(d *Deps) { d.Locations = &places{} })
	plain := off.anImage(off.imageID(queuedRaw))
	for _, name := range []string{"direct_url", "locations"} {
		if _, there := plain[name]; there {
			t.Errorf("%s is shown by a server that was not told to", name)
		}
	}
	if empty := b.anImage(b.imageID(queuedRaw)); len(empty["locations"].([]any)) != 0 || empty["direct_url"] != nil {
		t.Errorf("an image without bytes: %v", empty)
	}
}

func TestALocationBeginsATask(t *testing.T) {
	b, _ := located(t)
	of := b.copied("bytes")
	img, err := b.cat.Image(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("ab", 64)
	for _, c := range []struct {
		name, body string
		status     int
		code       errcode.Code
	}{
		{"external", `{"url":"s3://fast/external/disk.raw"}`, 202, ""},
		{"with a digest", `{"url":"s3://fast/external/disk.raw","validation_data":{"os_hash_algo":"sha512","os_hash_value":"` + hex + `"}}`, 202, ""},
		{"of another image", `{"url":"s3://local/` + img.Key + `"}`, 202, ""},
		{"of no image", `{"url":"s3://fast/` + img.Key + `"}`, 400, errcode.LocationOutside},
		{"elsewhere", `{"url":"https://example.org/disk.raw"}`, 400, errcode.LocationOutside},
		{"a secret", `{"url":"https://user:canary@example.org/disk.raw"}`, 400, errcode.LocationOutside},
		{"the server's own files", `{"url":"file:///etc/passwd"}`, 400, errcode.LocationOutside},
		{"a way out", `{"url":"s3://fast/external/../objects/x"}`, 400, errcode.LocationOutside},
		{"a hidden file", `{"url":"s3://fast/external/.ssh"}`, 400, errcode.LocationOutside},
		{"no url", `{}`, 400, errcode.BadRequest},
		{"half a digest", `{"url":"s3://fast/external/d","validation_data":{"os_hash_algo":"sha512"}}`, 400, errcode.BadRequest},
		{"md5", `{"url":"s3://fast/external/d","validation_data":{"os_hash_algo":"md5","os_hash_value":"` + hex[:32] + `"}}`, 400, errcode.BadRequest},
		{"another member", `{"url":"s3://fast/external/d","size":5}`, 400, errcode.BadRequest},
		{"no object", `[]`, 400, errcode.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			id := b.imageID(queuedRaw)
			a := b.do("POST", "/v2/images/"+id+"/locations", c.body).want(t, c.status, c.code)
			if strings.Contains(string(a.body), "canary") {
				t.Errorf("the answer holds the secret: %s", a.body)
			}
			if c.status != 202 {
				return
			}
			task, err := b.cat.Task(t.Context(), a.Header.Get("X-Ingest-Task-Id"))
			if err != nil || task.Type != contract.LocationTaskType || task.ImageID != id {
				t.Fatalf("task %+v, %v", task, err)
			}
			req := b.imports.started[len(b.imports.started)-1]
			if name, _ := req.Workflow(); name != contract.LocateWorkflow || req.CheckLocate() != nil || req.Source.Format != "raw" {
				t.Errorf("started %s with %+v: %v", name, req, req.CheckLocate())
			}
			b.do("POST", "/v2/images/"+id+"/locations", c.body).want(t, 409, errcode.Conflict)
		})
	}
	b.t = t
	b.do("POST", "/v2/images/"+of+"/locations", `{"url":"s3://fast/external/d"}`).want(t, 409, errcode.Conflict)
	bare := b.imageID(`{"name":"n"}`)
	b.do("POST", "/v2/images/"+bare+"/locations", `{"url":"s3://fast/external/d"}`).want(t, 400, errcode.BadRequest)
}

// Where it is proven who asks, only who may read an image makes another one of its object,
// and what others have put into a store is for services and administrators.
func TestWhoMayNameALocation(t *testing.T) {
	b, p := located(t)
	strict := newBench(t, func(d *Deps) {
		d.Catalogue, d.Locations, d.Identity, d.Stores = b.cat, p, proven{}, []string{"local", "fast"}
	})
	theirs := b.copied("bytes") // of the bench's own project
	img, err := b.cat.Image(t.Context(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		role, url string
		status    int
	}{
		{"member", "s3://local/" + img.Key, 400},
		{"member", "s3://fast/external/d", 403},
		{"admin", "s3://local/" + img.Key, 202},
		{"admin", "s3://fast/external/d", 202},
	} {
		mine, err := b.cat.CreateImage(t.Context(), metadata.Image{ID: uuid.NewString(), Owner: "stranger", DiskFormat: "raw", ContainerFormat: "bare"})
		if err != nil {
			t.Fatal(err)
		}
		strict.do("POST", "/v2/images/"+mine.ID+"/locations", `{"url":"`+c.url+`"}`, rolesHeader("stranger", c.role)...).want(t, c.status, "")
	}
}

func TestPatchesChangeLocations(t *testing.T) {
	b, p := located(t)
	id := b.copied("bytes")
	one := func(op, path, value string) string {
		if value != "" {
			value = `,"value":` + value
		}
		return `[{"op":"` + op + `","path":"` + path + `"` + value + `}]`
	}
	add := func(url string) string { return one("add", "/locations/-", `{"url":"`+url+`","metadata":{}}`) }
	for _, c := range []struct {
		name, body string
		status     int
		code       errcode.Code
	}{
		{"remove of the last one", one("remove", "/locations/0", ""), 403, errcode.Forbidden},
		{"an empty list", one("replace", "/locations", `[]`), 403, errcode.Forbidden},
		{"a list in the place of one", one("replace", "/locations", `[{"url":"s3://fast/external/d"}]`), 400, errcode.BadRequest},
		{"elsewhere", add("https://example.org/d"), 400, errcode.LocationOutside},
		{"no place", one("add", "/locations/-", `{}`), 400, errcode.BadRequest},
		{"no position", one("add", "/locations/x", `{"url":"s3://fast/external/d"}`), 400, errcode.BadRequest},
		{"with something else", `[{"op":"remove","path":"/locations/0"},{"op":"replace","path":"/name","value":"x"}]`, 400, errcode.BadRequest},
		{"in a store that has it", add("s3://local/external/d"), 409, errcode.Conflict},
		{"other bytes", add("s3://fast/external/other"), 409, errcode.Conflict},
		{"another digest", one("add", "/locations/-", `{"url":"s3://fast/external/d","validation_data":{"os_hash_algo":"sha256","os_hash_value":"`+strings.Repeat("ab", 32)+`"}}`), 409, errcode.Conflict},
		{"the same bytes", add("s3://fast/external/d"), 200, ""},
		{"once more", add("s3://fast/external/d"), 400, errcode.BadRequest},
		{"a third one", add("s3://cold/external/d"), 200, ""},
		{"no such place", one("remove", "/locations/3", ""), 400, errcode.BadRequest},
		{"remove", one("remove", "/locations/1", ""), 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.patch(id, c.body).want(t, c.status, c.code)
		})
	}
	b.t = t
	img, err := b.cat.Image(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if locs := img.Locations(); len(locs) != 2 || locs[1] != (metadata.Location{Store: "cold", Key: "external/d"}) {
		t.Errorf("the image lies in %v", locs)
	}
	if len(p.read) != 3 {
		t.Errorf("read %q", p.read)
	}
	// A queued image is made of it by a task.
	queued := b.imageID(queuedRaw)
	b.patch(queued, one("replace", "/locations", `[{"url":"s3://fast/external/d"}]`)).want(t, 200, "")
	if last := b.imports.started[len(b.imports.started)-1]; last.ImageID != queued || last.Method != contract.MethodLocate {
		t.Errorf("started %+v", last)
	}
}
