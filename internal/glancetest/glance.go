package glancetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Glance is one running image service, with its images in a folder.
type Glance struct {
	Endpoint string // http://127.0.0.1:PORT
	dir      string
	token    func() string // nil without Keystone
}

// config is Glance's. Without a pool of worker processes there is one process to end.
const config = `[DEFAULT]
bind_host = 127.0.0.1
bind_port = %[2]s
workers = 0
log_file = %[1]s/log
use_stderr = false
enabled_backends = fs:file
node_staging_uri = file://%[1]s/staging
transport_url = fake://
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = %[1]s/images
[os_glance_staging_store]
filesystem_store_datadir = %[1]s/staging
[os_glance_tasks_store]
filesystem_store_datadir = %[1]s/tasks
[database]
connection = sqlite:///%[1]s/glance.sqlite
[paste_deploy]
config_file = /usr/share/glance-common/glance-api-paste.ini
flavor = %[3]s
[oslo_concurrency]
lock_path = %[1]s/locks
`

const keystoneConfig = `[keystone_authtoken]
www_authenticate_uri = %[1]s
auth_url = %[1]s
auth_type = password
username = glance
password = ` + Password + `
project_name = service
user_domain_name = Default
project_domain_name = Default
# A token that was revoked is not taken from then on.
token_cache_time = -1
`

// Start starts a Glance that asks nobody who they are, until the test ends.
func Start(tb testing.TB) *Glance {
	tb.Helper()
	return begin(tb, freePort(tb), "", "", nil)
}

// begin starts a Glance.
func begin(tb testing.TB, port, flavor, more string, token func() string) *Glance {
	tb.Helper()
	g := &Glance{Endpoint: "http://127.0.0.1:" + port, dir: tb.TempDir(), token: token}
	folders(tb, g.dir, "images", "staging", "tasks", "locks")
	path := filepath.Join(g.dir, "glance-api.conf")
	write(tb, path, fmt.Sprintf(config, g.dir, port, flavor)+more)
	run(tb, g.dir, "glance-manage", "--config-file", path, "db_sync")
	start(tb, g.dir, g.Endpoint+"/", nil, "glance-api", "--config-file", path)
	return g
}

// Object is a request's or an answer's body.
type Object = map[string]any

// Call sends a request and returns the answer's body; a status of 400 or more fails the
// test.
func (g *Glance) Call(tb testing.TB, method, path, contentType string, body []byte) []byte {
	tb.Helper()
	req, err := http.NewRequest(method, g.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if g.token != nil {
		req.Header.Set("X-Auth-Token", g.token())
	}
	_, out := do(tb, req)
	return out
}

// do sends a request.
func do(tb testing.TB, req *http.Request) (http.Header, []byte) {
	tb.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		tb.Fatalf("%s %s: %s %v\n%s", req.Method, req.URL.Path, resp.Status, err, out)
	}
	return resp.Header, out
}

// Create makes an image's record and returns its id. more are fields and properties.
func (g *Glance) Create(tb testing.TB, name string, more Object) string {
	tb.Helper()
	in := Object{"name": name, "disk_format": "raw", "container_format": "bare"}
	for k, v := range more {
		in[k] = v
	}
	raw, err := json.Marshal(in)
	if err != nil {
		tb.Fatal(err)
	}
	var out struct{ ID string }
	if err := json.Unmarshal(g.Call(tb, "POST", "/v2/images", "application/json", raw), &out); err != nil {
		tb.Fatal(err)
	}
	return out.ID
}

// Upload gives a record its bytes, and so makes the image active.
func (g *Glance) Upload(tb testing.TB, id string, content []byte) {
	tb.Helper()
	g.Call(tb, "PUT", "/v2/images/"+id+"/file", "application/octet-stream", content)
}

// Put makes an image with its bytes.
func (g *Glance) Put(tb testing.TB, name string, content []byte, more Object) string {
	tb.Helper()
	id := g.Create(tb, name, more)
	g.Upload(tb, id, content)
	return id
}

// Delete removes an image.
func (g *Glance) Delete(tb testing.TB, id string) {
	tb.Helper()
	g.Call(tb, "DELETE", "/v2/images/"+id, "application/json", nil)
}

// Deactivate keeps an image's bytes from being read.
func (g *Glance) Deactivate(tb testing.TB, id string) {
	tb.Helper()
	g.Call(tb, "POST", "/v2/images/"+id+"/actions/deactivate", "application/json", nil)
}

// Path is the file that holds an image's bytes.
func (g *Glance) Path(id string) string { return filepath.Join(g.dir, "images", id) }

// Cut cuts an image's bytes, of which the service does not know.
func (g *Glance) Cut(tb testing.TB, id string, n int64) {
	tb.Helper()
	if err := os.Truncate(g.Path(id), n); err != nil {
		tb.Fatal(err)
	}
}

// Host is the endpoint's host and port.
func (g *Glance) Host() string { return strings.TrimPrefix(g.Endpoint, "http://") }
