package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/glancetest"
	"ingest/internal/imgtest"
)

// A shell is the command line, told by its environment whom it talks to.
type shell struct {
	t    testing.TB
	env  []string
	told *strings.Builder // all that was printed
	// ours says that it is ingest that is talked to. What follows from that is little.
	ours bool
}

// run runs a command whose exit code is known.
func (s shell) run(code int, args ...string) said {
	s.t.Helper()
	got := ingestEnv(s.t, s.env, args...)
	s.told.WriteString(got.stdout + got.stderr)
	if got.code != code {
		s.t.Fatalf("ingest %q: %+v", args, got)
	}
	return got
}

// image runs a command that prints an image.
func (s shell) image(args ...string) wire.Image {
	s.t.Helper()
	var img wire.Image
	decode(s.t, s.run(0, append(args, "--json")...), &img)
	return img
}

// refused runs a command that fails with a code.
func (s shell) refused(code string, args ...string) {
	s.t.Helper()
	if got := s.run(1, args...); !strings.Contains(got.stderr, "error: "+code+" ") || !strings.Contains(got.stderr, "what to do:") {
		s.t.Errorf("ingest %q: %+v, want %s", args, got, code)
	}
}

// TestImageCommands runs the same commands at ingest, however it knows its callers, and
// at a real Glance.
func TestImageCommands(t *testing.T) {
	t.Parallel()
	const password = "canary-of-a-password"
	cloud := glancetest.StartCloud(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(glancetest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	app := cloud.ApplicationCredential("cli", password)
	home := t.TempDir()
	clouds := filepath.Join(home, ".config", "openstack")
	if err := os.MkdirAll(clouds, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("clouds:\n  real: {auth: {auth_url: %q, username: demo, project_name: demo, user_domain_name: Default, project_domain_name: Default}, region_name: %s}\n", cloud.AuthURL, glancetest.Region)
	secure := fmt.Sprintf("clouds:\n  real: {auth: {password: %q}}\n", glancetest.Password)
	for name, text := range map[string]string{"clouds.yaml": text, "secure.yaml": secure} {
		if err := os.WriteFile(filepath.Join(clouds, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var told strings.Builder
	login := []string{"OS_AUTH_URL=" + cloud.AuthURL, "OS_USERNAME=" + glancetest.User, "OS_PASSWORD=" + glancetest.Password, "OS_PROJECT_NAME=" + glancetest.Project}
	for _, c := range []struct {
		name string
		ours bool
		env  func(t testing.TB) []string
	}{
		{"ingest that asks nobody", true, func(t testing.TB) []string { return []string{"INGEST_URL=" + start(t, nil).url} }},
		{"ingest without a login", true, func(t testing.TB) []string {
			return []string{"OS_AUTH_TYPE=none", "OS_ENDPOINT_OVERRIDE=" + start(t, nil).url}
		}},
		{"ingest with tokens", true, func(t testing.TB) []string {
			s := start(t, []string{"--auth", "token"})
			token := ingest(t, "token", "create", "ci", "--project", "demo", "--data-dir", s.data, "--quiet")
			return []string{"INGEST_URL=" + s.url, "INGEST_TOKEN=" + strings.TrimSpace(token.stdout)}
		}},
		{"ingest with users", true, func(t testing.TB) []string {
			cert, key := certificate(t)
			s := start(t, []string{"--auth", "token", "--identity-users", usersFile(t, password), "--tls-cert", cert, "--tls-key", key})
			return []string{"OS_AUTH_URL=" + s.url + "/identity/v3", "OS_USERNAME=ann", "OS_PASSWORD=" + password, "OS_PROJECT_NAME=demo",
				"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_CACERT=" + cert}
		}},
		{"ingest behind Keystone", true, func(t testing.TB) []string {
			s := start(t, []string{"--auth", "keystone", "--keystone-url", cloud.AuthURL, "--keystone-password-file", file})
			cloud.AddRegion("beside", s.url)
			return append([]string{"OS_REGION_NAME=beside"}, login...)
		}},
		{"Glance", false, func(testing.TB) []string { return []string{"OS_CLOUD=real"} }},
		{"Glance with an application credential", false, func(testing.TB) []string {
			return []string{"OS_AUTH_URL=" + cloud.AuthURL, "OS_APPLICATION_CREDENTIAL_ID=" + app, "OS_APPLICATION_CREDENTIAL_SECRET=" + password,
				"OS_REGION_NAME=" + glancetest.Region, "OS_INTERFACE=internal"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shell{t, append([]string{"HOME=" + home}, c.env(t)...), &told, c.ours}
			s.life()
			s.bytes()
			s.sharing()
		})
	}
	elsewhere := shell{t, []string{"HOME=" + home}, &told, false}
	elsewhere.refused("CLOUD_CONFIG_INVALID", "image", "list", "--os-cloud", "other")
	elsewhere.refused("CLOUD_CONFIG_INVALID", "image", "list", "--os-cloud", "real", "--os-region-name", "nowhere")
	elsewhere.env = append(elsewhere.env, append(login, "OS_PASSWORD="+password)...)
	elsewhere.refused("UNAUTHENTICATED", "image", "list")
	for _, secret := range []string{password, glancetest.Password} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("the command line tells a password:\n%s", told.String())
		}
	}
}

// life makes an image, changes it and deletes it.
func (s shell) life() {
	s.t.Helper()
	img := s.image("image", "create", "a life", "--disk-format", "raw", "--property", "os_distro=debian", "--property", "a/b~c=1", "--tag", "one", "--min-disk", "3")
	if img.Status != "queued" || img.Properties["os_distro"] != "debian" || img.Properties["a/b~c"] != "1" || img.MinDisk != 3 || img.ContainerFormat != "bare" {
		s.t.Errorf("made %+v", img)
	}
	got := s.image("image", "set", "a life", "--name", "renamed", "--property", "os_distro=ubuntu", "--property", "new=x", "--tag", "two", "--min-ram", "64", "--protected")
	if got.ID != img.ID || got.Name != "renamed" || got.Properties["os_distro"] != "ubuntu" || got.Properties["new"] != "x" || len(got.Tags) != 2 || got.MinRAM != 64 || !got.Protected {
		s.t.Errorf("changed to %+v", got)
	}
	s.refused("FORBIDDEN", "image", "delete", "renamed")
	got = s.image("image", "unset", "renamed", "--property", "a/b~c", "--tag", "one")
	if _, ok := got.Properties["a/b~c"]; ok || len(got.Tags) != 1 {
		s.t.Errorf("changed to %+v", got)
	}
	s.refused("CONFLICT", "image", "unset", "renamed", "--property", "absent")
	s.refused("NOT_FOUND", "tag", "remove", "renamed", "absent")
	s.run(0, "tag", "add", "renamed", "a", "b")
	s.run(0, "tag", "remove", "renamed", "a")
	var list struct{ Images []wire.Image }
	decode(s.t, s.run(0, "image", "list", "--tag", "b", "--tag", "two", "--property", "new=x", "--sort", "name:asc", "--json"), &list)
	if len(list.Images) != 1 || list.Images[0].ID != img.ID {
		s.t.Errorf("listed %+v", list)
	}
	if got := s.run(0, "image", "list", "--name", "renamed"); !strings.Contains(got.stdout, img.ID) {
		s.t.Errorf("listed %s", got.stdout)
	}
	s.run(0, "image", "set", img.ID, "--protected=false", "--hidden")
	s.refused("NOT_FOUND", "image", "show", "renamed") // hidden images have only their ids
	s.run(0, "image", "delete", img.ID)
	s.refused("NOT_FOUND", "image", "show", img.ID)
}

// bytes sends bytes to images in all ways, and gets them back.
func (s shell) bytes() {
	s.t.Helper()
	dir := s.t.TempDir()
	raw := disk(s.t, 61, 3*mib)
	qcow2 := imgtest.Convert(s.t, raw, "raw", "qcow2")
	img := s.image("image", "create", "full", "--file", qcow2)
	if img.Status != "active" || img.DiskFormat != "qcow2" || img.Size == nil || img.HashValue == "" {
		s.t.Errorf("made %+v", img)
	}
	saved := filepath.Join(dir, "saved")
	if got := s.run(0, "image", "save", "full", saved); !strings.Contains(got.stderr, "digest checked") || !bytes.Equal(read(s.t, saved), read(s.t, qcow2)) {
		s.t.Errorf("saved %+v", got)
	}
	s.refused("DESTINATION_EXISTS", "image", "save", "full", saved)
	s.refused("CONFLICT", "image", "upload", "full", raw)
	s.refused("CONFLICT", "image", "import", "full")
	empty := s.image("image", "create", "empty", "--disk-format", "raw")
	if got := s.image("image", "upload", empty.ID, raw); got.Status != "active" || *got.Size != 3*mib {
		s.t.Errorf("uploaded %+v", got)
	}
	staged := s.image("image", "create", "staged", "--file", raw, "--import")
	if staged.Status != "active" || staged.Name != "staged" {
		s.t.Errorf("imported %+v", staged)
	}
	var tasks struct{ Tasks []wire.Task }
	decode(s.t, s.run(0, "task", "list", "--image", staged.ID, "--json"), &tasks)
	if len(tasks.Tasks) != 1 || tasks.Tasks[0].Status != "success" {
		s.t.Errorf("tasks %+v", tasks)
	}
	if s.ours {
		s.run(0, "task", "show", tasks.Tasks[0].ID)
		s.run(0, "task", "watch", tasks.Tasks[0].ID)
	}
	// What every user of a cloud may do differs: here it is the owner.
	if s.ours {
		s.run(0, "image", "deactivate", "full")
		s.refused("FORBIDDEN", "image", "save", "full", filepath.Join(dir, "withheld"))
		s.run(0, "image", "reactivate", "full")
		// What is refused by its first bytes is told, though the rest is on its way.
		hostile := read(s.t, qcow2)
		hostile[15], hostile[19] = 0x70, 8 // where the name of a backing file is, and its length
		bad := filepath.Join(dir, "hostile")
		if err := os.WriteFile(bad, append(hostile, make([]byte, 64*mib)...), 0o600); err != nil {
			s.t.Fatal(err)
		}
		for range 3 {
			s.refused("IMG_QCOW2_BACKING_FILE", "image", "create", "hostile", "--file", bad, "--disk-format", "qcow2")
		}
		s.refused("IMG_QCOW2_BACKING_FILE", "image", "create", "hostile", "--file", bad)
		s.refused("NOT_FOUND", "image", "show", "hostile")
	} else {
		s.refused("SERVER_NOT_INGEST", "import", raw)
		s.refused("FORBIDDEN", "task", "list")
	}
	s.run(1, "image", "create", "broken", "--file", filepath.Join(dir, "absent"))
	s.run(0, "image", "delete", "full", "staged", empty.ID)
}

// sharing shares an image.
func (s shell) sharing() {
	s.t.Helper()
	img := s.image("image", "create", "shared", "--visibility", "shared", "--disk-format", "raw")
	s.run(0, "member", "add", "shared", "acme")
	var list struct{ Members []wire.Member }
	decode(s.t, s.run(0, "member", "list", "shared", "--json"), &list)
	if len(list.Members) != 1 || list.Members[0].Project != "acme" || list.Members[0].Status != "pending" {
		s.t.Errorf("members %+v", list)
	}
	s.refused("CONFLICT", "member", "add", "shared", "acme")
	s.refused("FORBIDDEN", "member", "set", "shared", "acme", "--status", "accepted") // the owner may not
	s.run(0, "member", "remove", "shared", "acme")
	s.refused("NOT_FOUND", "member", "remove", "shared", "acme")
	s.run(0, "image", "set", "shared", "--visibility", "private")
	s.refused("FORBIDDEN", "member", "add", img.ID, "acme")
	s.run(0, "image", "delete", "shared")
}

// TestDocumentedImageCommands runs what docs/cli.md shows first, as it stands there.
func TestDocumentedImageCommands(t *testing.T) {
	text, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	t.Chdir(t.TempDir())
	raw := disk(t, 62, mib)
	for _, format := range []string{"qcow2", "vmdk"} {
		if err := os.Rename(imgtest.Convert(t, raw, "raw", format), "debian-12."+format); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "    ingest ")
		if !ok && n > 0 {
			break
		}
		if command, _, _ = strings.Cut(command, "  #"); ok {
			n++
			if got := ingestEnv(t, []string{"INGEST_URL=" + s.url}, strings.Fields(command)...); got.code != 0 {
				t.Fatalf("ingest %s: %+v", command, got)
			}
		}
	}
	if n < 12 {
		t.Errorf("only %d commands were run", n)
	}
}
