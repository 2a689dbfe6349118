package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/ratelimit"
)

// badges knows callers by their tokens.
type badges map[string]identity.Caller

func (b badges) Authenticate(r *http.Request) (identity.Caller, error) {
	token, err := identity.Token(r)
	if err != nil {
		return identity.Caller{}, err
	}
	if c, ok := b[token]; ok {
		return c, identity.InProject(r, c)
	}
	return identity.Caller{}, identity.Unknown()
}

func (badges) Challenge() string { return `Keystone uri="http://keystone.example.org"` }

func withBadges(d *Deps) {
	d.Identity = badges{
		"of-ann": {Project: "red", User: "ann", Roles: []string{identity.Member}},
		"of-bob": {Project: "blue", User: "bob", Roles: []string{identity.Member}},
	}
}

func TestWhoProvesNobodyIsSentToTheIdentityService(t *testing.T) {
	b := newBench(t, withBadges)
	for _, c := range []struct {
		name, path string
		header     []string
	}{
		{"no token", "/v2/images", nil},
		{"no token, a path of our own", "/v1/server", nil},
		{"a project says nothing", "/v2/images", []string{"X-Project-Id", "red", "X-Roles", "admin"}},
		{"an unknown token", "/v2/images", []string{"X-Auth-Token", "guess"}},
		{"a token that is none", "/v2/images", []string{"X-Auth-Token", "of-ann\x01"}},
		{"a token that is too long", "/v2/images", []string{"X-Auth-Token", strings.Repeat("a", 8<<10+1)}},
		{"another scheme", "/v2/images", []string{"Authorization", "Basic of-ann"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := b.do("GET", c.path, "", c.header...).want(t, 401, errcode.Unauthenticated)
			if h := got.Header.Get("WWW-Authenticate"); h != `Keystone uri="http://keystone.example.org"` {
				t.Errorf("WWW-Authenticate is %q", h)
			}
		})
	}
	b.do("GET", "/v2/images", "", "X-Auth-Token", "of-ann").want(t, 200, "")
	b.do("GET", "/v2/images", "", "Authorization", "bearer of-ann").want(t, 200, "")
	b.do("GET", "/v2/images", "", "X-Auth-Token", "of-ann", "X-Project-Id", "red").want(t, 200, "")
	b.do("GET", "/v2/images", "", "X-Auth-Token", "of-ann", "X-Project-Id", "blue").want(t, 403, errcode.Forbidden)
	for path, status := range map[string]int{"/": 300, "/versions": 200, "/v2/": 300, "/v9/images": 300, "/v1/healthz": 200} {
		b.do("GET", path, "").want(t, status, "")
	}
}

// What a token says counts, and what the request says of itself does not.
func TestTasksAreOfTheCallerWhoProvesThemselves(t *testing.T) {
	b := newBench(t, withBadges)
	const body = `{"source":{"url":"https://example.org/a.qcow2"}}`
	sub := b.submit(body, "X-Auth-Token", "of-ann")
	if got := b.imports.started[0]; got.Owner != "red" || got.UserID != "ann" || len(got.Roles) != 1 || got.Roles[0] != identity.Member {
		t.Errorf("the import is of %s in %s as %q", got.UserID, got.Owner, got.Roles)
	}
	var task wire.Task
	b.do("GET", "/v1/tasks/"+sub.TaskID, "", "X-Auth-Token", "of-ann").want(t, 200, "").into(t, &task)
	if task.UserID != "ann" {
		t.Errorf("the task is of %q", task.UserID)
	}
	b.do("GET", "/v1/tasks/"+sub.TaskID, "", "X-Auth-Token", "of-bob").want(t, 404, errcode.NotFound)
	b.do("POST", "/v1/imports", `{"user_id":"bob","source":{"url":"https://example.org/a.qcow2"}}`, "X-Auth-Token", "of-ann").want(t, 403, errcode.Forbidden)
}

func TestRequestsSayWhoMakesThemWhereNobodyIsAsked(t *testing.T) {
	b := newBench(t)
	sub := b.submit(`{"source":{"url":"https://example.org/a.qcow2"}}`, "X-Project-Id", "red", "X-User-Id", "ann", "X-Roles", "admin")
	if got := b.imports.started[0]; got.Owner != "red" || got.UserID != "ann" || got.Roles != nil {
		t.Errorf("the import is of %s in %s as %q", got.UserID, got.Owner, got.Roles)
	}
	b.do("GET", "/v1/tasks/"+sub.TaskID, "", "X-Project-Id", "red").want(t, 200, "")
	b.do("GET", "/v2/images", "", "X-User-Id", "a b").want(t, 400, errcode.BadRequest)
	b.do("GET", "/v2/images", "", "X-Roles", "admin,a b").want(t, 400, errcode.BadRequest)
}

