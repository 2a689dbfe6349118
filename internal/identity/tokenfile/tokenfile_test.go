package tokenfile

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ask(a *Authenticator, token string) (identity.Caller, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Auth-Token", token)
	return a.Authenticate(r)
}

func create(t *testing.T, path string, tok Token) string {
	t.Helper()
	secret, _, err := Create(path, tok, now)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestALife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	a, err := Open(path, "", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return now.Add(time.Hour) }
	soon, later := now.Add(time.Hour), now.Add(2*time.Hour)
	ci := create(t, path, Token{Name: "ci", Project: "red", User: "robot", Roles: []string{"member"}})
	old := create(t, path, Token{Name: "old", Project: "red", User: "ann", Roles: []string{"admin"}, Expires: &soon})
	good := create(t, path, Token{Name: "good", Project: "blue", User: "ann", Roles: []string{"admin"}, Expires: &later})

	c, err := ask(a, ci)
	if err != nil || c.Project != "red" || c.User != "robot" || !c.Has(identity.Member) || c.Has(identity.Admin) {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := ask(a, good); err != nil || c.Project != "blue" || !c.Has(identity.Admin) {
		t.Errorf("got %+v, %v", c, err)
	}
	for name, token := range map[string]string{"expired": old, "changed": ci[:len(ci)-1] + "!", "hash": digest(ci), "short": "x"} {
		if c, err := ask(a, token); errcode.Of(err) != errcode.Unauthenticated || c.Project != "" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if err := Revoke(path, "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(a, ci); errcode.Of(err) != errcode.Unauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
	if err := Revoke(path, "ci"); errcode.Of(err) != errcode.NotFound {
		t.Errorf("revoked twice: %v", err)
	}
	if a.Len() != 2 || a.Challenge() != "Bearer" {
		t.Errorf("%d tokens, %s", a.Len(), a.Challenge())
	}
}

func TestTheFileHoldsNoSecretAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	secret := create(t, path, Token{Name: "ci", Project: "red", User: "robot", Roles: []string{"member"}})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(secret) != len(Prefix)+43 || !strings.HasPrefix(secret, Prefix) {
		t.Errorf("the token is %d bytes", len(secret))
	}
	if strings.Contains(string(raw), secret[len(Prefix):len(secret)-4]) {
		t.Error("the file holds the token")
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	list, err := List(path)
	if err != nil || len(list) != 1 || list[0].Last4 != secret[len(secret)-4:] || !list[0].Created.Equal(now) {
		t.Errorf("listed %+v, %v", list, err)
	}
}

func TestWhatCannotBeAToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	good := Token{Name: "ci", Project: "red", User: "robot", Roles: []string{"member"}}
	create(t, path, good)
	if _, _, err := Create(path, good, now); errcode.Of(err) != errcode.Conflict {
		t.Errorf("a name that is taken: %v", err)
	}
	for name, spoil := range map[string]func(*Token){
		"no name":     func(t *Token) { t.Name = "" },
		"a path":      func(t *Token) { t.Project = "a/b" },
		"no user":     func(t *Token) { t.User = "" },
		"no role":     func(t *Token) { t.Roles = nil },
		"a bad role":  func(t *Token) { t.Roles = []string{"member", "a b"} },
		"33 roles":    func(t *Token) { t.Roles = strings.Split(strings.Repeat("r ", 32)+"r", " ") },
		"a long name": func(t *Token) { t.Name = strings.Repeat("n", 65) },
	} {
		tok := good
		tok.Name = "other"
		spoil(&tok)
		if _, _, err := Create(path, tok, now); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWrongFileIsRefused(t *testing.T) {
	const entry = `{"name":"a","project":"p","user":"u","roles":["member"],"created":"2026-01-01T00:00:00Z","last4":"abcd","sha256":"` +
		"0000000000000000000000000000000000000000000000000000000000000000" + `"}`
	for name, text := range map[string]string{
		"not JSON":          `tokens: []`,
		"another version":   `{"version":2,"tokens":[]}`,
		"an unknown member": `{"version":1,"tokens":[],"more":1}`,
		"two texts":         `{"version":1,"tokens":[]}{}`,
		"twice":             `{"version":1,"tokens":[` + entry + `,` + entry + `]}`,
		"no digest":         `{"version":1,"tokens":[` + strings.Replace(entry, "000", "zz", 1) + `]}`,
	} {
		path := filepath.Join(t.TempDir(), "tokens.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, "", zerolog.Nop()); errcode.Of(err) != errcode.IdentityFile {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Those who make tokens at the same time lose none.
func TestNoTokenIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, _, err := Create(path, Token{Name: "t" + string(rune('0'+i)), Project: "p", User: "u", Roles: []string{"reader"}}, now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := List(path); err != nil || len(list) != 8 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

// A request costs a stat of the file, a digest and a look-up, however many tokens there are.
func BenchmarkAuthenticate(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens.json")
	secret, _, err := Create(path, Token{Name: "ci", Project: "red", User: "robot", Roles: []string{"member"}}, now)
	if err != nil {
		b.Fatal(err)
	}
	a, err := Open(path, "", zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ask(a, secret); err != nil {
			b.Fatal(err)
		}
	}
}
