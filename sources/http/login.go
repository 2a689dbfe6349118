package http

import (
	"context"
	"net/http"
	"net/url"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/sources"
)

// A login is the named credential of one source. It is looked up for each
// request, so that one that was changed is used at once.
type login struct {
	vault   *credentials.Vault
	name    string
	project string
	// operator: it is the operator that names the credential
	operator bool
	origin   *url.URL // the only scheme, host and port that it is sent to
}

// use is what the credential is asked for to go to a URL.
func (l *login) use(to *url.URL) credentials.Use {
	return credentials.Use{Types: logins(), Project: l.project, Operator: l.operator, To: to}
}

type loginKey struct{}

// A signer has requests signed.
type signer interface {
	// with returns a context whose requests are signed.
	with(ctx context.Context) context.Context
}

// with returns a context whose requests carry the credential.
func (l *login) with(ctx context.Context) context.Context {
	if l == nil {
		return ctx
	}
	return context.WithValue(ctx, loginKey{}, l)
}

// logins lists the types of credentials that web servers take.
func logins() []string {
	return []string{credentials.Basic, credentials.Bearer, credentials.Header, credentials.URL}
}

// newLogin looks a credential up for u, and returns the URL to ask: for one of
// type url the secret URL of which u is what may be shown.
func (d *Driver) newLogin(ref sources.Ref, u *url.URL) (*login, *url.URL, error) {
	if ref.Credential == "" {
		return nil, u, nil
	}
	l := &login{vault: d.c.opt.Credentials, name: ref.Credential, project: ref.Project, operator: d.c.opt.Operator, origin: u}
	c, err := l.vault.Get(l.name, l.use(u))
	if err != nil {
		return nil, nil, err
	}
	if c.Type != credentials.URL {
		return l, u, nil
	}
	whole, err := checkURL(c.Field("url"))
	if err != nil {
		return nil, nil, errcode.Wrap(err, errcode.CredentialInvalid, "the URL of credential %q is refused", c.Name)
	}
	if sources.PublicURL(whole) != sources.PublicURL(u) {
		return nil, nil, errcode.New(errcode.CredentialNotAllowed, "credential %q is of another URL", c.Name).
			With(errcode.Evidence{Structure: "credential " + c.Name, Field: "url", Value: errcode.Shown(sources.PublicURL(u)), Limit: errcode.Shown(sources.PublicURL(whole))})
	}
	return l, whole, nil
}

// sign adds the context's credential to a request, if it goes where the
// credential was meant to go: nothing is sent on to where a redirect leads.
func sign(req *http.Request) error {
	l, _ := req.Context().Value(loginKey{}).(*login)
	if l == nil || req.URL.Scheme != l.origin.Scheme || req.URL.Host != l.origin.Host {
		return nil
	}
	c, err := l.vault.Get(l.name, l.use(req.URL))
	if err != nil {
		return err
	}
	Authorize(req, c)
	return nil
}

// Authorize adds what a credential of type basic, bearer or header holds to a request.
func Authorize(req *http.Request, c *credentials.Credential) {
	switch c.Type {
	case credentials.Basic:
		req.SetBasicAuth(c.Field("username"), c.Field("password"))
	case credentials.Bearer:
		req.Header.Set("Authorization", "Bearer "+c.Field("token"))
	case credentials.Header:
		req.Header.Set(c.Field("header"), c.Field("value"))
	}
}
