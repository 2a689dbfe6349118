package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func threeStores(d *Deps) { d.Stores = []string{"local", "fast", "cloud"} }

// copied makes an active image with copies in further stores.
func (b *bench) copied(data string, further ...string) string {
	b.t.Helper()
	s := b.submit(someImport)
	b.finish(s, []byte(data))
	if len(further) == 0 {
		return s.ImageID
	}
	_, err := b.cat.UpdateImage(context.Background(), s.ImageID, func(img *metadata.Image) error {
		for _, store := range further {
			loc := metadata.Location{Store: store, Key: s.ImageID + "/copy"}
			img.Copies = append(img.Copies, metadata.Copy{Location: loc, Status: metadata.CopyActive})
			b.blobs.data[store+"/"+loc.Key] = []byte(data)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s.ImageID
}

func TestStoresInfo(t *testing.T) {
	b := newBench(t)
	b.do("GET", "/v2/info/stores", "").want(t, 404, errcode.NotFound)
	b = newBench(t, threeStores, func(d *Deps) { d.DefaultStore = "fast" })
	got := b.do("GET", "/v2/info/stores", "").want(t, 200, "")
	if want := `{"stores":[{"id":"fast","default":"true"},{"id":"local"},{"id":"cloud"}]}`; strings.TrimSpace(string(got.body)) != want {
		t.Errorf("got %s", got.body)
	}
	b = newBench(t, threeStores, func(d *Deps) { d.DefaultStore, d.ReadOnly = "local", []string{"cloud"} })
	got = b.do("GET", "/v2/info/stores", "").want(t, 200, "")
	if want := `{"stores":[{"id":"local","default":"true"},{"id":"fast"},{"id":"cloud","read-only":"true"}]}`; strings.TrimSpace(string(got.body)) != want {
		t.Errorf("got %s", got.body)
	}
	for _, body := range []string{`"target":{"store":"cloud"}`, `"stores":["fast","cloud"]`} {
		b.do("POST", "/v1/imports", `{"source":{"url":"https://example.org/x"},`+body+`}`).want(t, 409, errcode.StoreReadOnly)
	}
	created := b.do("POST", "/v2/images", `{}`).want(t, 201, "")
	if created.Header.Get("OpenStack-image-import-methods") != "web-download,copy-image" || created.Header.Get("OpenStack-image-store-ids") != "local,fast,cloud" {
		t.Errorf("headers %v", created.Header)
	}
}

func TestImportCallNamesStores(t *testing.T) {
	no := false
	for _, tt := range []struct {
		name, body string
		header     []string
		want       contract.StoresSpec
		store      string
	}{
		{"one", `"stores":["fast"]`, nil, contract.StoresSpec{}, "fast"},
		{"header", `"all_stores":false`, []string{"X-Image-Meta-Store", "cloud"}, contract.StoresSpec{}, "cloud"},
		{"two", `"stores":["fast","cloud"],"all_stores_must_succeed":false`, nil, contract.StoresSpec{Stores: []string{"fast", "cloud"}, AllStoresMustSucceed: &no}, ""},
		{"all", `"all_stores":true`, nil, contract.StoresSpec{AllStores: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, threeStores)
			path := b.newImage(`{"disk_format":"vmdk","container_format":"bare"}`)
			body := `{"method":{"name":"web-download","uri":"https://example.org/disk.vmdk"},` + tt.body + `}`
			b.do("POST", path+"/import", body, tt.header...).want(t, 202, "")
			got := b.imports.started[0]
			if diff := cmp.Diff(tt.want, got.StoresSpec); diff != "" || got.Target.Store != tt.store {
				t.Errorf("store %q, (-want +got):\n%s", got.Target.Store, diff)
			}
		})
	}
	b := newBench(t, threeStores)
	path := b.newImage(`{"disk_format":"vmdk","container_format":"bare"}`)
	b.do("POST", path+"/import", `{"method":{"name":"web-download","uri":"https://h/i"},"all_stores":true}`, "X-Image-Meta-Store", "fast").want(t, 400, errcode.BadRequest)
	b.do("POST", "/v1/imports", `{"source":{"url":"https://h/i"},"stores":["fast","tape"]}`).want(t, 409, errcode.StoreUnknown)
	b.do("POST", "/v1/imports", `{"source":{"url":"https://h/i"},"method":"copy-image"}`).want(t, 400, errcode.BadRequest)
}

// An import that has failed once tells its stores in properties; they are no part of
// the next request.
func TestImportAgainAfterFailedStores(t *testing.T) {
	b := newBench(t, threeStores)
	path := b.newImage(`{"disk_format":"vmdk","container_format":"bare"}`)
	if _, err := b.cat.UpdateImage(t.Context(), strings.TrimPrefix(path, "/v2/images/"), func(img *metadata.Image) error {
		img.Properties = map[string]string{metadata.PropFailedStores: "fast", "os_distro": "debian"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.do("POST", path+"/import", download).want(t, 202, "")
	if props := b.imports.started[0].Image.Properties; len(props) != 1 || props["os_distro"] != "debian" {
		t.Errorf("properties %v", props)
	}
}

func TestCopyImageCall(t *testing.T) {
	b := newBench(t, threeStores)
	id := b.copied("bytes")
	path := "/v2/images/" + id + "/import"
	b.do("POST", path, `{"method":{"name":"copy-image"},"stores":["tape"]}`).want(t, 409, errcode.StoreUnknown)
	first := b.do("POST", path, `{"method":{"name":"copy-image"},"stores":["fast","cloud"],"all_stores_must_succeed":true}`).want(t, 202, "")
	task := first.Header.Get("X-Ingest-Task-Id")
	again := b.do("POST", path, `{"method":{"name":"copy-image"},"stores":["fast","cloud"]}`).want(t, 202, "")
	if again.Header.Get("X-Ingest-Task-Id") != task {
		t.Error("the same call made another task")
	}
	b.do("POST", path, `{"method":{"name":"copy-image"},"all_stores":true}`).want(t, 409, errcode.Conflict)
	req := b.imports.started[len(b.imports.started)-1]
	if name, arg := req.Workflow(); name != contract.CopyWorkflow || arg.(contract.CopyRequest).TaskID != task || arg.(contract.CopyRequest).ImageID != id {
		t.Errorf("started %s %+v", name, arg)
	}
	var shown struct {
		Type  string
		Input struct {
			ImageID string `json:"image_id"`
			Import  struct {
				Method map[string]string
				Stores []string
			} `json:"import_req"`
		}
	}
	b.do("GET", "/v2/tasks/"+task, "").want(t, 200, "").into(t, &shown)
	if shown.Type != "api_image_import" || shown.Input.ImageID != id || shown.Input.Import.Method["name"] != "copy-image" || len(shown.Input.Import.Stores) != 2 {
		t.Errorf("task %+v", shown)
	}
	b.do("GET", "/v1/tasks/"+task, "").want(t, 200, "")
}

func TestDeleteFromStore(t *testing.T) {
	b := newBench(t, threeStores)
	id := b.copied("bytes", "fast")
	b.do("DELETE", "/v2/stores/tape/"+id, "").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/stores/cloud/"+id, "").want(t, 404, errcode.NotFound)
	b.do("DELETE", "/v2/stores/fast/"+id, "", "X-Project-Id", "other").want(t, 404, errcode.NotFound)
	var img wire.Image
	b.do("GET", "/v2/images/"+id, "").want(t, 200, "").into(t, &img)
	if img.Stores != "local,fast" {
		t.Errorf("stores %q", img.Stores)
	}
	b.do("DELETE", "/v2/stores/local/"+id, "").want(t, 204, "")
	b.do("GET", "/v2/images/"+id, "").want(t, 200, "").into(t, &img)
	if img.Stores != "fast" || b.blobs.data["local/"+id+"/upload"] != nil {
		t.Errorf("stores %q, %d objects", img.Stores, len(b.blobs.data))
	}
	b.do("DELETE", "/v2/stores/fast/"+id, "").want(t, 403, errcode.Forbidden)
	if got := b.do("GET", "/v2/images/"+id+"/file", "").want(t, 200, ""); string(got.body) != "bytes" {
		t.Errorf("got %q", got.body)
	}
	b.do("DELETE", "/v2/images/"+id, "").want(t, 204, "")
	if len(b.blobs.data) != 0 {
		t.Errorf("left %v", b.blobs.data)
	}
}

// A moody Blobs breaks stores off after so many bytes, and notes what is asked.
type moody struct {
	*blobs
	cut   map[string]int // bytes; -1: does not open
	asked []string
}

func (m *moody) OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error) {
	m.asked = append(m.asked, store)
	cut, weak := m.cut[store]
	if weak && cut < 0 {
		return nil, errcode.New(errcode.StoreUnavailable, "store %s is away", store)
	}
	r, err := m.blobs.OpenRange(ctx, store, key, off, n)
	if err != nil || !weak {
		return r, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(r, int64(cut)), badReader{})), nil
}

func TestReadsGoOnFromTheNextStore(t *testing.T) {
	const data = "0123456789abcdefghij"
	for _, tt := range []struct {
		name  string
		cut   map[string]int
		query string
		asked string
		fails bool
	}{
		{"all well", nil, "", "fast", false},
		{"preferred", nil, "?prefer=tape,cloud,local", "cloud", false},
		{"first is away", map[string]int{"fast": -1}, "", "fast cloud", false},
		{"breaks off", map[string]int{"fast": 3}, "", "fast cloud", false},
		{"breaks off twice", map[string]int{"fast": 3, "cloud": 5}, "", "fast cloud local", false},
		{"away behind a break", map[string]int{"fast": 0, "cloud": -1}, "", "fast cloud local", false},
		{"last breaks off", map[string]int{"fast": 3, "cloud": -1, "local": 4}, "", "fast cloud local", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m *moody
			b := newBench(t, threeStores, func(d *Deps) {
				m = &moody{blobs: d.Blobs.(*blobs), cut: tt.cut}
				d.Blobs, d.ReadFirst = m, []string{"fast", "cloud"}
			})
			id := b.copied(data, "fast", "cloud")
			got := b.do("GET", "/v2/images/"+id+"/file"+tt.query, "", "Range", "bytes=2-17").want(t, http.StatusPartialContent, "")
			if whole := string(got.body) == data[2:18]; whole == tt.fails {
				t.Errorf("got %q", got.body)
			}
			if strings.Join(m.asked, " ") != tt.asked {
				t.Errorf("asked %v, want %s", m.asked, tt.asked)
			}
		})
	}
	var m *moody
	b := newBench(t, threeStores, func(d *Deps) {
		m = &moody{blobs: d.Blobs.(*blobs), cut: map[string]int{"fast": -1, "cloud": -1, "local": -1}}
		d.Blobs = m
	})
	id := b.copied(data, "fast", "cloud")
	b.do("GET", "/v2/images/"+id+"/file", "").want(t, 503, errcode.StoreUnavailable)
	if len(m.asked) != 3 {
		t.Errorf("asked %v", m.asked)
	}
}

// A client that goes away is no reason to ask the other stores.
func TestRelayEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	m := &moody{blobs: &blobs{data: map[string][]byte{"a/k": []byte("abcdef"), "b/k": []byte("abcdef")}}, cut: map[string]int{"a": 2}}
	rl := &relay{ctx: ctx, blobs: m, places: []metadata.Location{{Store: "a", Key: "k"}, {Store: "b", Key: "k"}}, left: 6}
	if err := rl.next(); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 2)
	if _, err := io.ReadFull(rl, p); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := rl.Read(p); !errors.Is(err, io.ErrUnexpectedEOF) || len(m.asked) != 1 {
		t.Errorf("%v, asked %v", err, m.asked)
	}
}

