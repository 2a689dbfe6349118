package api

import (
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestADeletedImageIsHiddenAndCanBeRestored(t *testing.T) {
	b := newBench(t)
	var img wire.Image
	b.do("POST", "/v2/images", `{"name":"a","visibility":"public","disk_format":"raw","container_format":"bare"}`).want(t, 201, "").into(t, &img)
	status := func(s ...metadata.ImageStatus) {
		t.Helper()
		for _, to := range s {
			if _, err := b.cat.UpdateImage(t.Context(), img.ID, func(m *metadata.Image) error { m.Status = to; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	status(metadata.ImageActive, metadata.ImagePendingDelete)
	b.do("GET", "/v2/images/"+img.ID, "").want(t, 404, errcode.NotFound)
	b.do("GET", "/v2/images/"+img.ID+"/file", "").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/images/"+img.ID, "").want(t, 404, errcode.NotFound)
	for _, c := range []struct {
		query, project string
		want           int
	}{{"", "default", 0}, {"?status=pending_delete", "default", 1}, {"?status=in:active,pending_delete", "default", 1}, {"?status=pending_delete", "other", 0}} {
		var list wire.ImageList
		b.do("GET", "/v2/images"+c.query, "", "X-Project-Id", c.project).want(t, 200, "").into(t, &list)
		if len(list.Images) != c.want {
			t.Errorf("%q of %s lists %d images, want %d", c.query, c.project, len(list.Images), c.want)
		}
	}
	b.do("POST", "/v1/images/"+img.ID+"/restore", "", "X-Project-Id", "other").want(t, 404, errcode.NotFound)
	b.do("POST", "/v1/images/"+img.ID+"/restore", "").want(t, 200, "").into(t, &img)
	if img.Status != "active" {
		t.Errorf("restored as %s", img.Status)
	}
	b.do("POST", "/v1/images/"+img.ID+"/restore", "").want(t, 409, errcode.Conflict)
}
