package glance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/glancetest"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

const secret = "canary-4b1f7a"

// A real Keystone says who may read and where the image service is.
func TestCloud(t *testing.T) {
	c := glancetest.StartCloud(t)
	content := sourcetest.Content(3<<20, 5)
	name := fresh()
	id := c.Put(t, name, content, nil)
	app := c.ApplicationCredential("ingest", secret)
	both := strings.TrimSuffix(strings.TrimPrefix(c.AuthURL, "http://"), "/v3") + ", " + c.Host()
	entry := func(name, more string) string {
		return fmt.Sprintf("%s:\n  type: openstack\n  auth_url: %s\n%s", name, c.AuthURL, more)
	}
	appFields := "  application_credential_id: " + app + "\n  application_credential_secret: " + secret + "\n"
	passFields := "  username: " + glancetest.User + "\n  password: " + glancetest.Password + "\n  project_name: " + glancetest.Project + "\n"
	bound := "  hosts: [\"" + strings.ReplaceAll(both, ", ", "\", \"") + "\"]\n"
	v := vault(t, entry("app", appFields+bound)+
		entry("named", "  application_credential_name: ingest\n  username: "+glancetest.User+"\n  application_credential_secret: "+secret+"\n"+bound)+
		entry("password", passFields+bound)+
		entry("internal", passFields+bound+"  interface: internal\n  region: "+glancetest.Region+"\n")+
		entry("unbound", passFields)+
		entry("wrong", "  application_credential_id: "+app+"\n  application_credential_secret: "+secret+"x\n"+bound)+
		entry("elsewhere", passFields+bound+"  region: nowhere\n")+
		entry("admin", passFields+bound+"  interface: admin\n")+
		entry("others", appFields+bound+"  projects: [p2]\n")+
		"token:\n  type: header\n  hosts: [\""+c.Host()+"\"]\n  header: X-Auth-Token\n  value: "+c.Token(glancetest.User, glancetest.Project)+"\n"+
		"s3:\n  type: s3\n  endpoint: "+c.AuthURL[:len(c.AuthURL)-3]+"\n  access_key: a\n  secret_key: "+secret+"\n")
	// The rules for web servers do not hold for a cloud that the operator has named.
	d := New(httpsource.New(httpsource.Options{}), v)
	open := New(httpsource.New(loopback()), v)
	for _, tt := range []struct {
		d               *Driver
		credential, url string
		want            errcode.Code
	}{
		{d, "app", "glance:///" + id, ""},
		{d, "app", urlOf(c.Host(), name), ""},
		{d, "named", "glance:///" + id, ""},
		{d, "password", "glance:///" + id + "?region=" + glancetest.Region, ""},
		{d, "internal", "glance:///" + id, ""},
		{open, "token", urlOf(c.Host(), id), ""},
		{d, "token", urlOf(c.Host(), id), errcode.SourceAddrBlocked},
		{d, "token", "glance:///" + id, errcode.SourceURLInvalid},
		{open, "", urlOf(c.Host(), id), errcode.SourceAuth},
		{d, "app", urlOf("127.0.0.1:1", id), errcode.CredentialNotAllowed},
		{d, "unbound", "glance:///" + id, errcode.CredentialNotAllowed},
		{d, "wrong", "glance:///" + id, errcode.SourceAuth},
		{d, "elsewhere", "glance:///" + id, errcode.SourceNotFound},
		{d, "admin", "glance:///" + id, errcode.SourceNotFound},
		{d, "others", "glance:///" + id, errcode.CredentialNotAllowed},
		{d, "s3", "glance:///" + id, errcode.CredentialType},
		{d, "nobody", "glance:///" + id, errcode.CredentialUnknown},
	} {
		s, err := tt.d.Open(t.Context(), sources.Ref{URL: tt.url, Credential: tt.credential}, nil)
		wantCode(t, tt.credential+" "+tt.url, err, tt.want)
		if text := fmt.Sprintf("%v %v %+v", err, errors.Unwrap(err), s); strings.Contains(text, "canary") || strings.Contains(text, glancetest.Password) {
			t.Errorf("%s: the secret is told", tt.credential)
		}
		if err == nil {
			checkContent(t, s, content)
		}
	}
	t.Run("renewal", func(t *testing.T) { testRenewal(t, c, v, id, content) })
	t.Run("deactivated", func(t *testing.T) {
		s, err := d.Open(t.Context(), sources.Ref{URL: "glance:///" + id, Credential: "app"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c.Deactivate(t, id)
		_, err = s.Stream(t.Context(), 0)
		wantCode(t, "Stream of an image that is deactivated", err, errcode.SourceDeactivated)
	})
}

func checkContent(t *testing.T, s sources.Source, content []byte) {
	t.Helper()
	defer s.Close()
	r, err := s.Stream(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A token that ends in the middle of a transfer is renewed once, and the login is
// shared by all sources of the credential.
func testRenewal(t *testing.T, c *glancetest.Cloud, v *credentials.Vault, id string, content []byte) {
	web := httpsource.New(httpsource.Options{})
	d := New(web, v)
	var all []sources.Source
	for range 3 {
		s, err := d.Open(t.Context(), sources.Ref{URL: "glance:///" + id, Credential: "password"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(d.sessions) != 1 {
		t.Fatalf("%d logins for one credential", len(d.sessions))
	}
	for _, one := range d.sessions {
		old := one.token
		c.Revoke(old)
		// What the service remembers of the token is forgotten.
		for i, s := range all {
			checkContent(t, s, content)
			if one.token == old {
				t.Fatalf("source %d was read with a token that was revoked", i)
			}
		}
		again := one.token
		checkContent(t, reopened(t, d, id), content)
		if one.token != again {
			t.Error("a token that is good was renewed")
		}
	}
}

func reopened(t *testing.T, d *Driver, id string) sources.Source {
	t.Helper()
	s, err := d.Open(t.Context(), sources.Ref{URL: "glance:///" + id, Credential: "password"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A service that takes no token, not even a new one, is asked twice and not for ever.
func TestEndlessRefusal(t *testing.T) {
	var asked, logins atomic.Int64
	var images string
	keystone := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", fmt.Sprintf("t%d", logins.Add(1)))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":{"expires_at":"2099-01-01T00:00:00.000000Z","catalog":[{"type":"image","endpoints":[{"interface":"public","region":"r","url":%q}]}]}}`, images)
	}))
	images = newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	v := vault(t, "cloud:\n  type: openstack\n  auth_url: "+keystone+"\n  hosts: [\""+strings.TrimPrefix(images, "http://")+"\"]\n"+
		"  username: u\n  password: "+secret+"\n  project_id: p\n")
	_, err := New(httpsource.New(httpsource.Options{}), v).Open(t.Context(), sources.Ref{URL: "glance:///name", Credential: "cloud"}, nil)
	wantCode(t, "Open", err, errcode.SourceAuth)
	if asked.Load() != 2 || logins.Load() != 2 {
		t.Errorf("%d requests and %d logins, want 2 and 2", asked.Load(), logins.Load())
	}
}

// An identity service that never ends its answer costs no more than the bound, and what
// it repeats of a login is told to nobody.
func TestHostileIdentity(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Subject-Token", "t")
			w.WriteHeader(http.StatusCreated)
			for p := bytes.Repeat([]byte(" "), 1<<16); ; {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		},
		"echo": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.Copy(w, r.Body)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"no token": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"token":{}}`)
		},
	} {
		at := newServer(t, answer)
		v := vault(t, "cloud:\n  type: openstack\n  auth_url: "+at+"\n  username: u\n  password: "+secret+"\n  project_id: p\n")
		_, err := New(httpsource.New(httpsource.Options{}), v).Open(t.Context(), sources.Ref{URL: "glance:///name", Credential: "cloud"}, nil)
		want := errcode.SourceUnreachable
		if name == "redirect" {
			want = errcode.SourceRedirect
		}
		wantCode(t, name, err, want)
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("%s: the secret is told", name)
			}
		}
	}
}
