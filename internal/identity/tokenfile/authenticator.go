package tokenfile

import (
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/identity"
	"ingest/internal/livefile"
)

// An Authenticator knows the callers of a file's tokens.
type Authenticator struct {
	file      *livefile.File[map[string]Token] // by SHA-256
	challenge string
	now       func() time.Time
}

var _ identity.Authenticator = (*Authenticator)(nil)

// Open follows a file of tokens. challenge is the WWW-Authenticate header of who has
// none; "" is "Bearer".
func Open(path, challenge string, log zerolog.Logger) (*Authenticator, error) {
	f, err := livefile.Open(path, index, log)
	if challenge == "" {
		challenge = "Bearer"
	}
	return &Authenticator{file: f, challenge: challenge, now: time.Now}, err
}

func index(raw []byte) (map[string]Token, error) {
	f, err := parse(raw)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Token, len(f.Tokens))
	for _, t := range f.Tokens {
		out[t.SHA256] = t
	}
	return out, nil
}

// Len returns how many tokens there are.
func (a *Authenticator) Len() int { return len(a.file.Get()) }

// Authenticate implements identity.Authenticator.
func (a *Authenticator) Authenticate(r *http.Request) (identity.Caller, error) {
	secret, err := identity.Token(r)
	if err != nil {
		return identity.Caller{}, err
	}
	// Whoever measures how long the look-up takes learns of digests, not of tokens;
	// what decides is compared in constant time.
	want := digest(secret)
	t, ok := a.file.Get()[want]
	if !ok || subtle.ConstantTimeCompare([]byte(t.SHA256), []byte(want)) != 1 {
		return identity.Caller{}, identity.Unknown()
	}
	if t.Expires != nil && !a.now().Before(*t.Expires) {
		return identity.Caller{}, identity.Unknown()
	}
	c := identity.Caller{Project: t.Project, User: t.User, UserName: t.User, ProjectName: t.Project, Roles: t.Roles}
	return c, identity.InProject(r, c)
}

// Challenge implements identity.Authenticator.
func (a *Authenticator) Challenge() string { return a.challenge }
