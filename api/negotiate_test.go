package api

import (
	"slices"
	"strings"
	"testing"

	"ingest/cache"
	"ingest/internal/errcode"
)

func TestVersionsFollowFromWhatIsOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		adjust func(*Deps)
		first  string
		has    []string
		hasNot []string
	}{
		{"one store", func(*Deps) {}, "v2.15", []string{"v2.12", "v2.9", "v2.0"}, []string{"v2.14", "v2.13", "v2.10", "v2.8"}},
		{"several stores", func(d *Deps) { d.Stores = []string{"a", "b"} }, "v2.15", []string{"v2.13", "v2.12", "v2.11", "v2.10", "v2.8"}, []string{"v2.14", "v2.16"}},
		{"locations", func(d *Deps) { d.Locations = &places{} }, "v2.17", []string{"v2.15", "v2.12"}, []string{"v2.16", "v2.14"}},
		{"a cache", func(d *Deps) { d.Cache = &cache.Cache{} }, "v2.16", []string{"v2.15", "v2.14", "v2.12"}, []string{"v2.8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body struct{ Versions []version }
			newBench(t, c.adjust).do("GET", "/versions", "").want(t, 200, "").into(t, &body)
			var ids []string
			for _, v := range body.Versions {
				ids = append(ids, v.ID)
				if (v.Status == "CURRENT") != (v.ID == c.first) {
					t.Errorf("%s is %s", v.ID, v.Status)
				}
			}
			if ids[0] != c.first {
				t.Errorf("the newest is %s", ids[0])
			}
			for _, id := range c.has {
				if !slices.Contains(ids, id) {
					t.Errorf("%s is missing in %s", id, ids)
				}
			}
			for _, id := range c.hasNot {
				if slices.Contains(ids, id) {
					t.Errorf("%s is in %s", id, ids)
				}
			}
		})
	}
}

func TestVersionIsNegotiated(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{"name":"n"}`)
	for _, c := range []struct {
		path, accept string
		status       int
	}{
		{"/v2.9/images/" + id, "", 200}, {"/v2.0/images/" + id, "", 200}, {"/v2.99/images/" + id, "", 300}, {"/v3/images/" + id, "", 300},
		{"/v2.10/images/" + id, "", 300}, // belongs to several stores
		{"/images/" + id, "application/vnd.openstack.images-v2", 200}, {"/images/" + id, "application/vnd.openstack.images-v2.7", 200},
		{"/images/" + id, "application/vnd.openstack.images-v9", 300}, {"/images/" + id, "application/json", 404},
		{"/v2/images/" + id, "application/vnd.openstack.images-v9", 200}, {"/", "application/vnd.openstack.images-v2", 300},
		{"/versions", "application/vnd.openstack.images-v2", 200},
	} {
		if a := b.do("GET", c.path, "", "Accept", c.accept); a.StatusCode != c.status {
			t.Errorf("%s, Accept %q: got %d, want %d: %s", c.path, c.accept, a.StatusCode, c.status, a.body)
		}
	}
}

func TestErrorsAreJSONWhateverIsAccepted(t *testing.T) {
	b := newBench(t)
	for _, accept := range []string{"", "*/*", "application/json", "text/html", "text/plain;q=0.5, text/html", "image/png", "nonsense,,;"} {
		a := b.do("GET", "/v2/images/nothing", "", "Accept", accept).want(t, 404, errcode.NotFound)
		if got := a.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Accept %q: %s", accept, got)
		}
	}
}

// TestErrorsForTheGlanceCommand: it cannot read an error of JSON.
func TestErrorsForTheGlanceCommand(t *testing.T) {
	b := newBench(t)
	a := b.do("GET", "/v2/images/%3Cscript%3E", "", "Accept", "*/*", "User-Agent", "python-glanceclient")
	page := string(a.body)
	if a.StatusCode != 404 || a.Header.Get("Content-Type") != "text/html; charset=UTF-8" || !strings.Contains(page, "404 Not Found") ||
		!strings.Contains(page, "NOT_FOUND") || strings.Contains(page, "<script>") {
		t.Errorf("%d %s", a.StatusCode, page)
	}
}
