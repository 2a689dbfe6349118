package keystone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// A keystone is an identity service that says what it is told, and counts. It stands
// for the failures that a real one does not have when asked; the real one is in
// cloud_test.go.
type keystone struct {
	*httptest.Server
	logins, asked atomic.Int64
	validate      http.HandlerFunc
	login         http.HandlerFunc
}

func start(t *testing.T) *keystone {
	k := &keystone{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "POST":
			n := k.logins.Add(1)
			if k.login != nil {
				k.login(w, r)
				return
			}
			w.Header().Set("X-Subject-Token", fmt.Sprintf("own-%d", n))
			w.WriteHeader(201)
			fmt.Fprintf(w, `{"token":{"expires_at":%q}}`, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"))
		default:
			k.asked.Add(1)
			k.validate(w, r)
		}
	}))
	t.Cleanup(k.Close)
	return k
}

// says answers with a token of a project.
func says(project string, expires time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		token := map[string]any{"expires_at": expires.UTC().Format("2006-01-02T15:04:05.000000Z"),
			"user": map[string]any{"id": "u1", "name": "ann"}, "roles": []any{map[string]any{"name": "member"}}}
		if project != "" {
			token["project"] = map[string]any{"id": project, "name": "demo", "domain": map[string]any{"id": "default"}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token})
	}
}

func status(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

func (k *keystone) authenticator(log *bytes.Buffer) *Authenticator {
	o := Options{URL: k.URL, Username: "glance", Password: "secret-of-the-service", UserDomain: "Default", Project: "service", ProjectDomain: "Default", CacheTime: 5 * time.Minute}
	if log != nil {
		o.Log = zerolog.New(log)
	}
	return New(o)
}

func ask(a *Authenticator, token string, more ...string) (identity.Caller, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Auth-Token", token)
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	return a.Authenticate(r)
}

func TestAnswersAreRememberedForTheirTime(t *testing.T) {
	k := start(t)
	k.validate = says("p1", time.Now().Add(7*time.Minute))
	a := k.authenticator(nil)
	began := time.Now()
	for _, c := range []struct {
		after time.Duration
		asked int64
		code  errcode.Code
	}{
		{0, 1, ""}, {4*time.Minute + 59*time.Second, 1, ""}, {5*time.Minute + time.Second, 2, ""},
		{7*time.Minute + time.Second, 3, errcode.Unauthenticated}, {7*time.Minute + 9*time.Second, 3, errcode.Unauthenticated},
		{7*time.Minute + 12*time.Second, 4, errcode.Unauthenticated},
	} {
		a.now = func() time.Time { return began.Add(c.after) }
		who, err := ask(a, "t")
		if err != nil && errcode.Of(err) != c.code || err == nil && (c.code != "" || who.Project != "p1" || who.User != "u1" || !who.Has("member")) {
			t.Errorf("after %s: %+v, %v", c.after, who, err)
		}
		if got := k.asked.Load(); got != c.asked {
			t.Errorf("after %s Keystone was asked %d times, want %d", c.after, got, c.asked)
		}
	}
	if n := k.logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestWhatKeystoneSaysAndWhatComesOfIt(t *testing.T) {
	for _, c := range []struct {
		name     string
		validate http.HandlerFunc
		login    http.HandlerFunc
		code     errcode.Code
		log      string
	}{
		{"unknown", status(404), nil, errcode.Unauthenticated, ""},
		{"unscoped", says("", time.Now().Add(time.Hour)), nil, errcode.Forbidden, ""},
		{"expired by our clock", says("p1", time.Now().Add(-time.Second)), nil, errcode.Unauthenticated, ""},
		{"a project that cannot be one", says("a/b", time.Now().Add(time.Hour)), nil, errcode.Forbidden, ""},
		{"it breaks", status(500), nil, errcode.IdentityUnavailable, "status 500"},
		{"it is busy", status(503), nil, errcode.IdentityUnavailable, "status 503"},
		{"it limits us", status(429), nil, errcode.IdentityUnavailable, "status 429"},
		{"we may not ask", status(403), nil, errcode.IdentityUnavailable, "may not validate"},
		{"our token is never good", status(401), nil, errcode.IdentityUnavailable, "status 401"},
		{"it says nothing", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }, nil, errcode.IdentityUnavailable, "says nothing"},
		{"it says what is no JSON", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, nil, errcode.IdentityUnavailable, "cannot be read"},
		{"it sends us elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 302) }, nil, errcode.IdentityUnavailable, "status 302"},
		{"it does not know us", nil, status(401), errcode.IdentityUnavailable, "refuses user"},
		{"the login breaks", nil, status(500), errcode.IdentityUnavailable, "status 500"},
		{"the login is nothing", nil, status(201), errcode.IdentityUnavailable, "cannot be read"},
		{"the login has no token", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write([]byte(`{"token":{}}`)) }, errcode.IdentityUnavailable, "no token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := start(t)
			k.validate, k.login = c.validate, c.login
			var log bytes.Buffer
			who, err := ask(k.authenticator(&log), "a-token-of-somebody")
			if errcode.Of(err) != c.code || who.Project != "" {
				t.Errorf("got %+v, %v, want %s", who, err, c.code)
			}
			if !strings.Contains(log.String(), c.log) || (log.Len() > 0) != (c.log != "") {
				t.Errorf("the log says %q, want %q", log.String(), c.log)
			}
			for _, secret := range []string{"secret-of-the-service", "a-token-of-somebody", "own-"} {
				if strings.Contains(log.String()+err.Error(), secret) {
					t.Errorf("%q stands in %q or in %v", secret, log.String(), err)
				}
			}
		})
	}
}

