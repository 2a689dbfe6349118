package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/cache"
	"ingest/internal/access"
	"ingest/internal/contract"
	"ingest/internal/identity"
	"ingest/internal/provenance"
	"ingest/metadata"
)

// proven takes what requests say of themselves for proven, so that the rules of a
// server that authenticates are in force.
type proven struct{ identity.Headers }

func (p proven) Authenticate(r *http.Request) (identity.Caller, error) {
	c, err := p.Headers.Authenticate(r)
	if r.Header.Get("X-Service-Role") != "" {
		c.ServiceRoles = []string{identity.Service}
	}
	return c, err
}

// About what a route is asked.
const (
	aboutNothing = "nothing" // the same for everybody
	aboutProject = "project" // the caller's own project, or the server
	aboutImage   = "image"
	aboutTask    = "task"
)

// An accessRow says what a route asks of its caller.
type accessRow struct {
	route string // as in routes()
	about string
	rules []string // all of them, beyond seeing the image or task
	ok    int      // answer to who may
	path  string   // if it is not that of the route: with a query, or a word for {id}
	body  string
	// sharedOnly: of images that are not shared, nothing is told but that they are there.
	sharedOnly bool
	guarded    bool // a protected image is 403
	hides      bool // what is not allowed is 404
	ownOnly    bool // only the owner's project and administrators are told that it is there
}

