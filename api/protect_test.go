package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/metadata"
)

const someProtections = `[^x_billing]
create = admin
read = admin, member
update = admin
delete = admin
[^x_secret]
create = @
read = admin
update = @
delete = !
[.*]
create = @
read = @
update = @
delete = @
`

func withProtections(t *testing.T, text string) func(*Deps) {
	t.Helper()
	p, problems := access.ParseProtections([]byte(text), access.ByRoles)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return func(d *Deps) {
		d.Identity = proven{}
		d.Protections = func() *access.Protections { return p }
	}
}

func TestProtectedPropertiesAreMadeAndSeenByWhoMay(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections))
	member, admin, reader := rolesHeader("red", "member"), rolesHeader("red", "admin"), rolesHeader("red", "reader")
	for path, body := range map[string]string{
		"/v2/images":  `{"x_billing_code":"7"}`,
		"/v1/imports": `{"source":{"url":"https://h/i"},"image":{"properties":{"x_billing_code":"7"}}}`,
	} {
		a := b.do("POST", path, body, member...).want(t, 403, errcode.Forbidden)
		if !strings.Contains(string(a.body), `"field":"x_billing_code","value":"create"`) {
			t.Errorf("the refusal names no property: %s", a.body)
		}
	}
	var img wire.Image
	b.do("POST", "/v2/images", `{"x_billing_code":"7","x_secret_key":"s","colour":"blue"}`, admin...).want(t, 201, "").into(t, &img)
	for _, c := range []struct {
		role   []string
		expect map[string]string
	}{
		{admin, map[string]string{"x_billing_code": "7", "x_secret_key": "s", "colour": "blue"}},
		{member, map[string]string{"x_billing_code": "7", "colour": "blue"}},
		{reader, map[string]string{"colour": "blue"}},
	} {
		for _, path := range []string{"/v2/images/" + img.ID, "/v2/images"} {
			body := string(b.do("GET", path, "", c.role...).want(t, 200, "").body)
			for name, value := range map[string]string{"x_billing_code": "7", "x_secret_key": "s", "colour": "blue"} {
				_, may := c.expect[name]
				if strings.Contains(body, `"`+name+`":"`+value+`"`) != may {
					t.Errorf("%s by %v: %s shown is %v", path, c.role, name, !may)
				}
			}
		}
	}
	// What was made without being allowed to read it is not shown in the answer either.
	if a := b.do("POST", "/v2/images", `{"x_secret_key":"s"}`, member...).want(t, 201, ""); strings.Contains(string(a.body), "x_secret_key") {
		t.Errorf("shown: %s", a.body)
	}
}

func TestWhatIsNotReadIsNotFoundOutElsewhere(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections))
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	b.do("POST", "/v2/images", `{"name":"mine","x_secret_key":"s","colour":"blue"}`, admin...).want(t, 201, "")
	for query, want := range map[string]string{"colour=blue": "mine", "x_secret_key=s": "", "x_secret_key=s&colour=blue": "", "x_secret_key=guess": ""} {
		if got := b.names(query, member...); got != want {
			t.Errorf("a member finds %q by %s, want %q", got, query, want)
		}
	}
	if got := b.names("x_secret_key=s", admin...); got != "mine" {
		t.Errorf("who may read the property finds %q", got)
	}

	s := b.submit(`{"source":{"url":"https://h/i"},"image":{"properties":{"x_secret_key":"hush","colour":"blue"}}}`, admin...)
	for _, path := range []string{"/v1/tasks", "/v1/tasks/" + s.TaskID, "/v2/tasks/" + s.TaskID, "/v2/images/" + s.ImageID + "/tasks"} {
		if body := string(b.do("GET", path, "", member...).want(t, 200, "").body); strings.Contains(body, "hush") {
			t.Errorf("%s shows the property: %s", path, body)
		}
	}
	if body := string(b.do("GET", "/v1/tasks/"+s.TaskID, "", member...).body); !strings.Contains(body, `"colour":"blue"`) {
		t.Errorf("what may be read is hidden, too: %s", body)
	}
	if body := string(b.do("GET", "/v1/tasks/"+s.TaskID, "", admin...).body); !strings.Contains(body, "hush") {
		t.Errorf("it is hidden from who may read it: %s", body)
	}
}

