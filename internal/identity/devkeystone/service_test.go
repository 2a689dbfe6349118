package devkeystone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// A desk is a service with a file of users.
type desk struct {
	*Service
	t     *testing.T
	dir   string
	users string
	log   *bytes.Buffer
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), log: &bytes.Buffer{}}
	d.users = filepath.Join(d.dir, "users.yaml")
	d.write(fmt.Sprintf(`
projects:
  - {name: Demo Project, id: demo, description: for trying things}
users:
  - name: ann
    id: u-ann
    password: %s
    default_project: Demo Project
    projects: {Demo Project: [member], ops: [reader]}
  - {name: root, password: %[1]s, projects: {ops: [admin]}}
  - {name: nobody, password: %[1]s}
`, hash(t, "secret")))
	return d.open()
}

func (d *desk) write(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.users+".next", []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(d.users+".next", d.users); err != nil {
		d.t.Fatal(err)
	}
}

// open opens the service, as a start of the server does.
func (d *desk) open() *desk {
	d.t.Helper()
	s, err := Open(Options{Users: d.users, Dir: d.dir, Log: zerolog.New(d.log)})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Service = s
	return d
}

type reply struct {
	*http.Response
	body map[string]any
}

func (d *desk) do(method, path, body string, header ...string) reply {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	out := reply{w.Result(), nil}
	if w.Body.Len() > 0 && json.Unmarshal(w.Body.Bytes(), &out.body) != nil {
		d.t.Fatalf("%s %s: %s", method, path, w.Body)
	}
	return out
}

func password(user, password, scope string) string {
	if scope != "" {
		scope = `,"scope":` + scope
	}
	return fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}}%s}}`, user, password, scope)
}

// token logs in.
func (d *desk) token(user, scope string) string {
	d.t.Helper()
	got := d.do("POST", "/identity/v3/auth/tokens", password(user, "secret", scope))
	if got.StatusCode != 201 {
		d.t.Fatalf("login of %s: %d %v", user, got.StatusCode, got.body)
	}
	return got.Header.Get("X-Subject-Token")
}

func (d *desk) who(token string) (identity.Caller, error) {
	r := httptest.NewRequest("GET", "/v2/images", nil)
	r.Header.Set("X-Auth-Token", token)
	return d.Authenticate(r)
}

func TestLoginsAndWhatComesOfThem(t *testing.T) {
	d := newDesk(t)
	const path = "/identity/v3/auth/tokens"
	for _, c := range []struct {
		name, body string
		status     int
		project    string // id; "" is unscoped
	}{
		{"the default project", password("ann", "secret", ""), 201, "demo"},
		{"a project by id", password("ann", "secret", `{"project":{"id":"ops"}}`), 201, "ops"},
		{"a project by name", password("ann", "secret", `{"project":{"name":"Demo Project","domain":{"name":"Default"}}}`), 201, "demo"},
		{"unscoped by word", password("ann", "secret", `"unscoped"`), 201, ""},
		{"unscoped by object", password("ann", "secret", `{"unscoped":{}}`), 201, ""},
		{"without any project", password("nobody", "secret", ""), 201, ""},
		{"the only project", password("root", "secret", ""), 201, "ops"},
		{"by the user's id", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u-ann","password":"secret"}}}}}`, 201, "demo"},
		{"a wrong password", password("ann", "Secret", ""), 401, ""},
		{"no password", password("ann", "", ""), 401, ""},
		{"no such user", password("bob", "secret", ""), 401, ""},
		{"another domain", strings.Replace(password("ann", "secret", ""), `"default"`, `"other"`, 1), 401, ""},
		{"a project of others", password("root", "secret", `{"project":{"id":"demo"}}`), 401, ""},
		{"no such project", password("ann", "secret", `{"project":{"id":"x"}}`), 401, ""},
		{"a project of another domain", password("ann", "secret", `{"project":{"name":"ops","domain":{"id":"x"}}}`), 401, ""},
		{"the system", password("ann", "secret", `{"system":{"all":true}}`), 401, ""},
		{"a domain", password("ann", "secret", `{"domain":{"id":"default"}}`), 401, ""},
		{"another method", `{"auth":{"identity":{"methods":["totp"]}}}`, 401, ""},
		{"two methods", `{"auth":{"identity":{"methods":["password","totp"]}}}`, 401, ""},
		{"a token that is none", `{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}}}}`, 401, ""},
		{"no method", `{"auth":{"identity":{}}}`, 400, ""},
		{"no user", `{"auth":{"identity":{"methods":["password"]}}}`, 400, ""},
		{"a scope that is none", password("ann", "secret", `"everything"`), 400, ""},
		{"a scope of another type", password("ann", "secret", `7`), 400, ""},
		{"no JSON", `auth`, 400, ""},
		{"another type", `{"auth":[]}`, 400, ""},
		{"too long", `{"auth":"` + strings.Repeat("a", maxBody) + `"}`, 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := d.do("POST", path, c.body)
			if got.StatusCode != c.status {
				t.Fatalf("got %d %v, want %d", got.StatusCode, got.body, c.status)
			}
			if c.status != 201 {
				if e := got.body["error"].(map[string]any); e["code"] != float64(c.status) || e["message"] == "" || e["title"] == "" {
					t.Errorf("the error is %v", e)
				}
				if want := `Keystone uri="http://example.com/identity/v3"`; c.status == 401 && got.Header.Get("WWW-Authenticate") != want {
					t.Errorf("WWW-Authenticate is %q", got.Header.Get("WWW-Authenticate"))
				}
				return
			}
			who, err := d.who(got.Header.Get("X-Subject-Token"))
			if who.Project != c.project || (c.project == "") != (errcode.Of(err) == errcode.Forbidden) {
				t.Errorf("the caller is %+v, %v, want project %q", who, err, c.project)
			}
		})
	}
	if strings.Contains(d.log.String(), "ecret") {
		t.Errorf("the log holds a password:\n%s", d.log)
	}
}

