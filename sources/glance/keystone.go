package glance

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/identity/login"
)

// A session is what one credential has logged in as: a token and the cloud's list
// of services. It is used by all sources of the credential, and is safe for concurrent
// use.
type session struct {
	turn    chan struct{} // holds one while somebody logs in or looks
	token   string
	until   time.Time // when the token is to be renewed
	catalog []tokens.CatalogEntry
}

// maxSessions bounds how many logins are remembered. A credential that was changed is
// another one.
const maxSessions = 256

// session returns the session of a credential, which may not have logged in yet.
func (d *Driver) session(c *credentials.Credential) *session {
	key := c.Name
	for _, f := range []string{"auth_url", "application_credential_id", "application_credential_name", "application_credential_secret",
		"username", "password", "user_domain", "project_name", "project_domain", "project_id"} {
		key += "\x00" + c.Field(f)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[key] == nil {
		if len(d.sessions) >= maxSessions {
			clear(d.sessions)
		}
		d.sessions[key] = &session{turn: make(chan struct{}, 1)}
	}
	return d.sessions[key]
}

// login returns a token and the list of services: those at hand, unless the token is
// old or is the one that was refused.
func (s *session) login(ctx context.Context, d *Driver, c *credentials.Credential, refused string) (string, []tokens.CatalogEntry, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	if s.token != "" && s.token != refused && time.Now().Before(s.until) {
		return s.token, s.catalog, nil
	}
	s.token = ""
	base, err := identity(c)
	if err != nil {
		return "", nil, err
	}
	made, err := login.Do(ctx, login.Client(base, d.caller(true)), options(c))
	switch {
	case errors.Is(err, login.ErrNoToken), errors.Is(err, login.ErrNoCatalog):
		return "", nil, errcode.New(errcode.SourceUnreachable, "%v", err)
	case err != nil:
		return "", nil, loginError(ctx, c, err)
	}
	s.token, s.until, s.catalog = made.Token, made.Until, made.Catalog
	return s.token, s.catalog, nil
}

// identity is where the third version of the identity API is.
func identity(c *credentials.Credential) (string, error) {
	u, err := url.Parse(c.Field("auth_url"))
	if err != nil || !c.MayGoOver(u) {
		return "", errcode.New(errcode.CredentialNotAllowed, "credential %q may not be sent to its auth_url without TLS", c.Name).
			With(errcode.Evidence{Structure: "credential " + c.Name, Field: "auth_url", Value: "http"})
	}
	return login.Base(u), nil
}

// options is what the credential logs in with.
func options(c *credentials.Credential) *tokens.AuthOptions {
	domain := func(name string) string {
		if v := c.Field(name); v != "" {
			return v
		}
		return "Default"
	}
	o := &tokens.AuthOptions{Username: c.Field("username")}
	if o.Username != "" {
		o.DomainName = domain("user_domain")
	}
	if secret := c.Field("application_credential_secret"); secret != "" {
		o.ApplicationCredentialID, o.ApplicationCredentialName, o.ApplicationCredentialSecret = c.Field("application_credential_id"), c.Field("application_credential_name"), secret
		if o.ApplicationCredentialID != "" {
			o.Username, o.DomainName = "", ""
		}
		return o
	}
	o.Password = c.Field("password")
	if o.Scope.ProjectID = c.Field("project_id"); o.Scope.ProjectID == "" {
		o.Scope.ProjectName, o.Scope.DomainName = c.Field("project_name"), domain("project_domain")
	}
	return o
}

// loginError gives a failure its code. The identity service's own words stay out:
// nobody knows what it repeats of a request that held a secret.
func loginError(ctx context.Context, c *credentials.Credential, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errcode.As(err); ok {
		return errcode.Wrap(e, e.Code, "the identity service of credential %q could not be asked: %s", c.Name, e.Message)
	}
	var status gophercloud.ErrUnexpectedResponseCode
	switch {
	case !errors.As(err, &status):
		return errcode.New(errcode.SourceUnreachable, "the identity service of credential %q answers with what cannot be read", c.Name)
	case status.Actual == http.StatusUnauthorized || status.Actual == http.StatusForbidden:
		return errcode.New(errcode.SourceAuth, "the identity service refuses credential %q", c.Name)
	case status.Actual >= 300 && status.Actual < 400:
		return errcode.New(errcode.SourceRedirect, "the identity service of credential %q sends the login elsewhere, which is not followed", c.Name)
	}
	return errcode.New(errcode.SourceUnreachable, "the identity service of credential %q answers a login with status %d", c.Name, status.Actual)
}

// place finds the image service in a cloud's list.
func place(c *credentials.Credential, loc location, services []tokens.CatalogEntry) (*url.URL, error) {
	region, kind := loc.region, loc.endpoints
	if region == "" {
		region = c.Field("region")
	}
	if kind == "" {
		kind = c.Field("interface")
	}
	if kind == "" {
		kind = "public"
	}
	at := login.Images(services, region, kind)
	ev := errcode.Evidence{Structure: "credential " + c.Name, Field: "region and interface", Value: errcode.Shown(region + " " + kind)}
	switch {
	case len(at) == 0:
		return nil, errcode.New(errcode.SourceNotFound, "the cloud of credential %q has no image service of this region and interface", c.Name).With(ev)
	case region == "" && len(at) > 1:
		return nil, errcode.New(errcode.SourceURLInvalid, "the cloud of credential %q has image services in several regions: name one", c.Name).With(ev)
	}
	return at[0], allowed(c, loc, at[0])
}

// allowed makes sure that the token may be sent to the image service, and that it is
// the one that the URL names, if it names one.
func allowed(c *credentials.Credential, loc location, at *url.URL) error {
	if named, err := url.Parse(loc.base); err != nil || loc.base != "" && hostPort(named) != hostPort(at) {
		return errcode.New(errcode.CredentialNotAllowed, "credential %q is of a cloud whose image service has another host than the URL", c.Name).
			With(errcode.Evidence{Structure: "credential " + c.Name, Field: "host", Limit: errcode.Shown(at.Host)})
	}
	if !c.MayGoTo(at) {
		return errcode.New(errcode.CredentialNotAllowed, "the cloud of credential %q has its image service on a host that the credential is not bound to", c.Name).
			With(errcode.Evidence{Structure: "credential " + c.Name, Field: "host", Value: errcode.Shown(at.Scheme + "://" + at.Host)})
	}
	return nil
}

// hostPort names a URL's host with its port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