// Who steers a task, or listens to its end, is told no more of it than who looks at it.
func TestWhatIsNotReadIsNotToldOfTasksThatAreSteered(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections))
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	s := b.submit(`{"source":{"url":"https://h/i"},"image":{"properties":{"x_secret_key":"hush","colour":"blue"}}}`, admin...)
	for _, c := range []struct{ method, what, body string }{
		{"POST", "pause", ""}, {"POST", "resume", ""}, {"PUT", "priority", `{"priority":1}`}, {"POST", "cancel", ""},
	} {
		body := string(b.do(c.method, "/v1/tasks/"+s.TaskID+"/"+c.what, c.body, member...).want(t, 202, "").body)
		if strings.Contains(body, "hush") || !strings.Contains(body, `"colour":"blue"`) {
			t.Errorf("%s tells: %s", c.what, body)
		}
	}
	if err := b.cat.Fail(t.Context(), s.TaskID, metadata.TaskError{Code: errcode.TaskCancelled}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who    []string
		secret bool
	}{{member, false}, {admin, true}, {member, false}} {
		events, _ := listen(t, srv.URL+"/v1/tasks/"+s.TaskID+"/stream", c.who...)
		all := await(t, events, "end")
		if end := all[len(all)-1].data; strings.Contains(end, "hush") != c.secret || !strings.Contains(end, `"colour":"blue"`) {
			t.Errorf("the end that %v is told of: %s", c.who, end)
		}
	}
}

func TestProtectedPropertiesAreChangedByWhoMay(t *testing.T) {
	var a *api
	newBench(t, withProtections(t, someProtections), func(d *Deps) { a = &api{Deps: *d} })
	a.Access = access.Standard
	for _, c := range []struct {
		name, role    string
		before, after map[string]string
		denied        string
	}{
		{"nothing changes", "member", map[string]string{"x_billing_a": "1"}, map[string]string{"x_billing_a": "1"}, ""},
		{"another property", "member", map[string]string{"x_billing_a": "1"}, map[string]string{"x_billing_a": "1", "b": "2"}, ""},
		{"create", "member", nil, map[string]string{"x_billing_a": "1"}, "create"},
		{"update", "member", map[string]string{"x_billing_a": "1"}, map[string]string{"x_billing_a": "2"}, "update"},
		{"delete", "member", map[string]string{"x_billing_a": "1"}, nil, "delete"},
		{"by an administrator", "admin", map[string]string{"x_billing_a": "1", "x_billing_b": "1"}, map[string]string{"x_billing_a": "2", "x_billing_c": "3"}, ""},
		{"what nobody may", "admin", map[string]string{"x_secret": "1"}, nil, "delete"},
		{"what is not seen can be written", "member", map[string]string{"x_secret": "1"}, map[string]string{"x_secret": "2"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := http.NewRequest("PATCH", "/", nil)
			for i, h := 0, rolesHeader("red", c.role); i < len(h); i += 2 {
				r.Header.Set(h[i], h[i+1])
			}
			r = asked(t, r)
			err := a.protectProperties(r, c.before, c.after)
			e, _ := errcode.As(err)
			if (c.denied == "") != (err == nil) || e != nil && (e.Code != errcode.Forbidden || e.Evidence.Value != c.denied) {
				t.Errorf("got %v, want %q denied", err, c.denied)
			}
		})
	}
}