// What clients read: times, roles, and where the image service is.
func TestTheTokenDocument(t *testing.T) {
	d := newDesk(t)
	got := d.do("POST", "/identity/v3/auth/tokens", password("ann", "secret", ""))
	var doc struct {
		Methods   []string
		IssuedAt  string `json:"issued_at"`
		ExpiresAt string `json:"expires_at"`
		User      struct{ ID, Name string }
		Project   struct {
			ID, Name string
			Domain   struct{ ID, Name string }
		}
		Roles   []struct{ ID, Name string }
		Catalog []struct {
			Type, Name string
			Endpoints  []struct{ Interface, Region, URL string }
		}
	}
	raw, _ := json.Marshal(got.body["token"])
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	begun, err1 := time.Parse("2006-01-02T15:04:05.999999Z", doc.IssuedAt)
	ends, err2 := time.Parse("2006-01-02T15:04:05.999999Z", doc.ExpiresAt)
	if err1 != nil || err2 != nil || ends.Sub(begun) != time.Hour || len(doc.ExpiresAt) != 27 {
		t.Errorf("from %s to %s", doc.IssuedAt, doc.ExpiresAt)
	}
	if doc.User.ID != "u-ann" || doc.User.Name != "ann" || doc.Project.ID != "demo" || doc.Project.Name != "Demo Project" || doc.Project.Domain.ID != "default" ||
		len(doc.Roles) != 1 || doc.Roles[0].Name != "member" {
		t.Errorf("got %+v", doc)
	}
	image := doc.Catalog[0]
	if image.Type != "image" || len(image.Endpoints) != 3 || image.Endpoints[0].URL != "http://example.com" || image.Endpoints[0].Region != "RegionOne" {
		t.Errorf("the catalog is %+v", doc.Catalog)
	}
}

