package api

import (
	"encoding/json"
	"slices"
	"testing"

	"ingest/api/wire"
	"ingest/internal/schemas"
)

// imageSchema asks for the schema of images.
func imageSchema(t *testing.T, adjust ...func(*Deps)) map[string]map[string]any {
	t.Helper()
	var s struct {
		Name       string
		Properties map[string]map[string]any
	}
	newBench(t, adjust...).do("GET", "/v2/schemas/image", "").want(t, 200, "").into(t, &s)
	if s.Name != "image" || len(s.Properties) < 20 {
		t.Fatalf("schema %q with %d properties", s.Name, len(s.Properties))
	}
	return s.Properties
}

// TestSchemaMarksReadOnly goes by what the API takes: what it refuses to be told is
// readOnly, and nothing else is.
func TestSchemaMarksReadOnly(t *testing.T) {
	several := func(d *Deps) { d.Stores = []string{"local", "second"} }
	for name, p := range imageSchema(t, several) {
		if marked := p["readOnly"] == true; marked != wire.IsReadOnly(name) {
			t.Errorf("%s: readOnly is %v", name, marked)
		}
	}
}

// TestSchemaOfImagesNamesAllMembers compares with an image that the API shows.
func TestSchemaOfImagesNamesAllMembers(t *testing.T) {
	schema := imageSchema(t)
	var img map[string]any
	newBench(t).do("POST", "/v2/images", `{"name":"x"}`).want(t, 201, "").into(t, &img)
	for name := range img {
		if _, there := schema[name]; !there && name != "content_digest" {
			t.Errorf("the schema does not name %s", name)
		}
	}
}

func TestSchemaOfStores(t *testing.T) {
	if _, there := imageSchema(t)["stores"]; there {
		t.Error("the schema names stores where there is one only: clients of Debian 12 fail on it")
	}
	if s := imageSchema(t, func(d *Deps) { d.Stores = []string{"a", "b"} })["stores"]; s["readOnly"] != true {
		t.Errorf("stores: %v", s)
	}
}

func TestSchemaOfOwnProperties(t *testing.T) {
	own := map[string]schemas.Object{"release": {"type": "string", "description": "of ours"}, "status": {"type": "integer"}}
	got := imageSchema(t, func(d *Deps) { d.ImageProperties = own })
	if got["release"]["is_base"] != false || got["release"]["description"] != "of ours" || got["os_distro"] != nil {
		t.Errorf("release %v, os_distro %v", got["release"], got["os_distro"])
	}
	if got["status"]["type"] != "string" {
		t.Errorf("a property of the operator's stands in the place of status: %v", got["status"])
	}
	if len(own["release"]) != 2 {
		t.Errorf("what the operator gave was changed: %v", own)
	}
}

func TestSchemas(t *testing.T) {
	b := newBench(t)
	for path, want := range schemas.All(schemas.Options{DiskFormats: diskFormats, ContainerFormats: containerFormats}) {
		a := b.do("GET", "/v2/schemas/"+path, "").want(t, 200, "")
		var got, expected any
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &expected); err != nil {
			t.Fatal(err)
		}
		a.into(t, &got)
		again, _ := json.Marshal(got)
		once, _ := json.Marshal(expected)
		if !slices.Equal(again, once) {
			t.Errorf("%s is %s", path, a.body)
		}
	}
	b.do("GET", "/v2/schemas/none", "").want(t, 404, "NOT_FOUND")
	b.do("POST", "/v2/schemas/image", "{}").want(t, 405, "METHOD_NOT_ALLOWED")
}
