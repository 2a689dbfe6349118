package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"ingest/internal/glancetest"
	"ingest/internal/imgtest"
)

// An account is a user of an identity service, as OpenStack's clients are told of one.
type account struct {
	t                                testing.TB
	authURL, ca                      string
	user, password, project, program string
}

// run runs OpenStack's own client.
func (a account) run(args ...string) said {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+a.t.TempDir(), "OS_AUTH_URL="+a.authURL, "OS_CACERT="+a.ca, "OS_USERNAME="+a.user, "OS_PASSWORD="+a.password,
		"OS_PROJECT_NAME="+a.project, "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_IDENTITY_API_VERSION=3")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		a.t.Fatalf("%v: run scripts/setup, which installs it", err)
	}
	return said{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// want runs the client, which must not fail.
func (a account) want(args ...string) string {
	a.t.Helper()
	got := a.run(args...)
	if got.code != 0 {
		a.t.Fatalf("%s %q: %+v", a.program, args, got)
	}
	return strings.TrimSpace(got.stdout)
}

// certificate makes one of this machine.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return cert, key
}

// usersFile makes a file of users, all with one password.
func usersFile(t testing.TB, password string) string {
	t.Helper()
	cmd := exec.Command(binary, "token", "hash-password")
	cmd.Stdin = strings.NewReader(password + "\n")
	hash, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users.yaml")
	text := fmt.Sprintf("users:\n- {name: ann, password: %q, projects: {demo: [member], other: [member]}}\n- {name: bob, password: %[1]q, projects: {other: [member]}}\n",
		strings.TrimSpace(string(hash)))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoginWithPassword has OpenStack's clients log in at one binary, over TLS, and use
// its images; tokens outlive a crash, and end when they are revoked.
func TestLoginWithPassword(t *testing.T) {
	t.Parallel()
	const password = "canary-of-a-password"
	cert, key := certificate(t)
	roots := t.TempDir()
	src := imgtest.Convert(t, disk(t, 51, 4*mib), "raw", "qcow2")
	path := filepath.Join(roots, "disk.qcow2")
	if err := os.Rename(src, path); err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"--auth", "token", "--identity-users", usersFile(t, password), "--tls-cert", cert, "--tls-key", key, "--file-roots", roots, "--log-level", "debug"})
	ann := account{t: t, authURL: s.url + "/identity/v3", ca: cert, user: "ann", password: password, project: "demo", program: "openstack"}
	bob, elsewhere, wrong, glance := ann, ann, ann, ann
	bob.user, bob.project, elsewhere.project, wrong.password, glance.program = "bob", "other", "other", "wrong", "glance"

	token := ann.want("token", "issue", "-f", "value", "-c", "id")
	env := []string{"INGEST_URL=" + s.url, "INGEST_TOKEN=" + token, "SSL_CERT_FILE=" + cert}
	if got := ingestEnv(t, env, "import", path, "--name", "a-disk", "--quiet"); got.code != 0 {
		t.Fatalf("import: %+v", got)
	}
	var tasks struct {
		Tasks []struct{ Owner, Status string }
	}
	got := ingestEnv(t, env, "task", "list", "--json")
	decode(t, got, &tasks)
	if len(tasks.Tasks) != 1 || tasks.Tasks[0].Owner != "demo" || tasks.Tasks[0].Status != "success" {
		t.Errorf("the tasks are %s", got.stdout)
	}
	if !strings.Contains(got.stdout, `"user_id": "ann"`) {
		t.Errorf("the task is not of ann: %s", got.stdout)
	}
	if got := ann.want("image", "show", "a-disk", "-f", "value", "-c", "owner", "-c", "status"); got != "demo\nactive" {
		t.Errorf("the image is of %q", got)
	}
	if got := glance.want("image-list"); !strings.Contains(got, "a-disk") {
		t.Errorf("glance lists %s", got)
	}
	saved := filepath.Join(roots, "saved")
	ann.want("image", "save", "a-disk", "--file", saved)
	if fi, err := os.Stat(saved); err != nil || fi.Size() == 0 {
		t.Errorf("saved: %v", err)
	}
	for name, other := range map[string]account{"another user": bob, "another project": elsewhere} {
		if got := other.run("image", "show", "a-disk"); got.code == 0 {
			t.Errorf("%s sees the image: %+v", name, got)
		}
	}
	if got := wrong.run("image", "list"); got.code == 0 || !strings.Contains(got.stderr, "401") {
		t.Errorf("with a wrong password: %+v", got)
	}
	if got := ann.want("project", "list", "--my-projects", "-f", "value", "-c", "Name"); got != "demo\nother" {
		t.Errorf("the projects are %q", got)
	}
	// Whom somebody shares with they need not see: what is no project of theirs is an id.
	for _, project := range []string{"other", "stranger"} {
		if got := ann.want("image", "add", "project", "a-disk", project, "-f", "value", "-c", "member_id"); got != project {
			t.Errorf("shared with %q, want %s", got, project)
		}
	}
	if got := ann.want("project", "list", "-f", "value", "-c", "Name"); got != "demo\nother" {
		t.Errorf("the projects are %q", got)
	}
	s.fromGo(ann)

	other := ann.want("token", "issue", "-f", "value", "-c", "id")
	ann.want("token", "revoke", other)
	for range 2 {
		if got := ingestEnv(t, append(env, "INGEST_TOKEN="+other), "image", "list"); got.code != 1 || !strings.Contains(got.stderr, "UNAUTHENTICATED") {
			t.Errorf("with a token that was revoked: %+v", got)
		}
		if got := ingestEnv(t, env, "image", "list"); got.code != 0 || !strings.Contains(got.stdout, "a-disk") {
			t.Errorf("with the first token: %+v", got)
		}
		s.kill9()
		s.run()
		env = append(env, "INGEST_URL="+s.url)
	}
	for _, secret := range []string{password, token, other} {
		if strings.Contains(s.log(), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}

// fromGo lists the images with gophercloud.
func (s *server) fromGo(a account) {
	s.t.Helper()
	raw, err := os.ReadFile(a.ca)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	p, err := openstack.NewClient(a.authURL)
	if err != nil {
		s.t.Fatal(err)
	}
	p.HTTPClient = http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer p.HTTPClient.CloseIdleConnections()
	err = openstack.Authenticate(s.t.Context(), p, gophercloud.AuthOptions{IdentityEndpoint: a.authURL, Username: a.user, Password: a.password,
		DomainName: "Default", TenantName: a.project, AllowReauth: true})
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := openstack.NewImageV2(p, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		s.t.Fatal(err)
	}
	pages, err := images.List(c, images.ListOpts{Name: "a-disk"}).AllPages(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if all, err := images.ExtractImages(pages); err != nil || len(all) != 1 || all[0].Owner != "demo" {
		s.t.Errorf("gophercloud lists %+v, %v", all, err)
	}
}

// TestLoginAtKeystone has the callers of a real Keystone use the server.
func TestLoginAtKeystone(t *testing.T) {
	t.Parallel()
	cloud := glancetest.StartCloud(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(glancetest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"--auth", "keystone", "--keystone-url", cloud.AuthURL, "--keystone-password-file", file, "--log-level", "debug"})
	demo := account{t: t, authURL: cloud.AuthURL, user: glancetest.User, password: glancetest.Password, project: glancetest.Project, program: "openstack"}
	token := demo.want("token", "issue", "-f", "value", "-c", "id")
	cloud.AddRegion("beside", s.url)
	req, err := http.NewRequest("POST", s.url+"/v2/images", strings.NewReader(`{"name":"of-demo"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var img struct{ Owner string }
	if err := json.NewDecoder(resp.Body).Decode(&img); err != nil || resp.StatusCode != 201 || len(img.Owner) != 32 {
		t.Errorf("created: %s, owner %q, %v", resp.Status, img.Owner, err)
	}
	if got := demo.want("--os-region-name", "beside", "image", "list", "-f", "value", "-c", "Name"); got != "of-demo" {
		t.Errorf("the client lists %q", got)
	}
	if got := ingestEnv(t, []string{"INGEST_URL=" + s.url, "INGEST_TOKEN=guess"}, "image", "list"); got.code != 1 || !strings.Contains(got.stderr, "UNAUTHENTICATED") {
		t.Errorf("with a guess: %+v", got)
	}
	for _, secret := range []string{glancetest.Password, token} {
		if strings.Contains(s.log(), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}
