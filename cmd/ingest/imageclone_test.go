package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api"
	"ingest/internal/contract"
)

func newCloneMachine(t *testing.T, run func(*machine, contract.ImportRequest)) *machine {
	return newMachine(t, run, func(d *api.Deps) {
		d.Defaults.Schemes = []string{"https", "glance"}
		d.Regions = map[string]api.Region{"east": {URL: "https://images.east.example.org"}}
	})
}

func TestImageClone(t *testing.T) {
	const id = "0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11"
	m := newCloneMachine(t, succeed)
	m.ingest("image", "clone", id, "--from", "http://images.example.org:9292/v", "--credential", "c", "--same-id", "--name", "mine", "--visibility", "community",
		"--protected", "--store", "local").want(t, 0, `id +`+id+`\nname +mine\nstatus +active\n.*protected +true\n`, `task .*, image `+id+`\n.*`)
	got := m.asked[0]
	want := contract.ImportRequest{
		TaskID: got.TaskID, ImageID: id, RequestID: got.RequestID, TaskType: contract.TypeClone, Method: contract.MethodClone, Owner: "default", UserID: got.UserID, Roles: got.Roles,
		Source: contract.SourceSpec{URL: "glance://images.example.org:9292/v/" + id + "?scheme=http", Credential: "c"}, Target: contract.TargetSpec{Store: "local"},
		Image: contract.ImageSpec{Name: "mine", Visibility: "community", Protected: true, Properties: map[string]string{}},
	}
	if got.Image.Properties == nil {
		want.Image.Properties = nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	m.ingest("image", "clone", id, "--from-region", "east", "--no-wait").want(t, 0, `task +`+uuidPattern+`\nimage +`+uuidPattern+`\nstatus +pending\n`, "")
	if got := m.asked[1]; got.Source.URL != "glance://images.east.example.org/"+id || got.ImageID == id || got.Image.Visibility != "private" {
		t.Errorf("of a region: %+v", got)
	}
	newCloneMachine(t, fail).ingest("image", "clone", id, "--credential", "c").want(t, 1, "", `(?s).*IMG_SOURCE_OUTSIDE_ROOTS.*`)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{id}, "from where"},
		{[]string{id, "--from", "http://h", "--from-region", "east"}, "one image service each"},
		{[]string{id, "--from", "http://h", "--same-id", "--id", id}, "two ids"},
		{[]string{"web", "--from", "http://h"}, "is no id"},
		{[]string{"--from", "http://h"}, ""},
		{[]string{id, "--from", "http://h", "--store", "a", "--all-stores"}, "one of them"},
	} {
		m.ingest(append([]string{"image", "clone"}, c.args...)...).want(t, 2, "", `.*`+regexp.QuoteMeta(c.says)+`.*`)
	}
}

// A cloud of clouds.yaml tells where its image service is, and which image has a name.
func TestImageCloneFromACloud(t *testing.T) {
	from := newMachine(t, succeed)
	from.ingest("import", "http://h/i", "--name", "web", "-q").want(t, 0, `.*`, "")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("clouds.yaml", fmt.Appendf(nil, "clouds:\n  east: {auth_type: none, image_endpoint_override: %q}\n", from.url), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newCloneMachine(t, succeed)
	id := from.asked[0].ImageID
	m.ingest("image", "clone", "web", "--from-cloud", "east", "--same-id", "-q").want(t, 0, `id +`+id+`\n.*`, "")
	if got := m.asked[0].Source.URL; got != "glance://"+from.url[len("http://"):]+"/"+id+"?scheme=http" {
		t.Errorf("reads %s", got)
	}
	m.ingest("image", "clone", "nothing", "--from-cloud", "east").want(t, 1, "", `.*NOT_FOUND.*`)
	m.ingest("image", "clone", "web", "--from-cloud", "west").want(t, 1, "", `.*CLOUD_CONFIG.*`)
	m.ingest("__complete", "image", "clone", id, "--from-cloud", "").want(t, 0, `(?s)east\n.*`, ".*")
}