func TestTokensAreShownAndRevoked(t *testing.T) {
	d := newDesk(t)
	const path = "/identity/v3/auth/tokens"
	ann, other, root := d.token("ann", ""), d.token("nobody", ""), d.token("root", "")
	for _, c := range []struct {
		name, asker, subject string
		status               int
	}{
		{"one's own", ann, ann, 200}, {"of others", other, ann, 403}, {"an administrator", root, ann, 200},
		{"no subject", ann, "", 400}, {"no such subject", root, ann + "x", 404}, {"no asker", "", ann, 401}, {"a false asker", "x", ann, 401},
	} {
		got := d.do("GET", path, "", "X-Auth-Token", c.asker, "X-Subject-Token", c.subject)
		if got.StatusCode != c.status || c.status == 200 && got.Header.Get("X-Subject-Token") != c.subject {
			t.Errorf("%s: %d %v, want %d", c.name, got.StatusCode, got.body, c.status)
		}
	}
	if got := d.do("GET", path+"?nocatalog", "", "X-Auth-Token", ann, "X-Subject-Token", ann); got.body["token"].(map[string]any)["catalog"] != nil {
		t.Error("the catalog comes unasked")
	}
	if got := d.do("DELETE", path, "", "X-Auth-Token", other, "X-Subject-Token", ann); got.StatusCode != 403 {
		t.Errorf("revoked by others: %d", got.StatusCode)
	}
	if got := d.do("DELETE", path, "", "X-Auth-Token", ann, "X-Subject-Token", ann); got.StatusCode != 204 {
		t.Errorf("revoked: %d", got.StatusCode)
	}
	for range 2 { // also behind a start of the server
		if _, err := d.who(ann); errcode.Of(err) != errcode.Unauthenticated {
			t.Errorf("a revoked token: %v", err)
		}
		if _, err := d.who(root); err != nil {
			t.Errorf("another token: %v", err)
		}
		d.open()
	}
}

// What the file takes away is gone at once.
func TestTokensFollowTheFile(t *testing.T) {
	d := newDesk(t)
	h := hash(t, "secret")
	file := func(hash, roles string) {
		d.write(fmt.Sprintf("users:\n  - {name: eve, password: %s, projects: {p: [%s]}}\n", hash, roles))
	}
	file(h, "member")
	token := d.token("eve", "")
	if who, err := d.who(token); err != nil || who.Has(identity.Admin) {
		t.Fatalf("%+v, %v", who, err)
	}
	file(h, "admin")
	if who, err := d.who(token); err != nil || !who.Has(identity.Admin) {
		t.Errorf("with a further role: %+v, %v", who, err)
	}
	file(hash(t, "other"), "admin")
	if _, err := d.who(token); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("with another password: %v", err)
	}
	d.write("users: []")
	if _, err := d.who(token); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("without the user: %v", err)
	}
}

