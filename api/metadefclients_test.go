package api

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A shell runs OpenStack's own clients against a server, with a home that nothing has
// been kept in.
type shell struct {
	t    *testing.T
	home string
	url  string
}

func newShell(t *testing.T, adjust ...func(*Deps)) *shell {
	t.Helper()
	b := newBench(t, adjust...)
	server := httptest.NewServer(b.handler)
	t.Cleanup(server.Close)
	return &shell{t, t.TempDir(), server.URL}
}

// run runs a client, which must succeed, and returns what it prints.
func (s *shell) run(program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=" + s.home, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v: run scripts/setup, which installs it\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *shell) glance(args ...string) string {
	s.t.Helper()
	return s.run("glance", append([]string{"--os-image-url", s.url, "--os-auth-token", "none"}, args...)...)
}

func (s *shell) openstack(args ...string) string {
	s.t.Helper()
	return s.run("openstack", append([]string{"--os-auth-type", "none", "--os-endpoint", s.url}, args...)...)
}

// shows fails the test unless a client has printed all of the texts.
func (s *shell) shows(out string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("%q is missing in\n%s", text, out)
		}
	}
}

// TestGlanceClient makes, reads, changes and deletes definitions with the glance command,
// which makes its options of the schemas that it gets first.
func TestGlanceClient(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	const name = "OS::Compute::RandomNumberGenerator"
	s.shows(s.glance("md-namespace-import", "--file", "/etc/glance/metadefs/compute-randomgen.json"), name, "hw_rng:rate_bytes")
	// The second time the schemas come from what the client has kept.
	s.shows(s.glance("md-namespace-list"), name)
	s.shows(s.glance("image-list"), "ID", "Name")
	s.shows(s.glance("md-namespace-show", name), "OS::Nova::Flavor", "hw_rng:allowed", "public")
	s.shows(s.glance("md-namespace-create", "mine", "--visibility", "private", "--description", "of the test"), "mine", "of the test")
	s.shows(s.glance("md-namespace-update", "mine", "--protected", "False", "--visibility", "public", "--display-name", "Mine"), "Mine", "public")
	s.shows(s.glance("md-resource-type-associate", "mine", "--name", "OS::Glance::Image", "--prefix", "hw_"), "OS::Glance::Image", "hw_")
	s.shows(s.glance("md-property-create", "mine", "--name", "size", "--title", "Size", "--schema", `{"type":"integer","minimum":1}`), "Size", "minimum")
	s.shows(s.glance("md-namespace-show", "mine", "--resource-type", "OS::Glance::Image"), "hw_size")
	s.shows(s.glance("md-object-create", "mine", "--name", "disk", "--schema", `{"description":"a disk","properties":{"bus":{"type":"string","title":"Bus"}}}`), "disk", "bus")
	s.shows(s.glance("md-tag-create-multiple", "mine", "--names", "two,three"), "two", "three")
	s.shows(s.glance("md-tag-list", "mine"), "two", "three")
	s.glance("md-namespace-delete", "mine")
	if out := s.glance("md-namespace-list"); strings.Contains(out, "mine") {
		t.Errorf("a deleted namespace is listed:\n%s", out)
	}
}

// TestGlanceClientWithStores is what clients of Debian 12 do where images may lie in
// several stores: the schema names them then, and their first command works.
func TestGlanceClientWithStores(t *testing.T) {
	t.Parallel()
	s := newShell(t, func(d *Deps) { d.Stores = []string{"local", "second"} })
	s.shows(s.glance("image-list"), "ID", "Name")
}

func TestOpenStackClient(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.shows(s.glance("md-namespace-import", "--file", "/etc/glance/metadefs/compute-vtpm.json"), "OS::Compute::VTPM")
	out := s.openstack("image", "list", "-f", "json")
	s.shows(out, "[]")
	help := s.run("openstack", "help", "image")
	if !strings.Contains(help, "metadef") {
		return // it came with python-openstackclient 6.1
	}
	s.shows(s.openstack("image", "metadef", "namespace", "list", "-f", "json"), "OS::Compute::VTPM")
}