func TestStoresDetail(t *testing.T) {
	b := newBench(t, func(d *Deps) {
		d.Identity, d.Stores, d.ReadOnly = proven{}, []string{"far", "local"}, []string{"far"}
		d.StoreDetails = map[string]StoreDetail{"far": {Type: "http", Weight: 1, Properties: map[string]any{"base": "https://h"}}, "local": {Type: "file", Weight: 2}}
	})
	b.do("GET", "/v2/info/stores/detail", "", rolesHeader("red", "member")...).want(t, 403, errcode.Forbidden)
	a := b.do("GET", "/v2/info/stores/detail", "", rolesHeader("red", "admin")...).want(t, 200, "")
	const want = `{"stores":[{"id":"local","default":"true","type":"file","weight":2,"properties":{}},{"id":"far","read-only":"true","type":"http","weight":1,"properties":{"base":"https://h"}}]}`
	if got := strings.TrimSpace(string(a.body)); got != want {
		t.Errorf("got %s", got)
	}
	newBench(t).do("GET", "/v2/info/stores/detail", "").want(t, 404, errcode.NotFound)
}

// Who may not have an image copied may not have it copied once more either.
func TestACopyIsTriedAgainByWhoMayCopy(t *testing.T) {
	b := newBench(t, threeStores, func(d *Deps) { d.Identity = proven{} })
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	s := b.submit(someImport, member...)
	b.finish(s, []byte("x"))
	path, body := "/v2/images/"+s.ImageID+"/import", `{"method":{"name":"copy-image"},"stores":["fast"]}`
	b.do("POST", path, body, member...).want(t, 403, errcode.Forbidden)
	task := b.do("POST", path, body, admin...).want(t, 202, "").Header.Get("X-Ingest-Task-Id")
	if err := b.cat.Fail(t.Context(), task, metadata.TaskError{Code: errcode.NoSpace}); err != nil {
		t.Fatal(err)
	}
	got := b.do("POST", "/v1/tasks/"+task+"/retry", "", member...).want(t, 403, errcode.Forbidden)
	if !strings.Contains(string(got.body), `"field":"copy_image"`) {
		t.Errorf("the refusal names no rule: %s", got.body)
	}
	b.do("POST", "/v1/tasks/"+task+"/retry", "", admin...).want(t, 202, "")
}