func TestTokensEndAndCannotBeMade(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	d.signer.now = func() time.Time { return now }
	token := d.token("ann", `"unscoped"`)
	now = now.Add(59 * time.Minute)
	// A token for a token does not live longer than it.
	got := d.do("POST", "/identity/v3/auth/tokens", fmt.Sprintf(`{"auth":{"identity":{"methods":["token"],"token":{"id":%q}},"scope":{"project":{"id":"ops"}}}}`, token))
	scoped := got.Header.Get("X-Subject-Token")
	if who, err := d.who(scoped); err != nil || who.Project != "ops" {
		t.Fatalf("%+v, %v", who, err)
	}
	now = now.Add(time.Minute)
	if _, err := d.who(scoped); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("behind the end: %v", err)
	}
	good := d.token("ann", "")
	elsewhere := newDesk(t).token("ann", "")
	body, sum, _ := strings.Cut(strings.TrimPrefix(good, prefix), ".")
	other := "A"
	if sum[0] == 'A' {
		other = "B"
	}
	for name, forged := range map[string]string{
		"another server's": elsewhere, "another signature": prefix + body + "." + other + sum[1:], "no signature": prefix + body, "an empty one": prefix + body + ".",
		"another text": prefix + "A" + body[1:] + "." + sum, "no text": prefix + "." + sum, "no prefix": body + "." + sum, "the prefix": prefix, "nothing": ".",
	} {
		if _, err := d.who(forged); errcode.Of(err) != errcode.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookups(t *testing.T) {
	d := newDesk(t)
	ann, root := d.token("ann", ""), d.token("root", "")
	for _, c := range []struct {
		path, token string
		status      int
		found       string // a part of the answer
		hidden      string
	}{
		{"/identity", "", 300, `"v3.14"`, ""},
		{"/identity/", "", 300, `"http://example.com/identity/v3/"`, ""},
		{"/identity/v3", "", 200, `"stable"`, ""},
		{"/identity/v3/", "", 200, `"stable"`, ""},
		{"/identity/v3/auth/catalog", ann, 200, `"image"`, ""},
		{"/identity/v3/auth/catalog", "", 401, "", ""},
		{"/identity/v3/auth/projects", ann, 200, `"Demo Project"`, ""},
		{"/identity/v3/projects?name=ops", ann, 200, `"ops"`, "Demo"},
		{"/identity/v3/projects", root, 200, `"Demo Project"`, ""},
		{"/identity/v3/auth/projects", root, 200, `"ops"`, "Demo"},
		{"/identity/v3/projects/demo", ann, 200, `"for trying things"`, ""},
		{"/identity/v3/projects/x", root, 404, "", ""},
		{"/identity/v3/users/u-ann", ann, 200, `"default_project_id":"demo"`, ""},
		{"/identity/v3/users/u-ann", root, 200, `"ann"`, "$2a$"},
		{"/identity/v3/users/root", ann, 403, "", "admin"},
		{"/identity/v3/users/none", ann, 403, "", ""},
		{"/identity/v3/users/none", root, 404, "", ""},
		{"/identity/v3/users/none/projects", ann, 403, "", ""},
		{"/identity/v3/projects/x", ann, 403, "", ""},
		{"/identity/v3/projects?name=x", ann, 403, "", ""},
		{"/identity/v3/projects", ann, 403, "", "ops"},
		{"/identity/v3/auth/projects", ann, 200, `"self":"http://example.com/identity/v3/auth/projects"`, ""},
		{"/identity/v3/projects?name=x", root, 200, `"projects":[]`, ""},
		{"/identity/v3/users/u-ann/projects", ann, 200, `"ops"`, ""},
		{"/identity/v3/domains/default", ann, 200, `"Default"`, ""},
		{"/identity/v3/domains?name=Default", ann, 200, `"default"`, ""},
		{"/identity/v3/domains/x", ann, 404, "", ""},
		{"/identity/v3/roles", ann, 404, "", ""},
		{"/identity/v2.0/tokens", "", 404, "", ""},
	} {
		got := d.do("GET", c.path, "", "X-Auth-Token", c.token)
		raw, _ := json.Marshal(got.body)
		if got.StatusCode != c.status || !strings.Contains(string(raw), c.found) || c.hidden != "" && strings.Contains(string(raw), c.hidden) {
			t.Errorf("%s: %d %s, want %d with %s without %q", c.path, got.StatusCode, raw, c.status, c.found, c.hidden)
		}
	}
}

// Whatever is sent, it is answered with a status that is meant.
func FuzzLogin(f *testing.F) {
	f.Add(password("ann", "secret", `{"project":{"id":"demo"}}`))
	f.Add(`{"auth":{"identity":{"methods":["token"],"token":{"id":"ingest-identity.e30.AA"}},"scope":{"unscoped":{}}}}`)
	f.Add(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u-ann","domain":{"domain":{}},"password":null}}},"scope":[]}}`)
	dir := f.TempDir()
	users := filepath.Join(dir, "users.yaml")
	weak, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(users, []byte(fmt.Sprintf("users: [{name: ann, password: %q, projects: {demo: [member]}}]", weak)), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := Open(Options{Users: users, Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		f.Fatal(err)
	}
	s.guard.stranger = func() []byte { return weak }
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/identity/v3/auth/tokens", strings.NewReader(body)))
		if w.Code >= 500 || w.Code < 201 || w.Code == 201 != (w.Header().Get("X-Subject-Token") != "") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
