package api

import (
	"fmt"
	"strings"
	"testing"

	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// closedBench judges callers as a server does that knows who they are.
func closedBench(t *testing.T) *bench {
	t.Helper()
	rules := access.Standard()
	return newBench(t, func(d *Deps) { d.Access = func() *access.Rules { return rules } })
}

// as is the headers of a caller.
func as(project, roles string) []string { return []string{"X-Project-Id", project, "X-Roles", roles} }

// filled makes a namespace of the project red with one of each in it.
func filledNamespace(b *bench, name, visibility string, protected bool) {
	b.t.Helper()
	body := fmt.Sprintf(`{"namespace":%q,"visibility":%q,"protected":%v,"resource_type_associations":[{"name":"T","prefix":"t_"}],`+
		`"properties":{"p":{"title":"P","type":"string"}},"objects":[{"name":"o"}],"tags":[{"name":"g"}]}`, name, visibility, protected)
	b.do("POST", "/v2/metadefs/namespaces", body, as("red", "admin")...).want(b.t, 201, "")
}

// metadefCalls are all routes below a namespace, with a body that is right, and what an
// administrator gets.
func metadefCalls() []struct {
	call, body string
	status     int
	removes    bool // what protection keeps
} {
	return []struct {
		call, body string
		status     int
		removes    bool
	}{
		{"GET ", "", 200, false},
		{"PUT ", `{"namespace":"N"}`, 200, false},
		{"DELETE ", "", 204, true},
		{"GET /resource_types", "", 200, false},
		{"POST /resource_types", `{"name":"new"}`, 201, false},
		{"DELETE /resource_types/T", "", 204, true},
		{"GET /properties", "", 200, false},
		{"POST /properties", `{"name":"new","title":"x","type":"string"}`, 201, false},
		{"DELETE /properties", "", 204, true},
		{"GET /properties/p", "", 200, false},
		{"PUT /properties/p", `{"name":"p","title":"x","type":"string"}`, 200, false},
		{"DELETE /properties/p", "", 204, true},
		{"GET /objects", "", 200, false},
		{"POST /objects", `{"name":"new"}`, 201, false},
		{"DELETE /objects", "", 204, true},
		{"GET /objects/o", "", 200, false},
		{"PUT /objects/o", `{"name":"o"}`, 200, false},
		{"DELETE /objects/o", "", 204, true},
		{"GET /tags", "", 200, false},
		{"POST /tags", `{"tags":[{"name":"new"}]}`, 201, false},
		{"DELETE /tags", "", 204, true},
		{"GET /tags/g", "", 200, false},
		{"POST /tags/new", "", 201, false},
		{"PUT /tags/g", `{"name":"g"}`, 200, false},
		{"DELETE /tags/g", "", 204, true},
	}
}

// TestMetadefAccess sends every call by every role, from the owner's project and from
// another, to public, private and protected namespaces.
func TestMetadefAccess(t *testing.T) {
	calls := metadefCalls()
	// One more route makes a namespace, and two list without one.
	if routes := (&api{}).metadefRoutes(); len(routes) != len(calls)+3 {
		t.Errorf("there are %d routes, and %d calls", len(routes), len(calls))
	}
	for _, c := range calls {
		method, path, _ := strings.Cut(c.call, " ")
		for _, role := range []string{"admin", "member", "reader", "service", ""} {
			for _, project := range []string{"red", "blue"} {
				for _, state := range []string{"public", "private", "protected"} {
					b := closedBench(t)
					visibility := strings.Replace(state, "protected", "public", 1)
					filledNamespace(b, "N", visibility, state == "protected")
					want := c.status
					sees := role == "admin" || (role == "member" || role == "reader") && (project == "red" || visibility == "public")
					switch {
					case !sees:
						want = 404
					case method == "GET":
					case role != "admin":
						want = 403
					case c.removes && state == "protected":
						want = 403
					}
					roles := role
					if role == "" {
						roles = "nothing"
					}
					got := b.do(method, "/v2/metadefs/namespaces/N"+path, c.body, as(project, roles)...)
					if got.StatusCode != want {
						t.Errorf("%s by role %q of %s on a %s namespace: %d, want %d: %s", c.call, role, project, state, got.StatusCode, want, got.body)
					}
				}
			}
		}
	}
}

func TestNamespaceListShowsWhatIsSeen(t *testing.T) {
	b := closedBench(t)
	filledNamespace(b, "pub", "public", false)
	filledNamespace(b, "priv", "private", false)
	for _, c := range []struct{ project, roles, query, want string }{
		{"red", "admin", "", "[priv pub]"}, {"blue", "admin", "", "[priv pub]"}, {"red", "reader", "", "[priv pub]"}, {"blue", "member", "", "[pub]"},
		{"blue", "reader", "?visibility=private", "[]"}, {"red", "reader", "?visibility=private", "[priv]"}, {"blue", "reader", "?resource_types=T,x", "[pub]"},
		{"red", "reader", "?resource_types=x", "[]"}, {"red", "reader", "?sort_key=namespace&sort_dir=desc&limit=1", "[pub]"},
	} {
		var list namespaceList
		b.do("GET", "/v2/metadefs/namespaces"+c.query, "", as(c.project, c.roles)...).want(t, 200, "").into(t, &list)
		names := []string{}
		for _, ns := range list.Namespaces {
			names = append(names, ns.Namespace)
		}
		if fmt.Sprint(names) != c.want {
			t.Errorf("%s of %s%s: %v, want %s", c.roles, c.project, c.query, names, c.want)
		}
	}
	b.do("GET", "/v2/metadefs/namespaces", "", as("red", "service")...).want(t, 403, errcode.Forbidden)
	b.do("GET", "/v2/metadefs/resource_types", "", as("blue", "reader")...).want(t, 200, "")
	b.do("POST", "/v2/metadefs/namespaces", `{"namespace":"x"}`, as("red", "member")...).want(t, 403, errcode.Forbidden)
	// A marker that the caller may not see is none.
	b.do("GET", "/v2/metadefs/namespaces?marker=priv", "", as("blue", "reader")...).want(t, 404, errcode.NotFound)
}

// TestNamespacePages follows the links from page to page.
func TestNamespacePages(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.do("POST", "/v2/metadefs/namespaces", fmt.Sprintf(`{"namespace":"n/%d é"}`, i)).want(t, 201, "")
	}
	var got []string
	for path := "/v2/metadefs/namespaces?limit=2&foo=bar"; path != ""; {
		var list namespaceList
		b.do("GET", path, "").want(t, 200, "").into(t, &list)
		if list.First != "/v2/metadefs/namespaces?foo=bar&limit=2" {
			t.Errorf("first is %s", list.First)
		}
		for _, ns := range list.Namespaces {
			got = append(got, ns.Namespace)
			b.do("GET", ns.Self, "").want(t, 200, "") // the link leads to it, whatever it is called
		}
		path = list.Next
	}
	if fmt.Sprint(got) != "[n/4 é n/3 é n/2 é n/1 é n/0 é]" {
		t.Errorf("pages hold %v", got)
	}
}

