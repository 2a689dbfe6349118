package keystone

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/glancetest"
)

// The real Keystone says who its users are; those whom it does not know, Glance answers
// as this package does.
func TestRealKeystone(t *testing.T) {
	cloud := glancetest.StartCloud(t)
	a := New(Options{URL: cloud.AuthURL, Username: "glance", UserDomain: "Default", Password: glancetest.Password,
		Project: "service", ProjectDomain: "Default", CacheTime: 5 * time.Minute})
	if got, want := a.Challenge(), "Keystone uri=\""+cloud.AuthURL+"\""; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}

	token := cloud.Token(glancetest.User, glancetest.Project)
	who, err := ask(a, token)
	if err != nil || who.UserName != glancetest.User || who.ProjectName != glancetest.Project || who.Domain != "default" ||
		!who.Has("member") || who.Has("admin") || len(who.User) != 32 || len(who.Project) != 32 {
		t.Errorf("the user is %+v, %v", who, err)
	}
	if admin, err := ask(a, cloud.Token("admin", "admin")); err != nil || !admin.Has("admin") {
		t.Errorf("the administrator is %+v, %v", admin, err)
	}
	if who, err := ask(a, token, "X-Service-Token", cloud.Token("glance", "service")); err != nil || who.UserName != glancetest.User || len(who.ServiceRoles) == 0 {
		t.Errorf("by way of a service: %+v, %v", who, err)
	}
	if _, err := ask(a, token, "X-Project-Id", "another"); errcode.Of(err) != errcode.Forbidden {
		t.Errorf("for another project: %v", err)
	}

	for name, c := range map[string]struct {
		token          string
		code           errcode.Code
		status, glance int
	}{
		"unknown": {"gAAAAABguess", errcode.Unauthenticated, 401, 401},
		// Glance with its old default policies makes an image that nobody owns.
		"unscoped": {cloud.Unscoped(glancetest.User), errcode.Forbidden, 403, 201},
	} {
		if _, err := ask(a, c.token); errcode.Of(err) != c.code || errcode.Lookup(c.code).HTTPStatus != c.status {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		req, err := http.NewRequest("POST", cloud.Endpoint+"/v2/images", strings.NewReader(`{"name":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", c.token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.glance {
			t.Errorf("%s: Glance answers %s, want %d", name, resp.Status, c.glance)
		}
		if h := resp.Header.Get("WWW-Authenticate"); c.status == 401 && h != a.Challenge() {
			t.Errorf("%s: Glance's challenge is %q, ours %q", name, h, a.Challenge())
		}
	}

	gone := cloud.Token(glancetest.User, glancetest.Project)
	cloud.Revoke(gone)
	if _, err := ask(a, gone); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
	wrong := New(Options{URL: cloud.AuthURL, Username: "glance", UserDomain: "Default", Password: "wrong", Project: "service", ProjectDomain: "Default", CacheTime: time.Minute})
	if _, err := ask(wrong, token); errcode.Of(err) != errcode.IdentityUnavailable {
		t.Errorf("with a wrong password of ours: %v", err)
	}
}