// accessTable is every route. A route that is missing fails the test: say here which
// rule it asks, or in elsewhere which test of its own it has.
func accessTable() []accessRow {
	const copyTo = `{"method":{"name":"copy-image"},"stores":["third"]}`
	const submitPublic = `{"source":{"url":"https://h/i"},"image":{"visibility":"public"}}`
	return []accessRow{
		{route: "GET /{$}", about: aboutNothing, ok: 300, path: "/"},
		{route: "GET /versions", about: aboutNothing, ok: 200},
		{route: "GET /v2", about: aboutNothing, ok: 300},
		{route: "GET /v2/{$}", about: aboutNothing, ok: 300, path: "/v2/"},
		{route: "GET /v2/info/import", about: aboutNothing, ok: 200},
		{route: "GET /v2/info/stores", about: aboutNothing, ok: 200},
		{route: "GET /v1/healthz", about: aboutNothing, ok: 200},
		{route: "GET /v1/server", about: aboutNothing, ok: 200},
		{route: "GET /v1/openapi.json", about: aboutNothing, ok: 200},

		{route: "GET /v2/info/stores/detail", about: aboutProject, rules: []string{"stores_info_detail"}, ok: 200},
		{route: "GET /v2/info/usage", about: aboutProject, rules: []string{"ingest:quota"}, ok: 200},
		{route: "GET /v1/quota", about: aboutProject, rules: []string{"ingest:quota"}, ok: 200},
		{route: "GET /v2/images", about: aboutProject, rules: []string{"get_images"}, ok: 200},
		{route: "POST /v2/images", about: aboutProject, rules: []string{"add_image"}, ok: 201, body: `{}`},
		{route: "POST /v2/images", about: aboutProject, rules: []string{"add_image", "publicize_image"}, ok: 201, body: `{"visibility":"public"}`},
		{route: "POST /v2/images", about: aboutProject, rules: []string{"add_image", "communitize_image"}, ok: 201, body: `{"visibility":"community"}`},
		{route: "POST /v2/images", about: aboutProject, rules: []string{"add_image", "context_is_admin"}, ok: 201, body: `{"owner":"somebody"}`},
		{route: "POST /v1/imports", about: aboutProject, rules: []string{"ingest:submit"}, ok: 202, body: someImport},
		{route: "POST /v1/imports", about: aboutProject, rules: []string{"ingest:submit", "publicize_image"}, ok: 202, body: submitPublic},
		{route: "POST /v1/imports", about: aboutProject, rules: []string{"ingest:plan"}, ok: 404, path: "/v1/imports?dry_run=true", body: someImport},
		{route: "POST /v2/tasks", about: aboutProject, rules: []string{"tasks_api_access", "add_task"}, ok: 201, body: someTask},
		{route: "POST /v2/tasks", about: aboutProject, rules: []string{"tasks_api_access", "add_task", "publicize_image"}, ok: 201, body: publicTask},
		{route: "GET /v2/tasks", about: aboutProject, rules: []string{"tasks_api_access", "get_tasks"}, ok: 200},
		{route: "GET /v1/tasks", about: aboutProject, rules: []string{"get_tasks"}, ok: 200},
		{route: "GET /v2/cache", about: aboutProject, rules: []string{"cache_list"}, ok: 200},
		{route: "DELETE /v2/cache", about: aboutProject, rules: []string{"cache_delete"}, ok: 204},
		{route: "POST /v2/cache/{id}", about: aboutProject, rules: []string{"cache_delete"}, ok: 200, path: "/v2/cache/prune"},
		{route: "GET /v1/cache", about: aboutProject, rules: []string{"ingest:cache_view"}, ok: 200},
		{route: "POST /v1/fsck", about: aboutProject, rules: []string{"ingest:fsck"}, ok: 200, body: `{}`},
		{route: "POST /v1/gc", about: aboutProject, rules: []string{"ingest:gc"}, ok: 202, body: `{}`},
		{route: "GET /v1/webhooks", about: aboutProject, rules: []string{"ingest:webhooks"}, ok: 200},
		{route: "POST /v1/webhooks", about: aboutProject, rules: []string{"ingest:webhooks"}, ok: 201, body: `{"url":"https://example.org/"}`},
		{route: "GET /v1/gc/{id}", about: aboutProject, rules: []string{"ingest:gc"}, ok: 200, path: "/v1/gc/" + uuid.NewString()},

		{route: "GET /v2/images/{id}", about: aboutImage, rules: []string{"get_image"}, ok: 200},
		{route: "DELETE /v2/images/{id}", about: aboutImage, rules: []string{"delete_image"}, ok: 204, guarded: true},
		{route: "PATCH /v2/images/{id}", about: aboutImage, rules: []string{"modify_image"}, ok: 200, body: `[{"op":"replace","path":"/name","value":"n"}]`},
		{route: "PATCH /v2/images/{id}", about: aboutImage, rules: []string{"modify_image", "publicize_image"}, ok: 200, body: `[{"op":"replace","path":"/visibility","value":"public"}]`},
		{route: "PATCH /v2/images/{id}", about: aboutImage, rules: []string{"modify_image", "communitize_image"}, ok: 200, body: `[{"op":"replace","path":"/visibility","value":"community"}]`},
		{route: "PATCH /v2/images/{id}", about: aboutImage, rules: []string{"modify_image", "ingest:change_owner"}, ok: 200, body: `[{"op":"replace","path":"/owner","value":"somebody"}]`},
		{route: "POST /v2/images/{id}/actions/deactivate", about: aboutImage, rules: []string{"deactivate"}, ok: 204},
		{route: "POST /v2/images/{id}/actions/reactivate", about: aboutImage, rules: []string{"reactivate"}, ok: 204},
		{route: "POST /v2/images/{id}/import", about: aboutImage, rules: []string{"modify_image"}, ok: 409, body: `{"method":{"name":"web-download","uri":"https://h/i"}}`},
		{route: "POST /v2/images/{id}/import", about: aboutImage, rules: []string{"copy_image"}, ok: 202, body: copyTo},
		{route: "GET /v2/images/{id}/file", about: aboutImage, rules: []string{"download_image"}, ok: 200},
		{route: "PUT /v2/images/{id}/file", about: aboutImage, rules: []string{"upload_image"}, ok: 415},
		{route: "PUT /v2/images/{id}/stage", about: aboutImage, rules: []string{"upload_image"}, ok: 415},
		{route: "GET /v2/images/{id}/locations", about: aboutImage, rules: []string{"fetch_image_location"}, ok: 404},
		{route: "POST /v2/images/{id}/locations", about: aboutImage, rules: []string{"add_image_location"}, ok: 404, body: `{"url":"file:///x"}`},
		{route: "GET /v2/images/{id}/tasks", about: aboutImage, rules: []string{"ingest:image_tasks"}, ok: 200},
		{route: "PUT /v2/images/{id}/tags/{tag}", about: aboutImage, rules: []string{"modify_image"}, ok: 204},
		{route: "DELETE /v2/images/{id}/tags/{tag}", about: aboutImage, rules: []string{"modify_image"}, ok: 204},
		{route: "GET /v2/images/{id}/members", about: aboutImage, rules: []string{"get_members"}, ok: 200, sharedOnly: true},
		{route: "POST /v2/images/{id}/members", about: aboutImage, rules: []string{"add_member"}, ok: 200, body: `{"member":"violet"}`, sharedOnly: true},
		{route: "GET /v2/images/{id}/members/{member}", about: aboutImage, rules: []string{"get_member"}, ok: 200, sharedOnly: true, hides: true},
		{route: "PUT /v2/images/{id}/members/{member}", about: aboutImage, rules: []string{"modify_member"}, ok: 200, body: `{"status":"rejected"}`, sharedOnly: true},
		{route: "DELETE /v2/images/{id}/members/{member}", about: aboutImage, rules: []string{"delete_member"}, ok: 204, sharedOnly: true},
		{route: "DELETE /v2/stores/{store}/{id}", about: aboutImage, rules: []string{"delete_image_location"}, ok: 204, guarded: true},
		{route: "PUT /v2/cache/{id}", about: aboutImage, rules: []string{"cache_image"}, ok: 202},
		{route: "DELETE /v2/cache/{id}", about: aboutImage, rules: []string{"cache_delete"}, ok: 204},
		{route: "GET /v1/images/{id}/provenance", about: aboutImage, rules: []string{"ingest:provenance"}, ok: 200},
		{route: "POST /v1/images/{id}/restore", about: aboutImage, rules: []string{"ingest:restore"}, ok: 409, ownOnly: true},

		{route: "GET /v2/tasks/{id}", about: aboutTask, rules: []string{"tasks_api_access", "get_task"}, ok: 200},
		{route: "GET /v1/tasks/{id}", about: aboutTask, rules: []string{"get_task"}, ok: 200},
		{route: "GET /v1/tasks/{id}/progress", about: aboutTask, rules: []string{"get_task"}, ok: 200},
		{route: "GET /v1/tasks/{id}/events", about: aboutTask, rules: []string{"get_task"}, ok: 200},
		{route: "GET /v1/tasks/{id}/policy", about: aboutTask, rules: []string{"get_task"}, ok: 200},
		{route: "GET /v1/tasks/{id}/stream", about: aboutTask, rules: []string{"get_task"}, ok: 400},
		{route: "POST /v1/tasks/{id}/cancel", about: aboutTask, rules: []string{"ingest:modify_task"}, ok: 202},
		{route: "POST /v1/tasks/{id}/pause", about: aboutTask, rules: []string{"ingest:modify_task"}, ok: 202},
		{route: "POST /v1/tasks/{id}/resume", about: aboutTask, rules: []string{"ingest:modify_task"}, ok: 202},
		{route: "POST /v1/tasks/{id}/retry", about: aboutTask, rules: []string{"ingest:modify_task"}, ok: 409},
		{route: "PUT /v1/tasks/{id}/priority", about: aboutTask, rules: []string{"ingest:task_priority"}, ok: 202, body: `{"priority":7}`},
	}
}

