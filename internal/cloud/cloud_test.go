package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
)

const canary = "canary-of-a-password"

// vars is an environment.
func vars(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// Each setting comes from the first layer that has it; what belongs together comes from
// one.
func TestLayers(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers []Settings
		want   Settings
	}{
		{"the first one counts", []Settings{{"auth_url": "a"}, {"auth_url": "b", "username": "u"}}, Settings{"auth_url": "a", "username": "u"}},
		{"a project by its id is not one by another name", []Settings{{"project_id": "1"}, {"project_name": "p", "password": "x"}}, Settings{"project_id": "1", "password": "x"}},
		{"a token hides a password", []Settings{{"token": "t"}, {"password": "x"}}, Settings{"token": "t"}},
		{"one layer may have both of a group", []Settings{{"username": "u", "application_credential_name": "a"}}, Settings{"username": "u", "application_credential_name": "a"}},
		{"what is empty hides nothing", []Settings{{"project_id": ""}, {"project_name": "p"}}, Settings{"project_name": "p"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(map[string]string(c.want), map[string]string(Layered(c.layers...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	s := Environment(vars("OS_AUTH_URL", "http://k", "OS_TENANT_NAME", "old", "OS_PROJECT_NAME", "p", "OS_IMAGE_ENDPOINT", "http://i", "OS_ENDPOINT_TYPE", "internalURL", "OS_INSECURE", "True", "OS_PASSWORD", canary))
	want := Settings{"auth_url": "http://k", "project_name": "p", Endpoint: "http://i", Interface: "internalURL", Verify: "false", "password": canary}
	if diff := cmp.Diff(map[string]string(want), map[string]string(s)); diff != "" || !s.Names() {
		t.Error(diff)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(text, canary) {
		t.Errorf("printed as %s", text)
	}
}

// files writes files of clouds and goes into their folder.
func files(t *testing.T, texts map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range texts {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFiles(t *testing.T) {
	files(t, map[string]string{
		"clouds.yaml": `clouds:
  east:
    auth: {auth_url: "https://k:5000/v3", username: ann, project_name: 7, user_domain_name: Default}
    region_name: one
    interface: internal
    verify: false
    profile: vendor
  lists: {regions: [{name: first}, second]}
  plain: {regions: [a, b], auth: {tenant_name: old}}
`,
		"home/.config/openstack/secure.yaml":        "clouds: {east: {auth: {password: " + canary + ", username: secure}}}\n",
		"home/.config/openstack/clouds.yaml":        "clouds: {hidden: {}}\n",
		"home/.config/openstack/clouds-public.yaml": "public-clouds: {vendor: {auth: {auth_url: 'https://other', project_domain_id: d}, image_endpoint_override: 'https://i'}}\n",
		"elsewhere/clouds.yaml":                     "clouds: {there: {auth_type: none}}\n",
	})
	env := vars("HOME", "home")
	got, err := Named("east", env)
	want := Settings{"auth_url": "https://k:5000/v3", "username": "secure", "password": canary, "project_name": "7", "user_domain_name": "Default",
		"project_domain_id": "d", Region: "one", Interface: "internal", Verify: "false", Endpoint: "https://i"}
	if diff := cmp.Diff(map[string]string(want), map[string]string(got)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for name, region := range map[string]string{"lists": "first", "plain": "a"} {
		if got, err := Named(name, env); err != nil || got[Region] != region {
			t.Errorf("%s: region %q, %v", name, got[Region], err)
		}
	}
	if diff := cmp.Diff([]string{"east", "lists", "plain"}, Clouds(env)); diff != "" {
		t.Error(diff)
	}
	if got, err := Named("there", vars("OS_CLIENT_CONFIG_FILE", "elsewhere/clouds.yaml")); err != nil || got[AuthType] != "none" {
		t.Errorf("in the file that is named: %v, %v", got, err)
	}
	if _, err := Named("west", env); errcode.Of(err) != errcode.CloudConfig || !strings.Contains(err.Error(), "east, lists, plain") {
		t.Errorf("an unknown cloud: %v", err)
	}
}

// What is wrong with a file is told by its line, and not with the password that is there.
func TestFilesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":     "clouds:\n  east:\n    auth: {password: " + canary + "\n",
		"no mapping":  "clouds: " + canary + "\n",
		"a text":      "clouds: {east: " + canary + "}\n",
		"an alias":    "a: &a [*a]\nclouds: {east: *a}\n",
		"a long file": strings.Repeat("#"+canary+"\n", maxFile/len(canary)),
	} {
		t.Run(name, func(t *testing.T) {
			files(t, map[string]string{"clouds.yaml": text})
			_, err := Named("east", vars())
			if errcode.Of(err) != errcode.CloudConfig || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Chdir(t.TempDir())
	if _, err := Named("east", vars("HOME", t.TempDir())); errcode.Of(err) != errcode.CloudConfig {
		t.Errorf("without a file: %v", err)
	}
	if _, err := Named("east", vars("OS_CLIENT_CONFIG_FILE", "nowhere.yaml")); errcode.Of(err) != errcode.CloudConfig {
		t.Errorf("without the file that is named: %v", err)
	}
}

// service is an identity service that takes one password.
type service struct {
	logins int
	life   time.Duration
	last   string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	catalog := []any{map[string]any{"type": "image", "endpoints": []any{
		map[string]any{"interface": "public", "region": "one", "region_id": "one", "url": "http://one/v2"},
		map[string]any{"interface": "internal", "region": "one", "region_id": "one", "url": "http://inside"},
		map[string]any{"interface": "public", "region": "two", "region_id": "two", "url": "http://two/image"},
	}}}
	if r.URL.Path == "/id/v3/auth/catalog" {
		if r.Header.Get("X-Auth-Token") != "given" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"catalog": catalog})
		return
	}
	var raw json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&raw)
	s.last = string(raw)
	switch {
	case r.URL.Path != "/id/v3/auth/tokens":
		w.WriteHeader(http.StatusNotFound)
		return
	case !strings.Contains(s.last, canary):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"message":%q}}`, s.last)
		return
	}
	s.logins++
	w.Header().Set("X-Subject-Token", fmt.Sprintf("token-%d", s.logins))
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{"expires_at": time.Now().Add(s.life).UTC().Format("2006-01-02T15:04:05.000000Z"), "catalog": catalog}})
}

func TestLogin(t *testing.T) {
	s := &service{life: time.Hour}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	at := srv.URL + "/id"
	password := Settings{"auth_url": at, "username": "ann", "password": canary, "project_name": "demo"}
	with := func(more Settings) Settings { return Layered(more, password) }
	for _, c := range []struct {
		name  string
		s     Settings
		want  string
		code  errcode.Code
		says  string
		token string
	}{
		{"in a region", with(Settings{Region: "two"}), "http://two/image", "", "", ""},
		{"inside", with(Settings{Region: "one", Interface: "internalURL"}), "http://inside", "", "", ""},
		{"where it is said", with(Settings{Endpoint: "http://mine"}), "http://mine", "", "", ""},
		{"in no region", password, "", errcode.CloudConfig, "one public, two public", ""},
		{"in another region", with(Settings{Region: "three"}), "", errcode.CloudConfig, "region three", ""},
		{"with a token", Settings{"auth_url": at, "token": "given", Region: "one"}, "http://one/v2", "", "", "given"},
		{"with a token and no Keystone", Settings{"token": "any", Endpoint: "http://mine"}, "http://mine", "", "", "any"},
		{"with a wrong token", Settings{"auth_url": at, "token": "wrong"}, "", errcode.Unauthenticated, "the token", ""},
		{"with an application credential", Settings{"auth_url": at, "application_credential_id": "a", "application_credential_secret": canary, Region: "one"}, "http://one/v2", "", "", ""},
		{"with a wrong application credential", Settings{"auth_url": at, "application_credential_id": "a", "application_credential_secret": "x"}, "", errcode.Unauthenticated, "credential a", ""},
		{"with half a credential", Settings{"auth_url": at, "application_credential_secret": canary}, "", errcode.CloudConfig, "OS_APPLICATION_CREDENTIAL_ID", ""},
		{"without a login", Settings{AuthType: "none", Endpoint: "http://mine", "password": canary}, "http://mine", "", "", ""},
		{"without anything", Settings{AuthType: "none"}, "", errcode.CloudConfig, "OS_ENDPOINT_OVERRIDE", ""},
		{"with a wrong password", with(Settings{"password": "wrong-" + "x", Region: "one"}), "", errcode.Unauthenticated, "user ann in project demo", ""},
		{"without a password", Settings{"auth_url": at, "username": "ann"}, "", errcode.CloudConfig, "OS_PASSWORD", ""},
		{"without a user", Settings{"auth_url": at, "password": canary}, "", errcode.CloudConfig, "OS_USERNAME", ""},
		{"in a way that is not known", with(Settings{AuthType: "v3oidcpassword"}), "", errcode.CloudConfig, "v3applicationcredential", ""},
		{"at no URL", with(Settings{"auth_url": "keystone"}), "", errcode.CloudConfig, "OS_AUTH_URL", ""},
		{"with a file that is no certificate", with(Settings{CACert: "doc.go"}), "", errcode.CloudConfig, "PEM", ""},
		{"with a token of two lines", Settings{"token": "a\nb", Endpoint: "http://mine"}, "", errcode.CloudConfig, "line break", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Open(t.Context(), c.s)
			if errcode.Of(err) != c.code || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary)) {
				t.Fatalf("got %v, want %q %q", err, c.code, c.says)
			}
			if err != nil {
				return
			}
			token, err := got.Token(t.Context(), "")
			if got.Endpoint() != c.want || err != nil || c.token != "" && token != c.token {
				t.Errorf("at %s with %q, %v", got.Endpoint(), token, err)
			}
		})
	}
	srv.Close()
	if _, err := Open(t.Context(), password); errcode.Of(err) != errcode.IdentityUnavailable || strings.Contains(err.Error(), canary) {
		t.Errorf("without an answer: %v", err)
	}
}

// A token is renewed before its end and when it is refused, and one that was given cannot
// be.
func TestTokensAreRenewed(t *testing.T) {
	s := &service{life: time.Hour}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := Open(t.Context(), Settings{"auth_url": srv.URL + "/id/v3/", "username": "ann", "password": canary, Region: "one"})
	if err != nil {
		t.Fatal(err)
	}
	token := func(refused, want string) {
		t.Helper()
		if got, err := c.Token(t.Context(), refused); got != want || err != nil {
			t.Errorf("refused %q: got %q, %v, want %q", refused, got, err, want)
		}
	}
	token("", "token-1")
	token("another", "token-1")
	token("token-1", "token-2")
	c.now.Until = time.Now().Add(-time.Second)
	token("", "token-3")
	given, err := Open(t.Context(), Settings{"token": "t", Endpoint: "http://mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := given.Token(t.Context(), "t"); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("a given token is renewed: %v", err)
	}
}