func TestListsShowWhatMayBeSeen(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Identity = proven{} })
	ctx := context.Background()
	for _, owner := range []string{"red", "blue"} {
		for _, visibility := range visibilities {
			var img wire.Image
			b.do("POST", "/v2/images", `{"name":"`+owner+"-"+visibility+`","visibility":"`+visibility+`","owner":"`+owner+`"}`, rolesHeader("root", "admin")...).want(t, 201, "").into(t, &img)
			if owner == "blue" && visibility == "shared" {
				if _, err := b.cat.AddMember(ctx, img.ID, "red", 128); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const redOwn, sort = "red-community red-private red-public red-shared", "&sort=name:asc"
	red, admin := rolesHeader("red", "reader"), rolesHeader("root", "admin")
	for _, c := range []struct {
		query string
		who   []string
		want  string
	}{
		{"", red, "blue-public " + redOwn},
		{"visibility=community", red, "blue-community red-community"},
		{"visibility=all", red, "blue-community blue-public " + redOwn},
		{"visibility=private", red, "red-private"},
		{"owner=blue", red, "blue-public"},
		{"member_status=pending", red, "blue-public blue-shared " + redOwn},
		{"visibility=shared&member_status=all", red, "blue-shared red-shared"},
		{"visibility=all", admin, "blue-community blue-private blue-public blue-shared " + redOwn},
		{"owner=blue&visibility=private", admin, "blue-private"},
	} {
		if got := b.names(c.query+sort, c.who...); got != c.want {
			t.Errorf("%s by %v: got %q, want %q", c.query, c.who, got, c.want)
		}
	}
	b.do("GET", "/v2/images", "", rolesHeader("red", "none")...).want(t, 403, errcode.Forbidden)
}

func TestRulesOfTheOperatorAreInForceAtOnce(t *testing.T) {
	rules := access.Standard()
	b := newBench(t, func(d *Deps) {
		d.Identity = proven{}
		d.Access = func() *access.Rules { return rules }
	})
	member := rolesHeader("red", "member")
	a := b.do("POST", "/v2/images", `{"visibility":"public"}`, member...).want(t, 403, errcode.Forbidden)
	if !strings.Contains(string(a.body), `"field":"publicize_image"`) {
		t.Errorf("the refusal names no rule: %s", a.body)
	}
	var problems []access.Problem
	if rules, problems = access.Standard().Override("f", []byte("publicize_image: role:member\nget_image: '@'\n")); len(problems) > 0 {
		t.Fatal(problems)
	}
	b.do("POST", "/v2/images", `{"visibility":"public"}`, member...).want(t, 201, "")
	// No rule opens what is private.
	var img wire.Image
	b.do("POST", "/v2/images", `{"visibility":"private"}`, member...).want(t, 201, "").into(t, &img)
	b.do("GET", "/v2/images/"+img.ID, "", rolesHeader("green", "member")...).want(t, 404, errcode.NotFound)
}

func TestDeactivatedImagesAreReadByAdministratorsOnly(t *testing.T) {
	b := newAccessBench(t)
	id := b.image(owner, "public", false)
	if _, err := b.cat.UpdateImage(t.Context(), id, func(m *metadata.Image) error { m.Status = metadata.ImageDeactivated; return nil }); err != nil {
		t.Fatal(err)
	}
	for role, status := range map[string]int{"member": 403, "admin": 200} {
		if a := b.do("GET", "/v2/images/"+id+"/file", "", rolesHeader("red", role)...); a.StatusCode != status {
			t.Errorf("%s: got %d, want %d", role, a.StatusCode, status)
		}
	}
}

// aTimetable keeps schedules, and runs none.
type aTimetable struct{}

func (aTimetable) Tell(context.Context, string) error                { return nil }
func (aTimetable) Next(context.Context, string) ([]time.Time, error) { return nil, nil }
func (aTimetable) Backfill(context.Context, string, time.Time, time.Time) (int, error) {
	return 0, nil
}

func TestWhatIsNotReadIsNotShownWithSchedules(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections), func(d *Deps) { d.Schedules = aTimetable{} })
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	var made wire.Schedule
	b.do("POST", "/v1/schedules", `{"name":"n","timing":{"every_seconds":3600},"trust":"none","import":{"source":{"url":"https://h/i"},
		"image":{"name":"newest","properties":{"x_secret_key":"hush","colour":"blue"}}}}`, admin...).want(t, 201, "").into(t, &made)
	for _, c := range []struct{ method, path string }{
		{"GET", "/v1/schedules"}, {"GET", "/v1/schedules/" + made.ID}, {"POST", "/v1/schedules/" + made.ID + "/pause"}, {"POST", "/v1/schedules/" + made.ID + "/resume"},
	} {
		for _, who := range [][]string{member, admin} {
			body := string(b.do(c.method, c.path, "", who...).want(t, 200, "").body)
			if strings.Contains(body, "hush") != (who[3] == "admin") || !strings.Contains(body, `"colour":"blue"`) {
				t.Errorf("%s %s tells %s: %s", c.method, c.path, who[3], body)
			}
		}
	}
}

