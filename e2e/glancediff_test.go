package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/access"
	"ingest/internal/apidiff"
	"ingest/internal/glancetest"
	"ingest/internal/imgtest"
)

// twoStores gives Glance the stores local and second, and a cache.
func twoStores(t testing.TB, port int) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"local", "second", "cache"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port)).Replace(`
[DEFAULT]
enabled_backends = local:file,second:file
enabled_import_methods = [glance-direct,web-download,copy-image]
image_cache_dir = DIR/cache
image_cache_driver = sqlite
hashing_algorithm = sha512
[glance_store]
default_backend = local
[local]
filesystem_store_datadir = DIR/local
[second]
filesystem_store_datadir = DIR/second
[import_filtering_opts]
allowed_ports = [PORT]
allowed_hosts = [127.0.0.1]
`)
}

// standardRules is a file of the rules that a server has whose callers are proved.
func standardRules(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, r := range access.Standard().List() {
		fmt.Fprintf(&text, "%q: %q\n", r.Name, r.Check)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGlanceDifferences replays requests at Debian's real Glance, and compares the
// answers.
func TestGlanceDifferences(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	raw := disk(t, 71, mib)
	if err := os.Rename(raw, filepath.Join(src, "disk.raw")); err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewServer(http.FileServer(http.Dir(src)))
	t.Cleanup(origin.Close)
	qcow2 := string(read(t, imgtest.Convert(t, filepath.Join(src, "disk.raw"), "raw", "qcow2")))
	back := filepath.Join(src, "backed.qcow2")
	imgtest.QemuImg(t, "create", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", back, "1M")

	s := start(t, append([]string{"--store", "second=" + t.TempDir(), "--hash-algo", "sha512", "--md5",
		"--cache-dir", t.TempDir(), "--access-rules", standardRules(t)}, loopback...))
	mine := &apidiff.Service{Name: "ingest", URL: s.url}
	glance := &apidiff.Service{Name: "Glance", URL: glancetest.StartTrusting(t, glancetest.NewDefaults, glancetest.Caching, twoStores(t, origin.Listener.Addr().(*net.TCPAddr).Port)).Endpoint}
	for _, service := range []*apidiff.Service{glance, mine} {
		service.Let("origin", origin.URL)
		service.Let("qcow2", qcow2)
		service.Let("backed", string(read(t, back)))
	}
	rep, err := apidiff.Replay(glance, mine, apidiff.ImageRequests(), apidiff.ImageDifferences())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected)+len(rep.Unseen) > 0 {
		t.Errorf("the answers differ: %v", rep)
	}
	t.Logf("%d requests, %d intended differences", rep.Requests, rep.Expected)
}

// TestLocationDifferences replays changes of locations at a Glance that shows them.
func TestLocationDifferences(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	if err := os.Mkdir(filepath.Join(src, "external"), 0o700); err != nil {
		t.Fatal(err)
	}
	one, other := read(t, disk(t, 121, mib)), read(t, disk(t, 122, mib))
	for name, body := range map[string][]byte{"a.raw": one, "b.raw": one, "c.raw": other} {
		if err := os.WriteFile(filepath.Join(src, "external", name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	origin := httptest.NewServer(http.FileServer(http.Dir(src)))
	t.Cleanup(origin.Close)
	s := start(t, append([]string{"--store", "web=" + origin.URL, "--hash-algo", "sha512", "--show-multiple-locations", "--access-rules", standardRules(t)}, loopback...))
	mine := &apidiff.Service{Name: "ingest", URL: s.url}
	glance := &apidiff.Service{Name: "Glance", URL: glancetest.StartTrusting(t, glancetest.NewDefaults, fmt.Sprintf(`
[DEFAULT]
show_multiple_locations = true
enabled_backends = local:file,web:http
[glance_store]
default_backend = local
[local]
filesystem_store_datadir = %s
[web]
[import_filtering_opts]
allowed_ports = [%d]
allowed_hosts = [127.0.0.1]
`, t.TempDir(), origin.Listener.Addr().(*net.TCPAddr).Port)).Endpoint}
	for _, service := range []*apidiff.Service{glance, mine} {
		service.Let("origin", origin.URL)
	}
	rep, err := apidiff.Replay(glance, mine, apidiff.LocationRequests(), apidiff.LocationDifferences())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected)+len(rep.Unseen) > 0 {
		t.Errorf("the answers differ: %v", rep)
	}
	t.Logf("%d requests, %d intended differences", rep.Requests, rep.Expected)
}