func TestWhoAsksTooOftenWaits(t *testing.T) {
	b := newBench(t, withBadges, func(d *Deps) { d.Limits = ratelimit.New(0.001, 2) })
	for _, who := range []string{"of-ann", "of-bob", "guess"} {
		for range 2 {
			if got := b.do("GET", "/v2/images", "", "X-Auth-Token", who).StatusCode; got == 429 {
				t.Errorf("%s: refused within the burst", who)
			}
		}
		got := b.do("GET", "/v2/images", "", "X-Auth-Token", who).want(t, 429, errcode.TooManyRequests)
		if s := got.Header.Get("Retry-After"); !nearly1000(s) {
			t.Errorf("%s: Retry-After is %q", who, s)
		}
	}
	b.do("GET", "/versions", "").want(t, 429, errcode.TooManyRequests) // of the same address as the guesses
	b.do("GET", "/v1/healthz", "").want(t, 200, "")
}

// nearly1000 reports whether a text is a number of seconds of which a few may have gone.
func nearly1000(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 900 && n <= 1000
}

// inquiries counts how often somebody was asked who a caller is.
type inquiries struct {
	identity.Authenticator
	n int
}

func (a *inquiries) Authenticate(r *http.Request) (identity.Caller, error) {
	a.n++
	return a.Authenticator.Authenticate(r)
}

// of sends a request from an address.
func (b *bench) of(remote, path string, header ...string) answer {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = remote
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w.Result(), w.Body.Bytes()}
}

func TestAddressesThatAskTooOftenAreNotLookedAt(t *testing.T) {
	who := &inquiries{}
	b := newBench(t, withBadges, func(d *Deps) {
		who.Authenticator = d.Identity
		d.Identity, d.Addresses = who, ratelimit.New(0.001, 3)
	})
	for range 3 {
		b.of("192.0.2.1:1000", "/v2/images", "X-Auth-Token", "of-ann").want(t, 200, "")
	}
	for _, token := range []string{"of-ann", "of-bob", "guess"} {
		got := b.of("192.0.2.1:2000", "/v2/images", "X-Auth-Token", token, "X-Forwarded-For", "203.0.113.9").want(t, 429, errcode.TooManyRequests)
		if s := got.Header.Get("Retry-After"); !nearly1000(s) {
			t.Errorf("Retry-After is %q", s)
		}
	}
	if who.n != 3 {
		t.Errorf("%d requests were looked at, want 3", who.n)
	}
	b.of("192.0.2.1:1000", "/v1/healthz").want(t, 200, "")
	b.of("192.0.2.2:1000", "/v2/images", "X-Auth-Token", "of-ann").want(t, 200, "")
}

func TestAddressesThatFailTooOftenAreNotLookedAt(t *testing.T) {
	who := &inquiries{}
	proxies, err := ratelimit.ParseProxies([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, withBadges, func(d *Deps) {
		who.Authenticator = d.Identity
		d.Identity, d.Failures, d.Proxies = who, ratelimit.New(0.001, 3), proxies
	})
	from := func(client, token string) answer {
		return b.of("192.0.2.1:1000", "/v2/images", "X-Forwarded-For", "203.0.113.77, "+client, "X-Auth-Token", token)
	}
	for range 10 { // who proves who they are has not failed
		from("203.0.113.1", "of-ann").want(t, 200, "")
	}
	for range 3 {
		from("203.0.113.1", "guess").want(t, 401, errcode.Unauthenticated)
	}
	before := who.n
	from("203.0.113.1", "guess").want(t, 429, errcode.TooManyRequests)
	from("203.0.113.1", "of-ann").want(t, 429, errcode.TooManyRequests)
	if who.n != before {
		t.Error("an address that has failed too often was looked at")
	}
	// Others behind the same proxy do not pay for it.
	from("203.0.113.2", "of-ann").want(t, 200, "")
	// Nor does whoever names the address of another, without being a proxy.
	b.of("198.51.100.1:1", "/v2/images", "X-Forwarded-For", "203.0.113.1", "X-Auth-Token", "of-ann").want(t, 200, "")
}

// The log says who asks, and never how they prove it.
func TestRequestsAreLoggedWithTheirCaller(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, withBadges, func(d *Deps) { d.Log = zerolog.New(&log) })
	b.do("GET", "/v2/images", "", "X-Auth-Token", "of-ann")
	b.do("GET", "/v2/images", "", "X-Auth-Token", "guess-of-a-token")
	if got := log.String(); !strings.Contains(got, `"project":"red","user":"ann"`) || strings.Contains(got, "of-ann") || strings.Contains(got, "guess-of") {
		t.Errorf("the log says:\n%s", got)
	}
}
