package glancetest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
)

// A Cloud is a running Keystone with a Glance that asks it who everybody is.
type Cloud struct {
	*Glance
	AuthURL string // http://127.0.0.1:PORT/v3
	tb      testing.TB
	admin   func() string
	project string
	service string // id of the image service
}

// The project whose images a Cloud has, its user, and every user's password.
const (
	Project  = "demo"
	User     = "demo"
	Password = "password-of-the-tests"
	Region   = "regionOne"
)

// SQLite in its default mode locks Keystone out of its own commit, and without a cache
// each validation of a token takes most of a second.
const identityConfig = `[DEFAULT]
log_file = %[1]s/log
transport_url = fake://
[database]
connection = sqlite:///%[1]s/keystone.sqlite
[token]
provider = fernet
[fernet_tokens]
key_repository = %[1]s/fernet-keys
[credential]
key_repository = %[1]s/credential-keys
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_rounds = 4
[oslo_policy]
enforce_scope = false
`

// StartCloud starts a Keystone and a Glance, until the test ends.
func StartCloud(tb testing.TB) *Cloud {
	tb.Helper()
	dir, port, images := tb.TempDir(), freePort(tb), freePort(tb)
	c := &Cloud{AuthURL: "http://127.0.0.1:" + port + "/v3", tb: tb}
	folders(tb, dir, "fernet-keys", "credential-keys")
	path := filepath.Join(dir, "keystone.conf")
	write(tb, path, fmt.Sprintf(identityConfig, dir))
	manage := func(args ...string) {
		run(tb, dir, "keystone-manage", append([]string{"--config-file", path}, args...)...)
	}
	manage("db_sync")
	run(tb, dir, "python3", "-c", `import sqlite3; sqlite3.connect("keystone.sqlite").execute("PRAGMA journal_mode=WAL")`)
	for _, name := range []string{"fernet-keys/0", "fernet-keys/1", "credential-keys/0", "credential-keys/1"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		write(tb, filepath.Join(dir, name), base64.URLEncoding.EncodeToString(key))
	}
	manage("bootstrap", "--bootstrap-password", Password, "--bootstrap-admin-url", c.AuthURL, "--bootstrap-internal-url", c.AuthURL,
		"--bootstrap-public-url", c.AuthURL, "--bootstrap-region-id", Region)
	start(tb, dir, c.AuthURL, []string{"OS_KEYSTONE_CONFIG_FILES=" + path, "OS_KEYSTONE_CONFIG_DIR=" + dir},
		"uwsgi", "--plugins", "python3", "--http-socket", "127.0.0.1:"+port, "--wsgi-file", "/usr/bin/keystone-wsgi-public",
		"--threads", "4", "--enable-threads", "--die-on-term", "--buffer-size", "65535",
		"--rem-header", "Content-Length", "--add-header", "Connection: close")
	c.admin = sync.OnceValue(func() string { return c.Token("admin", "admin") })
	c.populate("http://127.0.0.1:" + images)
	c.Glance = begin(tb, images, "keystone", fmt.Sprintf(keystoneConfig, c.AuthURL), sync.OnceValue(func() string { return c.Token(User, Project) }))
	return c
}

// populate makes the image service's entry, projects and users.
func (c *Cloud) populate(images string) {
	c.service = c.make("services", "service", Object{"name": "glance", "type": "image"})
	c.offer(Region, images)
	c.project = c.make("projects", "project", Object{"name": Project, "domain_id": "default"})
	services := c.make("projects", "project", Object{"name": "service", "domain_id": "default"})
	var roles struct{ Roles []struct{ ID, Name string } }
	if err := json.Unmarshal(c.call("GET", "/roles", c.admin(), nil), &roles); err != nil {
		c.tb.Fatal(err)
	}
	grant := func(project, user, role string) {
		for _, r := range roles.Roles {
			if r.Name == role {
				c.call("PUT", "/projects/"+project+"/users/"+user+"/roles/"+r.ID, c.admin(), nil)
			}
		}
	}
	user := c.make("users", "user", Object{"name": User, "password": Password, "domain_id": "default"})
	grant(c.project, user, "member")
	grant(services, c.make("users", "user", Object{"name": "glance", "password": Password, "domain_id": "default"}), "admin")
}

