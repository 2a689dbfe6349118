package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingest/internal/glancetest"
	"ingest/internal/replicate"
)

// A gate stands before an image service, and lets only the first bytes of images pass, in
// both directions, until it is opened.
type gate struct {
	*httptest.Server
	most   int64 // bytes that pass
	open   atomic.Bool
	passed atomic.Int64
}

// gateBytes are those that pass when images are copied.
const gateBytes = 8 * mib

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{most: gateBytes}
	g.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Method == http.MethodPut && strings.HasSuffix(r.In.URL.Path, "/file") {
				r.Out.Body = g.let(r.In.Body)
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if strings.HasSuffix(resp.Request.URL.Path, "/file") {
				resp.Body = g.let(resp.Body)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(func() { g.open.Store(true); g.CloseClientConnections(); g.Close() })
	return g
}

func (g *gate) let(body io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{gated{g, body}, body}
}

type gated struct {
	g *gate
	r io.Reader
}

func (r gated) Read(p []byte) (int, error) {
	for !r.g.open.Load() && r.g.passed.Load() >= r.g.most {
		time.Sleep(20 * time.Millisecond)
	}
	n, err := r.r.Read(p[:min(len(p), 64<<10)])
	r.g.passed.Add(int64(n))
	return n, err
}

// A pair are two image services as `ingest replicate` names them.
type pair struct {
	t        testing.TB
	env      []string
	from, to string
}

// run runs a direction, and returns what became of each image.
func (p pair) run(args ...string) map[string]replicate.Outcome {
	p.t.Helper()
	got := ingestEnv(p.t, p.env, append([]string{"replicate"}, append(args, "--json")...)...)
	if got.code != 0 {
		p.t.Fatalf("replicate %q: %+v", args, got)
	}
	var list struct{ Images []replicate.Outcome }
	decode(p.t, got, &list)
	out := map[string]replicate.Outcome{}
	for _, one := range list.Images {
		out[one.ID] = one
	}
	return out
}

// are checks that all images ended so.
func (p pair) are(status string, n int, got map[string]replicate.Outcome) {
	p.t.Helper()
	if len(got) != n {
		p.t.Errorf("%d images, want %d", len(got), n)
	}
	for id, one := range got {
		if one.Status != status {
			p.t.Errorf("image %s is %s, want %s: %s", id, one.Status, status, show(one))
		}
	}
}

// killed begins a copy that passes through a gate, and kills it in the middle.
func (p pair) killed(g *gate) {
	p.t.Helper()
	cmd := exec.Command(binary, "replicate", "livecopy", p.from, p.to)
	cmd.Env = append(os.Environ(), p.env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	eventually(p.t, time.Minute, "some bytes", func() (bool, string) {
		select {
		case err := <-ended:
			ended <- err
			p.t.Fatalf("the copy ended before: %v\n%s", err, said.String())
		default:
		}
		return g.passed.Load() >= gateBytes, fmt.Sprint(g.passed.Load())
	})
	time.Sleep(500 * time.Millisecond) // so that the other side has seen some of them
}

// follows has the target follow the source of n images, through a kill, and compares.
func (p pair) follows(g *gate, n int) {
	p.t.Helper()
	p.are(replicate.Missing, n, p.run("compare", p.from, p.to))
	p.killed(g)
	g.open.Store(true)
	var got map[string]replicate.Outcome
	eventually(p.t, time.Minute, "the target to see that the copy has ended", func() (bool, string) {
		got = p.run("compare", p.from, p.to)
		for _, one := range got {
			if one.Status != replicate.Missing && one.Status != replicate.Same { // its bytes are still being received
				return false, show(got)
			}
		}
		return true, ""
	})
	for id, one := range p.run("livecopy", p.from, p.to) { // what was whole before is the same
		if one.Status != replicate.Copied && one.Status != replicate.Same {
			p.t.Errorf("image %s: %s", id, show(one))
		}
	}
	got = p.run("compare", p.from, p.to)
	p.are(replicate.Same, n, got)
	p.are(replicate.Same, n, p.run("livecopy", p.from, p.to))
	bytes := int64(0)
	for _, one := range got {
		bytes += one.Size
	}
	var size replicate.Sizes
	decode(p.t, ingestEnv(p.t, p.env, "replicate", "size", p.from, "--json"), &size)
	if size.Images != n || size.Bytes != bytes {
		p.t.Errorf("%d images of %d bytes, want %d of %d", size.Images, size.Bytes, n, bytes)
	}
}

// TestReplicateAcrossServices has an ingest that OpenStack's clients log in at follow
// Debian's Glance, another ingest follow that one, and a Glance follow back.
func TestReplicateAcrossServices(t *testing.T) {
	t.Parallel()
	const password = "canary-of-a-password"
	source, back := glancetest.Start(t), glancetest.Start(t)
	big := read(t, disk(t, 111, 48*mib))
	ids := []string{
		source.Put(t, "big", big, glancetest.Object{"tags": []string{"x"}, "os_distro": "debian", "min_disk": 1, "protected": true}),
		source.Put(t, "hidden", big[:mib], glancetest.Object{"os_hidden": true, "odd/~name": "v"}),
	}
	cert, key := certificate(t)
	west := start(t, []string{"--auth", "token", "--identity-users", usersFile(t, password), "--tls-cert", cert, "--tls-key", key})
	far := start(t, nil)
	clouds := filepath.Join(t.TempDir(), "clouds.yaml")
	text := fmt.Sprintf("clouds:\n  west: {auth: {auth_url: %q, username: ann, password: %q, project_name: demo, user_domain_name: Default, project_domain_name: Default}, cacert: %q}\n",
		west.url+"/identity/v3", password, cert)
	if err := os.WriteFile(clouds, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"OS_CLIENT_CONFIG_FILE=" + clouds, "HOME=" + t.TempDir()}

	first := newGate(t, source.Endpoint)
	pair{t, env, first.URL, "west"}.follows(first, 2)
	second, third := newGate(t, far.url), newGate(t, back.Endpoint)
	pair{t, env, "west", second.URL}.follows(second, 2)
	pair{t, env, far.url, third.URL}.follows(third, 2)
	pair{t, env, source.Endpoint, back.Endpoint}.are(replicate.Same, 2, pair{t, env, "", ""}.run("compare", source.Endpoint, back.Endpoint))
	for i, id := range ids {
		want := big
		if i > 0 {
			want = big[:mib]
		}
		if !bytes.Equal(read(t, back.Path(id)), want) {
			t.Errorf("image %d came back with other bytes", i)
		}
	}
	for _, s := range []*server{west, far} {
		eventually(t, 20*time.Second, "nothing beside the images", func() (bool, string) {
			left := append(s.left("staging"), s.left("store/uploads")...)
			return len(left) == 0, show(left)
		})
	}
}
