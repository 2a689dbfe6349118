package identity

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ingest/internal/errcode"
)

func TestHeadersAreBelieved(t *testing.T) {
	many := strings.Repeat("r,", 33)
	for _, c := range []struct {
		name   string
		header map[string]string
		want   Caller
		code   errcode.Code
	}{
		{"nobody is a member", nil, Caller{Project: "default", Roles: []string{"member"}}, ""},
		{"a project's member", map[string]string{"X-Project-Id": "red"}, Caller{Project: "red", Roles: []string{"member"}}, ""},
		{"roles are said", map[string]string{"X-Project-Id": "red", "X-Roles": "reader, auditor"}, Caller{Project: "red", Roles: []string{"reader", "auditor"}}, ""},
		{"an administrator of a project", map[string]string{"X-Project-Id": "red", "X-User-Id": "ann", "X-Roles": "admin"}, Caller{Project: "red", User: "ann", Roles: []string{"admin"}}, ""},
		{"no role at all", map[string]string{"X-Roles": ","}, Caller{Project: "default"}, ""},
		{"no project", map[string]string{"X-Project-Id": "a/b"}, Caller{}, errcode.BadRequest},
		{"no user", map[string]string{"X-User-Id": strings.Repeat("u", 65)}, Caller{}, errcode.BadRequest},
		{"no role", map[string]string{"X-Roles": "a:b"}, Caller{}, errcode.BadRequest},
		{"too many roles", map[string]string{"X-Roles": many}, Caller{}, errcode.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			got, err := Headers{}.Authenticate(r)
			if errcode.Of(err) != c.code && (err != nil || c.code != "") {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if got.Project != c.want.Project || got.User != c.want.User || !slices.Equal(got.Roles, c.want.Roles) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestRolesImplyThoseBelow(t *testing.T) {
	for _, c := range []struct {
		role, asks string
		want       bool
	}{
		{Admin, Admin, true}, {Admin, Member, true}, {Admin, Reader, true}, {Admin, Service, false},
		{Member, Admin, false}, {Member, Reader, true}, {Reader, Member, false}, {Service, Reader, false}, {"other", "other", true},
	} {
		if got := (Caller{Roles: []string{c.role}}).Has(c.asks); got != c.want {
			t.Errorf("%s has %s: %t", c.role, c.asks, got)
		}
	}
}
