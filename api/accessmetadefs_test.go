package api

import (
	"fmt"
	"strings"
	"testing"
)

// A namespaceRow says who may do what with the metadata definitions of a namespace:
// whoever sees it reads them, administrators change them.
type namespaceRow struct {
	route   string
	body    string
	changes bool
	ok      int
}

func namespaceTable() []namespaceRow {
	const (
		all = "/v2/metadefs/namespaces"
		one = all + "/{namespace}"
	)
	return []namespaceRow{
		{route: "GET /v2/metadefs/resource_types", ok: 200},
		{route: "GET " + all, ok: 200},
		{route: "POST " + all, changes: true, ok: 201, body: `{"namespace":"new"}`},

		{route: "GET " + one, ok: 200},
		{route: "PUT " + one, changes: true, ok: 200, body: `{"namespace":"there","visibility":"VISIBILITY","owner":"red"}`},
		{route: "DELETE " + one, changes: true, ok: 204},
		{route: "GET " + one + "/resource_types", ok: 200},
		{route: "POST " + one + "/resource_types", changes: true, ok: 201, body: `{"name":"OS::Glance::Other"}`},
		{route: "DELETE " + one + "/resource_types/{type}", changes: true, ok: 204},
		{route: "GET " + one + "/properties", ok: 200},
		{route: "POST " + one + "/properties", changes: true, ok: 201, body: `{"name":"q","title":"Q","type":"string"}`},
		{route: "DELETE " + one + "/properties", changes: true, ok: 204},
		{route: "GET " + one + "/properties/{property}", ok: 200},
		{route: "PUT " + one + "/properties/{property}", changes: true, ok: 200, body: `{"name":"p","title":"P","type":"string"}`},
		{route: "DELETE " + one + "/properties/{property}", changes: true, ok: 204},
		{route: "GET " + one + "/objects", ok: 200},
		{route: "POST " + one + "/objects", changes: true, ok: 201, body: `{"name":"q"}`},
		{route: "DELETE " + one + "/objects", changes: true, ok: 204},
		{route: "GET " + one + "/objects/{object}", ok: 200},
		{route: "PUT " + one + "/objects/{object}", changes: true, ok: 200, body: `{"name":"o"}`},
		{route: "DELETE " + one + "/objects/{object}", changes: true, ok: 204},
		{route: "GET " + one + "/tags", ok: 200},
		{route: "POST " + one + "/tags", changes: true, ok: 201, body: `{"tags":[{"name":"u"}]}`},
		{route: "DELETE " + one + "/tags", changes: true, ok: 204},
		{route: "GET " + one + "/tags/{tag}", ok: 200},
		{route: "POST " + one + "/tags/{tag}", changes: true, ok: 201},
		{route: "PUT " + one + "/tags/{tag}", changes: true, ok: 200, body: `{"name":"t"}`},
		{route: "DELETE " + one + "/tags/{tag}", changes: true, ok: 204},
	}
}

// expect is what the row answers.
func (row namespaceRow) expect(p place, role, visibility string) int {
	reads := role == "reader" || role == "member" || role == "admin"
	if strings.Contains(row.route, "{namespace}") && role != "admin" && (!reads || p != owner && visibility != "public") {
		return 404
	}
	if !reads || row.changes && role != "admin" {
		return 403
	}
	return row.ok
}

// namespace makes the namespace "there" of the project red anew.
func (b *accessBench) namespace(visibility string) {
	b.t.Helper()
	for _, name := range []string{"there", "new"} {
		b.do("DELETE", "/v2/metadefs/namespaces/"+name, "", rolesHeader("red", "admin")...)
	}
	body := fmt.Sprintf(`{"namespace":"there","visibility":%q,"owner":"red","resource_type_associations":[{"name":"OS::Glance::Image"}],
		"properties":{"p":{"title":"P","type":"string"}},"objects":[{"name":"o"}],"tags":[{"name":"t"}]}`, visibility)
	b.do("POST", "/v2/metadefs/namespaces", body, rolesHeader("red", "admin")...).want(b.t, 201, "")
}

func TestMetadefsAccessTable(t *testing.T) {
	t.Parallel()
	b := newAccessBench(t)
	known := map[string]bool{}
	for _, row := range namespaceTable() {
		known[row.route] = true
		method, path, _ := strings.Cut(row.route, " ")
		for _, visibility := range []string{"private", "public"} {
			for _, p := range []place{owner, stranger} {
				for _, role := range everyRole {
					b.namespace(visibility)
					tag := "t"
					if method == "POST" {
						tag = "u"
					}
					path := strings.NewReplacer("{namespace}", "there", "{type}", "OS::Glance::Image", "{property}", "p", "{object}", "o", "{tag}", tag).Replace(path)
					a := b.do(method, path, strings.ReplaceAll(row.body, "VISIBILITY", visibility), rolesHeader(p.project, role)...)
					if want := row.expect(p, role, visibility); a.StatusCode != want {
						t.Errorf("%s by a %s, role %s, of a namespace that is %s: got %d, want %d: %.300s", row.route, p.name, role, visibility, a.StatusCode, want, a.body)
					}
				}
			}
		}
	}
	for _, rt := range (&api{}).metadefRoutes() {
		if name := rt.method + " " + rt.path; !known[name] {
			t.Errorf("%s is in no row of namespaceTable: who may do this?", name)
		}
	}
}
