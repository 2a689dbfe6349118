package identity

import (
	"net/http"
	"strings"

	"ingest/internal/errcode"
)

// An Authenticator finds out who makes a request. It is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns who makes the request. errcode.Unauthenticated says that
	// it proves nobody, errcode.Forbidden that its caller may not use this service,
	// errcode.IdentityUnavailable that nobody can tell at the moment.
	Authenticate(r *http.Request) (Caller, error)
	// Challenge is the WWW-Authenticate header of answers to those who prove nobody.
	Challenge() string
}

// maxToken bounds a token, bytes: Keystone's largest are a few kilobytes.
const maxToken = 8 << 10

// Token returns the token of a request: that of X-Auth-Token, else that of
// "Authorization: Bearer". errcode.Unauthenticated says that there is none, or one
// that cannot be a token.
func Token(r *http.Request) (string, error) {
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(value)
		}
	}
	if token == "" {
		return "", errcode.New(errcode.Unauthenticated, "the request needs a token")
	}
	if !Plain(token) {
		return "", Unknown()
	}
	return token, nil
}

// Plain reports whether a token can be sent on in a header.
func Plain(token string) bool {
	return len(token) <= maxToken && strings.IndexFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) < 0
}

// Unknown is the error of a token that proves nothing. It does not say why: who
// guesses learns nothing from it.
func Unknown() error {
	return errcode.New(errcode.Unauthenticated, "the token is unknown, expired or revoked")
}

// Unscoped is the error of a good token that is for no project. Images belong to
// projects, so it is good for nothing here.
func Unscoped() error {
	return errcode.New(errcode.Forbidden, "the token is not scoped to a project").
		With(errcode.Evidence{Structure: "token", Field: "project"})
}

// InProject refuses a caller that names another project than that of its token. What
// clients of Glance say in X-Project-Id counts for nothing once a token says it.
func InProject(r *http.Request, c Caller) error {
	asked := r.Header.Get("X-Project-Id")
	if asked == "" || asked == c.Project {
		return nil
	}
	return errcode.New(errcode.Forbidden, "the token is for project %q, and X-Project-Id names another one", c.Project).
		With(errcode.Evidence{Structure: "request", Field: "X-Project-Id", Value: errcode.Shown(asked), Limit: c.Project})
}

// Chain asks several authenticators one after the other, until one knows the token.
type Chain []Authenticator

var _ Authenticator = Chain{}

// Authenticate implements Authenticator.
func (c Chain) Authenticate(r *http.Request) (Caller, error) {
	err := Unknown()
	for _, a := range c {
		var who Caller
		if who, err = a.Authenticate(r); errcode.Of(err) != errcode.Unauthenticated {
			return who, err
		}
	}
	return Caller{}, err
}

// Challenge implements Authenticator. The first that has one speaks for all.
func (c Chain) Challenge() string {
	for _, a := range c {
		if s := a.Challenge(); s != "" {
			return s
		}
	}
	return "Bearer"
}
