package keystone

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/lru"
)

// Bounds of what is remembered and asked at once. Who guesses tokens pushes out other
// guesses, and no token that is good.
const (
	maxKnown   = 16384 // tokens, about 8 MiB
	maxUnknown = 4096
	maxAsking  = 32 // validations at once
)

const (
	unknownTime = 10 * time.Second // a token may become good: Keystone's own nodes lag
	longest     = 15 * time.Second // one validation, with a login of ours
)

// Options say where Keystone is, and who validates tokens there.
type Options struct {
	URL       string // with or without /v3
	PublicURL string // what clients are told, "" for URL

	Username, UserDomain, Password string
	Project, ProjectDomain         string

	CacheTime time.Duration // how long an answer is remembered
	Transport http.RoundTripper
	Log       zerolog.Logger
}

// An Authenticator knows the callers that Keystone knows.
type Authenticator struct {
	o       Options
	base    string // ends with /v3/
	now     func() time.Time
	flights singleflight.Group
	asking  chan struct{}
	own     session

	mu      sync.Mutex
	known   *lru.Map[key, answer]
	unknown *lru.Map[key, answer]
	warned  time.Time
}

var _ identity.Authenticator = (*Authenticator)(nil)

// A key is a token in memory, as its digest, and whether an expired one will do.
type key struct {
	token   [sha256.Size]byte
	expired bool
}

// An answer is what Keystone said of a token.
type answer struct {
	caller  identity.Caller
	err     error // of a token that is no good
	expires time.Time
	until   time.Time // when it is to be asked again
}

// New returns an authenticator. It asks nobody until the first request.
func New(o Options) *Authenticator {
	base := strings.TrimRight(o.URL, "/")
	if !strings.HasSuffix(base, "/v3") {
		base += "/v3"
	}
	if o.PublicURL == "" {
		o.PublicURL = o.URL
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	a := &Authenticator{o: o, base: base + "/", now: time.Now, asking: make(chan struct{}, maxAsking),
		known: lru.New[key, answer](maxKnown), unknown: lru.New[key, answer](maxUnknown)}
	a.own.turn = make(chan struct{}, 1)
	return a
}

// Challenge implements identity.Authenticator, as keystonemiddleware has it.
func (a *Authenticator) Challenge() string { return fmt.Sprintf("Keystone uri=%q", a.o.PublicURL) }

// Authenticate implements identity.Authenticator.
func (a *Authenticator) Authenticate(r *http.Request) (identity.Caller, error) {
	token, err := identity.Token(r)
	if err != nil {
		return identity.Caller{}, err
	}
	var service identity.Caller
	if s := r.Header.Get("X-Service-Token"); s != "" {
		if !identity.Plain(s) {
			return identity.Caller{}, identity.Unknown()
		}
		if service, err = a.caller(r.Context(), s, false); err != nil {
			return identity.Caller{}, err
		}
	}
	who, err := a.caller(r.Context(), token, service.Has(identity.Service))
	if err != nil {
		return identity.Caller{}, err
	}
	who.ServiceRoles = service.Roles
	return who, identity.InProject(r, who)
}

// caller returns for whom a token stands. expired admits one that has ended.
func (a *Authenticator) caller(ctx context.Context, token string, expired bool) (identity.Caller, error) {
	k := key{sha256.Sum256([]byte(token)), expired}
	if got, ok := a.remembered(k); ok {
		return got.caller, got.err
	}
	// Whoever asks first may go away while others wait for the same answer.
	done := a.flights.DoChan(fmt.Sprintf("%x %t", k.token, expired), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		return a.ask(ctx, k, token)
	})
	select {
	case <-ctx.Done():
		return identity.Caller{}, ctx.Err()
	case res := <-done:
		if res.Err != nil {
			return identity.Caller{}, res.Err
		}
		got := res.Val.(answer)
		return got.caller, got.err
	}
}

func (a *Authenticator) remembered(k key) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range []*lru.Map[key, answer]{a.known, a.unknown} {
		got, ok := m.Get(k)
		if ok && a.now().Before(got.until) {
			return got, true
		}
		m.Delete(k)
	}
	return answer{}, false
}

// ask asks Keystone, and remembers the answer. The error is that there is none.
func (a *Authenticator) ask(ctx context.Context, k key, token string) (answer, error) {
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return answer{}, a.away(errors.New("too many validations at once"))
	}
	got, err := a.validate(ctx, token, k.expired)
	if err != nil {
		return answer{}, a.away(err)
	}
	now := a.now()
	if got.err == nil && !k.expired && !now.Before(got.expires) {
		got = answer{err: identity.Unknown()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got.err != nil {
		got.until = now.Add(unknownTime)
		a.unknown.Put(k, got)
		return got, nil
	}
	got.until = now.Add(a.o.CacheTime)
	if !k.expired && got.expires.Before(got.until) {
		got.until = got.expires
	}
	a.known.Put(k, got)
	return got, nil
}

// away says that Keystone cannot be asked. The cause is for the operator's log, where
// it stands once in ten seconds.
func (a *Authenticator) away(cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.now(); now.Sub(a.warned) >= 10*time.Second {
		a.warned = now
		a.o.Log.Error().Str("keystone", a.base).Str("error", cause.Error()).Msg("tokens cannot be validated")
	}
	return errcode.New(errcode.IdentityUnavailable, "the identity service cannot be asked at the moment")
}