// AddRegion tells clients of an image service of another region.
func (c *Cloud) AddRegion(region, images string) {
	c.tb.Helper()
	c.make("regions", "region", Object{"id": region})
	c.offer(region, images)
}

func (c *Cloud) offer(region, images string) {
	c.tb.Helper()
	for _, kind := range []string{"public", "internal"} {
		c.make("endpoints", "endpoint", Object{"service_id": c.service, "interface": kind, "url": images, "region_id": region})
	}
}

// Deactivate keeps an image's bytes from being read, which is for administrators.
func (c *Cloud) Deactivate(tb testing.TB, id string) {
	tb.Helper()
	as := *c.Glance
	as.token = c.admin
	as.Deactivate(tb, id)
}

// make makes one thing as the administrator and returns its id.
func (c *Cloud) make(collection, kind string, what Object) string {
	c.tb.Helper()
	raw := c.call("POST", "/"+collection, c.admin(), Object{kind: what})
	var out map[string]struct{ ID string }
	if err := json.Unmarshal(raw, &out); err != nil {
		c.tb.Fatal(err)
	}
	return out[kind].ID
}

// call sends a request to Keystone.
func (c *Cloud) call(method, path, token string, body any) []byte {
	c.tb.Helper()
	_, out := c.request(method, path, token, body)
	return out
}

func (c *Cloud) request(method, path, token string, body any) (http.Header, []byte) {
	c.tb.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			c.tb.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, c.AuthURL+path, bytes.NewReader(raw))
	if err != nil {
		c.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	return do(c.tb, req)
}

// Token logs a user in.
func (c *Cloud) Token(user, project string) string {
	c.tb.Helper()
	domain := Object{"id": "default"}
	h, _ := c.request("POST", "/auth/tokens", "", Object{"auth": Object{
		"identity": Object{"methods": []string{"password"}, "password": Object{"user": Object{"name": user, "domain": domain, "password": Password}}},
		"scope":    Object{"project": Object{"name": project, "domain": domain}},
	}})
	return h.Get("X-Subject-Token")
}

// Unscoped logs a user in for no project.
func (c *Cloud) Unscoped(user string) string {
	c.tb.Helper()
	h, _ := c.request("POST", "/auth/tokens", "", Object{"auth": Object{
		"identity": Object{"methods": []string{"password"}, "password": Object{"user": Object{"name": user, "domain": Object{"id": "default"}, "password": Password}}},
		"scope":    "unscoped",
	}})
	return h.Get("X-Subject-Token")
}

// Revoke ends a token before its time.
func (c *Cloud) Revoke(token string) {
	c.tb.Helper()
	req, err := http.NewRequest("DELETE", c.AuthURL+"/auth/tokens", nil)
	if err != nil {
		c.tb.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Subject-Token", token)
	do(c.tb, req)
}

// ApplicationCredential makes one of the user's, and returns its id and its secret.
func (c *Cloud) ApplicationCredential(name, secret string) (id string) {
	c.tb.Helper()
	token := c.Token(User, Project)
	var who struct {
		Token struct{ User struct{ ID string } }
	}
	req, err := http.NewRequest("GET", c.AuthURL+"/auth/tokens", nil)
	if err != nil {
		c.tb.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Subject-Token", token)
	_, raw := do(c.tb, req)
	if err := json.Unmarshal(raw, &who); err != nil {
		c.tb.Fatal(err)
	}
	raw = c.call("POST", "/users/"+who.Token.User.ID+"/application_credentials", token, Object{"application_credential": Object{"name": name, "secret": secret}})
	var out struct {
		Credential struct{ ID string } `json:"application_credential"`
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		c.tb.Fatal(err)
	}
	return out.Credential.ID
}
