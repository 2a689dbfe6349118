package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// service starts an image service without images, whose answer names it.
func service(t *testing.T, name string, asked *[]string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/auth/tokens") {
			var in struct {
				Auth struct {
					Scope struct{ Project struct{ ID, Name string } }
				}
			}
			_ = json.NewDecoder(r.Body).Decode(&in)
			w.Header().Set("X-Subject-Token", "login:"+in.Auth.Scope.Project.Name+in.Auth.Scope.Project.ID)
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":{"expires_at":"2099-01-01T00:00:00.000000Z","catalog":[{"type":"image","endpoints":[{"interface":"public","region_id":"r","url":"http://%s/image/v2"}]}]}}`, r.Host)
			return
		}
		*asked = append(*asked, name+" "+strings.TrimSpace(r.Header.Get("X-Auth-Token")+" "+r.Header.Get("X-Project-Id")))
		fmt.Fprint(w, `{"images":[]}`)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// Which server is asked, and with whose token, is as docs/cli.md has it.
func TestWhoIsAsked(t *testing.T) {
	var asked []string
	mine, cloud, other := service(t, "mine", &asked), service(t, "cloud", &asked), service(t, "other", &asked)
	t.Chdir(t.TempDir())
	text := fmt.Sprintf("clouds:\n  east: {auth: {auth_url: %q, username: ann, password: x, project_name: demo}}\n  none: {auth_type: none, image_endpoint_override: %q}\n", cloud.URL, other.URL)
	if err := os.WriteFile("clouds.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	login := []string{"OS_AUTH_URL", cloud.URL, "OS_USERNAME", "bob", "OS_PASSWORD", "y", "OS_PROJECT_NAME", "env"}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"a server", nil, []string{"--server", mine.URL, "--project", "p"}, "mine p"},
		{"a server of the environment, before a cloud", append([]string{"INGEST_URL", mine.URL, "INGEST_TOKEN", "t"}, login...), nil, "mine t"},
		{"a cloud of the environment", login, nil, "cloud login:env"},
		{"another project", login, []string{"--project", "red"}, "cloud login:red"},
		{"a project by its id", login, []string{"--project", strings.Repeat("0a", 16)}, "cloud login:" + strings.Repeat("0a", 16)},
		{"a cloud of a file, before variables", append([]string{"OS_CLOUD", "east"}, login...), nil, "cloud login:demo"},
		{"a cloud of a flag, before a server", []string{"INGEST_URL", mine.URL, "OS_CLOUD", "absent"}, []string{"--os-cloud", "east"}, "cloud login:demo"},
		{"a cloud's user at another server", nil, []string{"--os-cloud", "east", "--server", mine.URL}, "mine login:demo"},
		{"a cloud without a login", nil, []string{"--os-cloud", "none"}, "other"},
		{"no login at an address", []string{"OS_AUTH_TYPE", "none", "OS_ENDPOINT_OVERRIDE", other.URL + "/v2/"}, nil, "other"},
		{"a token at an address", []string{"OS_TOKEN", "t", "OS_IMAGE_URL", other.URL}, nil, "other t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range os.Environ() {
				if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OS_") || strings.HasPrefix(name, "INGEST_") {
					t.Setenv(name, "")
				}
			}
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			asked = nil
			var out, errOut bytes.Buffer
			g := &globals{}
			code := execute(t.Context(), g, clientCommands(g), append([]string{"image", "list"}, c.args...), &out, &errOut)
			if code != 0 || len(asked) != 1 || strings.TrimSpace(asked[0]) != c.want {
				t.Errorf("exit code %d, asked %q, want %q\n%s", code, asked, c.want, errOut.String())
			}
		})
	}
}

// A save that was broken off goes on where it was, in another run of the program.
func TestSaveGoesOn(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("import", "http://h/i", "--name", "an image", "-q").want(t, 0, `.*`, "")
	path := filepath.Join(t.TempDir(), "disk")
	part := func() []string {
		all, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".disk.*.part"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	url := m.url
	// A proxy that breaks a download off, and has it not go on.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/file") && r.Header.Get("Range") != "":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.HasSuffix(r.URL.Path, "/file"):
			w.Header().Set("Content-Length", fmt.Sprint(len(m.data)))
			_, _ = w.Write(m.data[:250_000])
			panic(http.ErrAbortHandler)
		}
		resp, err := http.Get(url + r.URL.RequestURI())
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(proxy.Close)

	m.url = proxy.URL
	m.ingest("image", "save", "an image", path).want(t, 1, "", `.*250000 of 600000 bytes are kept; the same command goes on from there\nerror: SERVER_UNREACHABLE .*`)
	if all := part(); len(all) != 1 {
		t.Fatalf("kept %q", all)
	}
	m.url = url
	m.ingest("image", "save", "an image", path).want(t, 0, "", `check .*244 KiB  done .*save .*digest checked\n`)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, m.data) || len(part()) != 0 {
		t.Errorf("saved %d bytes, %v, kept %q", len(got), err, part())
	}

	// What is there and is wrong is found out, and is not gone on with again.
	m.url = proxy.URL
	m.ingest("image", "save", "an image", path, "--force", "-q").want(t, 1, "", `.*`)
	if err := os.WriteFile(part()[0], bytes.Repeat([]byte("x"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	m.url = url
	m.ingest("image", "save", "an image", path, "--force", "-q").want(t, 1, "", `error: IMG_VERIFY_MISMATCH .*`)
	m.ingest("image", "save", "an image", path, "--force", "-q").want(t, 0, "", "")
}

// Images are completed by names that mean one, and by ids once one is begun.
func TestImagesAreCompleted(t *testing.T) {
	m := newMachine(t, succeed)
	for _, name := range []string{"debian", "twice", "twice"} {
		m.ingest("import", "http://h/i", "--name", name, "-q").want(t, 0, `.*`, "")
	}
	m.ingest("__complete", "image", "show", "de").want(t, 0, `debian\tactive qcow2\n.*:4\n`, `.*`)
	m.ingest("__complete", "image", "show", "tw").want(t, 0, `:4\n`, `.*`)
	id := m.asked[1].ImageID
	m.ingest("__complete", "member", "add", id[:9]).want(t, 0, id+`\ttwice\n:4\n`, `.*`)
	m.ingest("__complete", "task", "show", "").want(t, 0, `.*`+m.asked[0].TaskID+`\tsuccess.*`, `.*`)
}