// What another project has, or had, is answered as what never was, to the letter.
func TestWhatIsHiddenIsAnsweredLikeWhatIsNot(t *testing.T) {
	b := newBench(t, func(d *Deps) { d.Identity = proven{} })
	red, blue, admin := rolesHeader("red", "member"), rolesHeader("blue", "member"), rolesHeader("red", "admin")
	there, gone := b.imageID(`{"visibility":"private"}`, red...), b.imageID(`{"visibility":"private"}`, red...)
	b.do("DELETE", "/v2/images/"+gone, "", red...).want(t, 204, "")
	task := b.submit(someImport, red...).TaskID
	hook, err := b.cat.AddWebhook(t.Context(), metadata.Webhook{Owner: "red", URL: "https://h/", Events: metadata.WebhookEvents(), Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/v2/metadefs/namespaces", `{"namespace":"RED::Secret","visibility":"private"}`, admin...).want(t, 201, "")
	never := uuid.NewString()
	for _, c := range []struct{ method, path, id, not string }{
		{"GET", "/v2/images/%s", there, never},
		{"GET", "/v2/images/%s", gone, never},
		{"DELETE", "/v2/images/%s", gone, never},
		{"GET", "/v2/images/%s/file", gone, never},
		{"POST", "/v1/images/%s/restore", there, never},
		{"POST", "/v1/images/%s/restore", gone, never},
		{"GET", "/v2/images/%s/members", there, never},
		{"GET", "/v2/images/%s/members/blue", there, never},
		{"GET", "/v1/tasks/%s", task, never},
		{"GET", "/v2/tasks/%s", task, never},
		{"POST", "/v1/tasks/%s/pause", task, never},
		{"GET", "/v1/webhooks/%s", hook.ID, never},
		{"DELETE", "/v1/webhooks/%s", hook.ID, never},
		{"GET", "/v2/metadefs/namespaces/%s", "RED::Secret", "NEVER"},
		{"GET", "/v2/metadefs/namespaces?marker=%s", "RED::Secret", "NEVER"},
		{"GET", "/v2/images?marker=%s", there, never},
	} {
		answer := func(id string) string {
			got := b.do(c.method, fmt.Sprintf(c.path, id), "", blue...)
			return fmt.Sprint(got.StatusCode, " ", strings.ReplaceAll(string(got.body), id, "ID"))
		}
		hidden, absent := answer(c.id), answer(c.not)
		if cut := regexp.MustCompile(`req-[0-9a-f-]+`); cut.ReplaceAllString(hidden, "") != cut.ReplaceAllString(absent, "") {
			t.Errorf("%s %s\nis answered: %s\nand not as:  %s", c.method, c.path, hidden, absent)
		}
	}
}

// asked puts into a request who its headers say makes it.
func asked(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	c, err := proven{}.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(identity.With(r.Context(), c))
}