// A service may pass on the token of a user whose time has run out meanwhile.
func TestAServiceStandsForItsUser(t *testing.T) {
	for _, c := range []struct {
		name, role string
		valid      bool
		code       errcode.Code
	}{
		{"a service", "service", true, ""},
		{"somebody else", "member", true, errcode.Unauthenticated},
		{"nobody", "service", false, errcode.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := start(t)
			k.validate = func(w http.ResponseWriter, r *http.Request) {
				role, of, ends := "member", "p1", time.Now().Add(-time.Minute)
				if r.Header.Get("X-Subject-Token") == "of-the-service" {
					role, of, ends = c.role, "services", time.Now().Add(time.Hour)
				}
				if of == "services" && !c.valid || of == "p1" && r.URL.Query().Get("allow_expired") != "1" {
					w.WriteHeader(404)
					return
				}
				fmt.Fprintf(w, `{"token":{"expires_at":%q,"user":{"id":"u"},"project":{"id":%q},"roles":[{"name":%q}]}}`,
					ends.UTC().Format("2006-01-02T15:04:05.000000Z"), of, role)
			}
			a := k.authenticator(nil)
			for range 2 {
				who, err := ask(a, "of-the-user", "X-Service-Token", "of-the-service")
				if c.code != "" {
					if errcode.Of(err) != c.code {
						t.Errorf("got %+v, %v", who, err)
					}
					continue
				}
				if err != nil || who.Project != "p1" || len(who.ServiceRoles) != 1 || who.ServiceRoles[0] != "service" || who.Has("service") {
					t.Errorf("got %+v, %v", who, err)
				}
			}
			if _, err := ask(a, "of-the-user"); errcode.Of(err) != errcode.Unauthenticated {
				t.Errorf("without the service the user's token is %v", err)
			}
		})
	}
}

// An outage makes nobody a stranger, and tokens that are remembered stay good.
func TestAnOutage(t *testing.T) {
	k := start(t)
	k.validate = says("p1", time.Now().Add(time.Hour))
	a := k.authenticator(nil)
	if _, err := ask(a, "known"); err != nil {
		t.Fatal(err)
	}
	k.Close()
	if who, err := ask(a, "known"); err != nil || who.Project != "p1" {
		t.Errorf("a token that is remembered: %+v, %v", who, err)
	}
	for range 2 {
		if _, err := ask(a, "new"); errcode.Of(err) != errcode.IdentityUnavailable {
			t.Errorf("a new token: %v", err)
		}
	}
}

func TestOurOwnTokenIsRenewed(t *testing.T) {
	k := start(t)
	good := says("p1", time.Now().Add(time.Hour))
	k.validate = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") == "own-1" && k.asked.Load() > 1 {
			w.WriteHeader(401)
			return
		}
		good(w, r)
	}
	a := k.authenticator(nil)
	for _, token := range []string{"one", "two", "three"} {
		if _, err := ask(a, token); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
	if n := k.logins.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// Many who come with the same token at once are one question, and the answer
// comes although the first of them goes away.
func TestOneQuestionForAll(t *testing.T) {
	k := start(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	good := says("p1", time.Now().Add(time.Hour))
	k.validate = func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		good(w, r)
	}
	a := k.authenticator(nil)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r.Header.Set("X-Auth-Token", "t")
		_, err := a.Authenticate(r)
		left <- err
	}()
	<-asked
	leave()
	if err := <-left; err == nil {
		t.Error("the one who left had an answer")
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if who, err := ask(a, "t"); err != nil || who.Project != "p1" {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(answer)
	all.Wait()
	if n := k.asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// Who guesses fills no memory, and pushes out nobody who is known.
func TestGuessesAreBounded(t *testing.T) {
	k := start(t)
	good := says("p1", time.Now().Add(time.Hour))
	k.validate = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Subject-Token") == "good" {
			good(w, r)
			return
		}
		w.WriteHeader(404)
	}
	a := k.authenticator(nil)
	if _, err := ask(a, "good"); err != nil {
		t.Fatal(err)
	}
	for i := range maxUnknown + 50 {
		_, _ = ask(a, fmt.Sprint("guess-", i))
	}
	asked := k.asked.Load()
	if _, err := ask(a, "good"); err != nil || k.asked.Load() != asked {
		t.Errorf("the good token was forgotten: %v", err)
	}
	if n := a.unknown.Len(); n != maxUnknown {
		t.Errorf("%d guesses are remembered", n)
	}
}
