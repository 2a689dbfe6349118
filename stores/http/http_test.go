package http_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	httpsource "ingest/sources/http"
	"ingest/stores"
	httpstore "ingest/stores/http"
	"ingest/stores/storetest"
)

// A mirror is a web server whose files have a version each.
type mirror struct {
	mu    sync.Mutex
	files map[string]*file
	as    func(w http.ResponseWriter, r *http.Request) bool // answers by itself
}

type file struct {
	version int
	p       []byte
}

func (m *mirror) put(key string, p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := 1
	if old := m.files["/base/"+key]; old != nil {
		v = old.version + 1
	}
	m.files["/base/"+key] = &file{v, p}
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	f, as := m.files[r.URL.Path], m.as
	m.mu.Unlock()
	if as != nil && as(w, r) {
		return
	}
	if f == nil || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+strconv.Itoa(f.version)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.p))
}

func open(tb testing.TB) (*httpstore.Store, *mirror, string) {
	m := &mirror{files: map[string]*file{}}
	srv := httptest.NewServer(m)
	tb.Cleanup(srv.Close)
	client := httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxRedirects: -1, Retries: -1})
	return httpstore.New("mirror", srv.URL+"/base/", "", client), m, srv.URL
}

func TestReadOnlySuite(t *testing.T) {
	storetest.RunReadOnly(t, storetest.ReadOnlyHarness{New: func(tb testing.TB) (stores.Store, func(string, []byte)) {
		s, m, _ := open(tb)
		return s, m.put
	}})
}

// What a server does that cannot be a store, or would lead elsewhere.
func TestUnfitServers(t *testing.T) {
	s, m, _ := open(t)
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	m.put(key, []byte("bytes"))
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		as   func(w http.ResponseWriter, r *http.Request) bool
		want errcode.Code
	}{
		"no ranges": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Length", "5")
			w.Write([]byte("bytes")) //nolint:errcheck // the client finds out
			return true
		}, errcode.StoreUnsuitable},
		"no validator": {func(w http.ResponseWriter, r *http.Request) bool {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("bytes"))
			return true
		}, errcode.StoreUnsuitable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			return true
		}, errcode.StoreUnavailable},
		"a broken server": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }, errcode.StoreUnavailable},
		"no entry":        {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true }, errcode.StoreUnavailable},
		"gone":            {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(410); return true }, errcode.NotFound},
	} {
		m.mu.Lock()
		m.as = c.as
		m.mu.Unlock()
		if _, err := s.Stat(t.Context(), key); errcode.Of(err) != c.want {
			t.Errorf("%s: Stat: %v", name, err)
		}
		if _, err := s.OpenRange(t.Context(), key, 1, 2); errcode.Of(err) != c.want {
			t.Errorf("%s: OpenRange: %v", name, err)
		}
	}
	if reached {
		t.Error("a redirect was followed to another host")
	}
}

// The operator names a store's credential, whichever projects may name it for sources.
func TestCredentialOfAProject(t *testing.T) {
	_, m, base := open(t)
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	m.put(key, []byte("bytes"))
	m.as = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer secret" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte("mirror: {type: bearer, token: secret, hosts: [\""+strings.TrimPrefix(base, "http://")+"\"], projects: [another]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vault, err := credentials.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for operator, want := range map[bool]errcode.Code{true: "", false: errcode.StoreUnavailable} {
		client := httpsource.New(httpsource.Options{Credentials: vault, Operator: operator, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Retries: -1})
		if _, err := httpstore.New("mirror", base+"/base", "mirror", client).Stat(t.Context(), key); errcode.Of(err) != want {
			t.Errorf("operator %t: %v", operator, err)
		}
	}
}
