package http

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

const loginCanary = "canary-5d0c1e"

// guardedSite serves content to who brings what the credentials hold.
func guardedSite(t *testing.T, content []byte) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		ok := map[string]bool{
			"/basic":  user == "me" && password == loginCanary,
			"/bearer": r.Header.Get("Authorization") == "Bearer "+loginCanary,
			"/header": r.Header.Get("X-Api-Key") == loginCanary,
			"/url":    r.URL.Query().Get("sig") == loginCanary,
		}[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		(&web{content: content, etag: tagOfContent, cut: -1}).ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func vaultFor(t *testing.T, base string) *credentials.Vault {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("HOST", u.Host, "BASE", base, "SECRET", loginCanary).Replace(`
basic: {type: basic, hosts: ["HOST"], username: me, password: SECRET}
bearer: {type: bearer, hosts: ["HOST"], token: SECRET}
header: {type: header, hosts: ["HOST"], header: X-Api-Key, value: SECRET}
url: {type: url, url: "BASE/url?sig=SECRET"}
wrong: {type: bearer, hosts: ["HOST"], token: SECRET-wrong}
elsewhere: {type: bearer, hosts: [images.example.com], token: SECRET}
theirs: {type: bearer, hosts: ["HOST"], projects: [p1], token: SECRET}
bucket: {type: s3, endpoint: "BASE", access_key: a, secret_key: SECRET}
`)
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := credentials.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCredential(t *testing.T) {
	content := sourcetest.Content(200_000, 9)
	srv := guardedSite(t, content)
	o := testOptions()
	o.Credentials = vaultFor(t, srv.URL)
	for _, tt := range []struct {
		path, credential, project string
		want                      errcode.Code
	}{
		{"/basic", "basic", "", ""}, {"/bearer", "bearer", "", ""}, {"/header", "header", "", ""}, {"/url", "url", "", ""},
		{"/bearer", "theirs", "p1", ""},
		{"/bearer", "theirs", "p2", errcode.CredentialNotAllowed},
		{"/bearer", "theirs", "", errcode.CredentialNotAllowed},
		{"/bearer", "wrong", "", errcode.SourceAuth},
		{"/bearer", "", "", errcode.SourceAuth},
		{"/bearer", "elsewhere", "", errcode.CredentialNotAllowed},
		{"/bearer", "bucket", "", errcode.CredentialType},
		{"/bearer", "nobody", "", errcode.CredentialUnknown},
		{"/bearer", "url", "", errcode.CredentialNotAllowed},
	} {
		ref := sources.Ref{URL: srv.URL + tt.path, Credential: tt.credential, Project: tt.project}
		s, err := New(o).Open(t.Context(), ref, nil)
		if errcode.Of(err) != tt.want {
			t.Errorf("%+v: %v (%v), want %q", ref, err, errors.Unwrap(err), tt.want)
		}
		if err != nil {
			if strings.Contains(fmt.Sprintf("%v %v", err, errors.Unwrap(err)), loginCanary) {
				t.Errorf("%+v: the error tells the secret", ref)
			}
			continue
		}
		if got, err := readStream(t, s, 100); err != nil || !bytes.Equal(got, content[100:]) {
			t.Errorf("%+v: stream = %d bytes, %v", ref, len(got), err)
		}
		trace, _ := sources.TraceOf(s)
		pin := s.Pin()
		if strings.Contains(fmt.Sprintf("%+v %+v", pin, trace), loginCanary) {
			t.Errorf("%+v: pin or trace tells the secret", ref)
		}
		if again, err := New(o).Open(t.Context(), ref, &pin); err != nil {
			t.Errorf("%+v: Open with the pin: %v", ref, err)
		} else {
			again.Close()
		}
		s.Close()
	}
}

// TestCredentialStaysHome follows redirects to another host, which is told
// nothing, and within the host, which is told.
func TestCredentialStaysHome(t *testing.T) {
	content := sourcetest.Content(50_000, 9)
	other := newWeb(t, content)
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other.url+"/real", http.StatusFound)
	})
	home := guardedSite(t, content)
	mux.HandleFunc("/near", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bearer", http.StatusFound) })
	mux.Handle("/bearer", home.Config.Handler)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	o := testOptions()
	o.Credentials = vaultFor(t, srv.URL)
	for _, path := range []string{"/away", "/near"} {
		s, err := New(o).Open(t.Context(), sources.Ref{URL: srv.URL + path, Credential: "bearer"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got, err := readStream(t, s, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		s.Close()
	}
	if asked := other.asked("Authorization"); len(asked) == 0 || strings.Join(asked, "") != "" {
		t.Errorf("the other host was told %q", asked)
	}
}
