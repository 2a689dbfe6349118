package api

import (
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

func TestUsageAndQuotas(t *testing.T) {
	limits := metadata.Limits{Images: 2, ImageBytes: 3<<20 + 5, StageBytes: -1, Uploading: 1}
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	cat := metadata.New(repo, metadata.WithQuotas(func(string) metadata.Limits { return limits }))
	b := newBench(t, func(d *Deps) { d.Catalogue = cat })
	b.do("POST", "/v2/images", `{"name":"a"}`).want(t, 201, "")
	b.do("POST", "/v1/imports", someImport).want(t, 202, "")
	var got struct {
		Usage map[string]map[string]int64 `json:"usage"`
	}
	b.do("GET", "/v2/info/usage", "").want(t, 200, "").into(t, &got)
	for name, want := range map[string][2]int64{
		"image_count_total": {2, 2}, "image_size_total": {0, 3}, "image_stage_total": {0, -1}, "image_count_uploading": {1, 1},
	} {
		if f := got.Usage[name]; len(f) != 2 || f["usage"] != want[0] || f["limit"] != want[1] {
			t.Errorf("%s is %v, want %v", name, f, want)
		}
	}
	// As Glance answers when a limit is reached.
	b.do("POST", "/v2/images", `{"name":"b"}`).want(t, 413, errcode.QuotaExceeded)
	limits.Images = 9
	b.do("POST", "/v1/imports", strings.ReplaceAll(someImport, "http://", "http://other.")).want(t, 413, errcode.QuotaExceeded)
	tasks, err := cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil || len(tasks) != 1 {
		t.Errorf("%d tasks after a refused import, %v", len(tasks), err)
	}
	var list wire.QuotaList
	if err := cat.Reserve(t.Context(), metadata.Reservation{TaskID: tasks[0].ID, Kind: metadata.ReserveStore, Part: "x", Bytes: 7}, metadata.Room{Free: -1}); err != nil {
		t.Fatal(err)
	}
	b.do("GET", "/v1/quota", "").want(t, 200, "").into(t, &list)
	if list.Project != "default" || list.Reserved != 7 || len(list.Quotas) != 4 || list.Quotas[1] != (wire.Quota{Name: "image_size_total", Unit: "bytes", Usage: 7, Limit: 3<<20 + 5}) {
		t.Errorf("%+v", list)
	}
	b.do("GET", "/v2/info/usage", "").want(t, 200, "").into(t, &got)
	if got.Usage["image_size_total"]["usage"] != 1 {
		t.Errorf("seven bytes are %v MiB", got.Usage["image_size_total"])
	}
}