// elsewhere names, for the beginnings of further routes, the test that has the table of
// theirs.
func elsewhere() map[string]string {
	return map[string]string{
		"/v2/metadefs/": "accessmetadefs_test.go",
		"/v1/webhooks/": "webhooks_test.go",
		"/v1/schedules": "schedules_test.go",
		"/v1/exports":   "exports_test.go",
		"/v1/bulk":      "bulk_test.go",
		"/v1/schemas/":  "nowhere: they are the same for everybody",
		"/v2/schemas/":  "nowhere: they are the same for everybody",
	}
}

func TestEveryRouteIsInTheAccessTable(t *testing.T) {
	known := map[string]bool{}
	for _, row := range accessTable() {
		known[row.route] = true
		for _, rule := range row.rules {
			if _, ok := access.Standard().Rule(rule); !ok {
				t.Errorf("%s asks for %s, which is no rule", row.route, rule)
			}
		}
	}
	a := &api{}
	for _, rt := range a.routes() {
		name := rt.method + " " + rt.path
		there := known[name]
		for begin := range elsewhere() {
			there = there || strings.HasPrefix(rt.path, begin)
		}
		if !there {
			t.Errorf("%s is in no row of accessTable: who may do this?", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("accessTable knows %s, which there is not", name)
	}
}

// A place is where the caller stands to an image of the project red.
type place struct{ name, project, status string }

var (
	owner    = place{"owner", "red", "accepted"}
	accepted = place{"accepted member", "blue", "accepted"}
	pending  = place{"pending member", "blue", "pending"}
	stranger = place{"stranger", "green", "accepted"}
)

var everyRole = []string{"none", "reader", "member", "admin", "service"}

// rolesHeader says roles in a request.
func rolesHeader(project, role string) []string {
	if role == "none" {
		role = ","
	}
	return []string{"X-Project-Id", project, "X-Roles", role}
}

// sees says, beside and not by the rules, who sees an image.
func sees(p place, role, visibility string) bool {
	switch role {
	case "admin":
		return true
	case "none", "service":
		return false
	}
	if p == owner || visibility == "public" || visibility == "community" {
		return true
	}
	return visibility == "shared" && p != stranger
}

// expect derives the answer from the row and the rules.
func (row accessRow) expect(p place, role, visibility string, protected bool) int {
	rules, who := access.Standard(), identity.Caller{Project: p.project}
	if role != "none" {
		who.Roles = []string{role}
	}
	target := access.NewTarget(p.project)
	denied := 403
	switch row.about {
	case aboutNothing:
		return row.ok
	case aboutImage:
		target = access.NewTarget("red")
		target.Set("visibility", visibility)
		if visibility == "shared" && p != owner && p != stranger {
			target.Set("member_id", p.project)
		}
		if strings.HasPrefix(row.rules[0], "cache_") {
			target = access.NewTarget(p.project) // the cache is the server's
			if !rules.Allows(row.rules[0], who, target) {
				return 403
			}
		}
		if !sees(p, role, visibility) || row.ownOnly && p != owner && role != "admin" {
			return 404
		}
	case aboutTask:
		target = access.NewTarget("red")
		if row.rules[0] == "tasks_api_access" && !rules.Allows("tasks_api_access", who, target) {
			return 403
		}
		if p != owner && role != "admin" || role == "none" || role == "service" {
			return 404
		}
	}
	if row.hides {
		denied = 404
	}
	if row.sharedOnly && visibility != "shared" {
		return denied
	}
	for _, rule := range row.rules {
		if !rules.Allows(rule, who, target) {
			return denied
		}
	}
	if row.guarded && protected {
		return 403
	}
	return row.ok
}

// accessBench is a server that authenticates, with all that routes need.
type accessBench struct {
	*bench
	provenance []byte
	kept       map[string]string // ids of images that were asked about before
}

func newAccessBench(t *testing.T) *accessBench {
	t.Helper()
	kept := &blobs{data: map[string][]byte{}}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), MaxBytes: 8 << 20, Stall: time.Hour, Source: kept, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	doc, err := provenance.Recorder{}.Record(provenance.Import{Done: contract.DiskDone{ImageID: "i", Checksummed: contract.Checksummed{HashAlgo: "sha256", HashValue: "aa"}}})
	if err != nil {
		t.Fatal(err)
	}
	b := &accessBench{provenance: doc, kept: map[string]string{}}
	b.bench = newBench(t, func(d *Deps) {
		d.Identity, d.Cache, d.Blobs = proven{}, c, kept
		d.Stores = []string{"local", "far", "third"}
		d.Reaper, d.Checker = &keeper{ask: 1}, &keeper{}
	})
	b.blobs = kept
	return b
}

// imageFor returns an image, one that was asked about before if the request changes
// nothing that matters, or should be refused.
func (b *accessBench) imageFor(row accessRow, p place, role, visibility string, protected bool) string {
	b.t.Helper()
	refused := row.expect(p, role, visibility, protected) != row.ok
	if !refused && !strings.HasPrefix(row.route, "GET ") && !strings.HasPrefix(row.route, "PUT ") {
		return b.image(p, visibility, protected)
	}
	key := fmt.Sprint(row.route, p.status, visibility, protected)
	if b.kept[key] == "" {
		b.kept[key] = b.image(p, visibility, protected)
	}
	return b.kept[key]
}

// image makes an active image of the project red in two stores, with blue as its
// member.
func (b *accessBench) image(p place, visibility string, protected bool) string {
	b.t.Helper()
	ctx := b.t.Context()
	s := b.submit(someImport, rolesHeader("red", "member")...)
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	must(b.cat.Start(ctx, s.TaskID))
	key := s.ImageID + "/upload"
	b.blobs.data["local/"+key], b.blobs.data["far/"+key] = []byte("bytes"), []byte("bytes")
	const sha = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9" // of "bytes"
	must(b.cat.Activate(ctx, metadata.Activation{TaskID: s.TaskID, Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{{
		ImageID: s.ImageID, DiskFormat: "qcow2", Size: 5, VirtualSize: 1 << 20, HashAlgo: "sha256", HashValue: sha,
		Store: "local", Key: key, Copies: []metadata.Location{{Store: "far", Key: key}}, Provenance: b.provenance,
	}}}))
	_, err := b.cat.AddMember(ctx, s.ImageID, "blue", 128)
	must(err)
	_, err = b.cat.SetMember(ctx, s.ImageID, "blue", metadata.MemberStatus(p.status))
	must(err)
	must(b.cat.AddTag(ctx, s.ImageID, "there", 128))
	_, err = b.cat.UpdateImage(ctx, s.ImageID, func(m *metadata.Image) error {
		m.Visibility, m.Protected = visibility, protected
		return nil
	})
	must(err)
	return s.ImageID
}

// ask makes the row's request and returns the answer.
func (b *accessBench) ask(row accessRow, p place, role, id string) answer {
	method, path, _ := strings.Cut(row.route, " ")
	if row.path != "" {
		path = row.path
	}
	path = strings.NewReplacer("{id}", id, "{tag}", "there", "{member}", "blue", "{store}", "far").Replace(path)
	header := rolesHeader(p.project, role)
	if strings.HasSuffix(path, "/stream") {
		header = append(header, "Last-Event-ID", "not a number") // or it would not end
	}
	if method == "PATCH" {
		header = append(header, "Content-Type", patchNew)
	}
	return b.do(method, path, row.body, header...)
}

// TestAccessTable asks every route as everybody about every image, and compares the
// answers with what rows and rules say.
func TestAccessTable(t *testing.T) {
	t.Parallel()
	b := newAccessBench(t)
	n := 0
	check := func(row accessRow, p place, role, visibility string, protected bool, id string) {
		t.Helper()
		n++
		a := b.ask(row, p, role, id)
		if want := row.expect(p, role, visibility, protected); a.StatusCode != want {
			t.Errorf("%s %s by a %s, role %s, of an image that is %s, protected %v: got %d, want %d: %.300s",
				row.route, row.body, p.name, role, visibility, protected, a.StatusCode, want, a.body)
		}
		if a.StatusCode == 403 && !strings.Contains(string(a.body), `"evidence":`) && !row.guarded {
			t.Errorf("%s by a %s, role %s: the refusal names no rule: %s", row.route, p.name, role, a.body)
		}
	}
	for _, row := range accessTable() {
		for _, role := range everyRole {
			switch row.about {
			case aboutNothing, aboutProject:
				check(row, owner, role, "private", false, "")
			case aboutTask:
				for _, p := range []place{owner, stranger} {
					s := b.submit(someImport, rolesHeader("red", "member")...)
					check(row, p, role, "private", false, s.TaskID)
				}
			case aboutImage:
				for _, p := range []place{owner, accepted, pending, stranger} {
					for _, visibility := range visibilities {
						for _, protected := range []bool{false, true} {
							id := b.imageFor(row, p, role, visibility, protected)
							check(row, p, role, visibility, protected, id)
						}
					}
				}
			}
		}
	}
	t.Logf("%d requests", n)
}

// accessOracle is written by hand, from Glance's documentation, for what matters most.
// Columns are the roles none, reader, member, admin, service; "y" is allowed, "n" 403
// and "-" 404.
const accessOracle = `
                                       private  shared  community  public
GET /v2/images/{id}
  owner                                -yyy-    -yyy-   -yyy-      -yyy-
  accepted member                      ---y-    -yyy-   -yyy-      -yyy-
  pending member                       ---y-    -yyy-   -yyy-      -yyy-
  stranger                             ---y-    ---y-   -yyy-      -yyy-
GET /v2/images/{id}/file
  owner                                -nyy-    -nyy-   -nyy-      -nyy-
  accepted member                      ---y-    -nyy-   -nyy-      -nyy-
  pending member                       ---y-    -nyy-   -nyy-      -nyy-
  stranger                             ---y-    ---y-   -nyy-      -nyy-
DELETE /v2/images/{id}
  owner                                -nyy-    -nyy-   -nyy-      -nyy-
  accepted member                      ---y-    -nny-   -nny-      -nny-
  pending member                       ---y-    -nny-   -nny-      -nny-
  stranger                             ---y-    ---y-   -nny-      -nny-
PUT /v2/images/{id}/tags/{tag}
  owner                                -nyy-    -nyy-   -nyy-      -nyy-
  accepted member                      ---y-    -nny-   -nny-      -nny-
  stranger                             ---y-    ---y-   -nny-      -nny-
GET /v2/images/{id}/members
  owner                                -nnn-    -yyy-   -nnn-      -nnn-
  accepted member                      ---n-    -yyy-   -nnn-      -nnn-
  pending member                       ---n-    -yyy-   -nnn-      -nnn-
  stranger                             ---n-    ---y-   -nnn-      -nnn-
POST /v2/images/{id}/members
  owner                                -nnn-    -nyy-   -nnn-      -nnn-
  accepted member                      ---n-    -nny-   -nnn-      -nnn-
  stranger                             ---n-    ---y-   -nnn-      -nnn-
PUT /v2/images/{id}/members/{member}
  owner                                -nnn-    -nny-   -nnn-      -nnn-
  accepted member                      ---n-    -nyy-   -nnn-      -nnn-
  pending member                       ---n-    -nyy-   -nnn-      -nnn-
  stranger                             ---n-    ---y-   -nnn-      -nnn-
DELETE /v2/stores/{store}/{id}
  owner                                -nny-    -nny-   -nny-      -nny-
  stranger                             ---y-    ---y-   -nny-      -nny-
GET /v2/images/{id}/tasks
  owner                                -yyy-    -yyy-   -yyy-      -yyy-
  accepted member                      ---y-    -nny-   -nny-      -nny-
  stranger                             ---y-    ---y-   -nny-      -nny-
`

func TestAccessOracle(t *testing.T) {
	t.Parallel()
	b := newAccessBench(t)
	places := []place{owner, accepted, pending, stranger}
	var row accessRow
	for line := range strings.Lines(accessOracle) {
		fields := strings.Fields(line)
		if i := slices.IndexFunc(accessTable(), func(r accessRow) bool { return r.route == strings.TrimSpace(line) }); i >= 0 {
			row = accessTable()[i]
			continue
		}
		i := slices.IndexFunc(places, func(p place) bool { return strings.HasPrefix(strings.TrimSpace(line), p.name) })
		if i < 0 {
			continue
		}
		for v, cells := range fields[len(fields)-4:] {
			for r, cell := range cells {
				visibility, role := visibilities[v], everyRole[r]
				id := b.imageFor(row, places[i], role, visibility, false)
				want := map[rune]int{'y': row.ok, 'n': 403, '-': 404}[cell]
				if a := b.ask(row, places[i], role, id); a.StatusCode != want {
					t.Errorf("%s by a %s, role %s, of an image that is %s: got %d, want %d: %.300s", row.route, places[i].name, role, visibility, a.StatusCode, want, a.body)
				}
			}
		}
	}
}