// TestMetadefsAreAllOrNothing finds nothing of a request that is refused in its middle.
func TestMetadefsAreAllOrNothing(t *testing.T) {
	b := newBench(t)
	b.do("POST", "/v2/metadefs/namespaces", `{"namespace":"N","resource_type_associations":[{"name":"T"}],"tags":[{"name":"a"},{"name":"a"}]}`).want(t, 409, errcode.Conflict)
	b.do("GET", "/v2/metadefs/namespaces/N", "").want(t, 404, errcode.NotFound)
	var types struct {
		Types []any `json:"resource_types"`
	}
	b.do("GET", "/v2/metadefs/resource_types", "").want(t, 200, "").into(t, &types)
	if len(types.Types) != 0 {
		t.Errorf("types are left: %v", types.Types)
	}
	filledNamespace(b, "N", "public", false)
	b.do("POST", "/v2/metadefs/namespaces/N/tags", `{"tags":[{"name":"x"},{"name":"x"}]}`).want(t, 409, errcode.Conflict)
	b.do("GET", "/v2/metadefs/namespaces/N/tags/g", "").want(t, 200, "")
}

func TestMetadefLimits(t *testing.T) {
	b := newBench(t)
	filledNamespace(b, "N", "public", false)
	tags := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"name":"t%d"}`, i))
		}
		return `{"tags":[` + strings.Join(list, ",") + `]}`
	}
	b.do("POST", "/v2/metadefs/namespaces/N/tags", tags(metadata.MaxDefinitions+1)).want(t, 413, errcode.QuotaExceeded)
	b.do("POST", "/v2/metadefs/namespaces/N/tags", tags(metadata.MaxDefinitions)).want(t, 201, "")
	b.do("POST", "/v2/metadefs/namespaces/N/tags/more", "").want(t, 413, errcode.QuotaExceeded)
	b.do("POST", "/v2/metadefs/namespaces", `{"namespace":"`+strings.Repeat(" ", MaxBody)+`"}`).want(t, 413, errcode.BadRequest)
}

// TestMetadefRefusals sends what is no definition. None is the server's fault.
func TestMetadefRefusals(t *testing.T) {
	b := newBench(t)
	filledNamespace(b, "N", "public", false)
	for _, c := range []struct {
		path, body, field string
	}{
		{"", `{"namespace":"` + "\\u0000" + `"}`, "namespace"},
		{"", `{"namespace":"a\r\nSet-Cookie: x"}`, "namespace"},
		{"", `{"namespace":".."}`, "namespace"},
		{"", `{"namespace":"x","properties":{"":{"title":"x","type":"string"}}}`, "properties"},
		{"", `{"namespace":"x","properties":{"a":{"title":"x","type":"string","minLength":1e400}}}`, "properties.a.minLength"},
		{"", `{"namespace":"x","properties":{"a":{"title":"x","type":"string","minLength":1.5}}}`, "properties.a.minLength"},
		{"", `{"namespace":"x","objects":[{"name":"o","properties":{"a":{"title":7,"type":"string"}}}]}`, "objects[0].properties.a.title"},
		{"", `{"namespace":"x","NAMESPACE":"y"}`, "NAMESPACE"},
		{"", `{"namespace":"x"} {}`, "body"},
		{"", strings.Repeat(`{"properties":`, 50000), "body"},
		{"/N/properties", `{"name":"p","title":"x","type":"array","items":{"type":"array","items":{}}}`, "items.items"},
		{"/N/tags", `{"tags":[{"name":7}]}`, "tags[0].name"},
		{"/N/resource_types", `{"name":""}`, "name"},
	} {
		var e struct {
			Error struct {
				Evidence errcode.Evidence
			}
		}
		b.do("POST", "/v2/metadefs/namespaces"+c.path, c.body).want(t, 400, errcode.BadRequest).into(t, &e)
		if e.Error.Evidence.Field != c.field {
			t.Errorf("%.80s: field %q, want %q", c.body, e.Error.Evidence.Field, c.field)
		}
	}
	b.do("POST", "/v2/metadefs/namespaces/N/tags/%2e%2e", "").want(t, 400, errcode.BadRequest)
	b.do("POST", "/v2/metadefs/namespaces/N/tags/a%2Fb", "").want(t, 201, "")
	b.do("GET", "/v2/metadefs/namespaces/N/tags/a%2Fb", "").want(t, 200, "")
}
