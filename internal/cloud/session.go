package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/identity/login"
)

// answerTime is how long the identity service may take to answer.
const answerTime = time.Minute

// A Session is one image service and who asks it. It is safe for concurrent use.
type Session struct {
	s        Settings
	how      string // the kind of login, as auth_type has it
	tls      *tls.Config
	keystone *gophercloud.ServiceClient
	at       string

	mu  sync.Mutex
	now login.Session
}

// Open logs in, if that is how the settings say who asks, and finds the image service.
func Open(ctx context.Context, s Settings) (*Session, error) {
	c := &Session{s: s}
	var err error
	if c.tls, err = TLS(s); err != nil {
		return nil, err
	}
	if c.how, err = kind(s); err != nil {
		return nil, err
	}
	if c.how != "none" {
		err = c.begin(ctx)
	}
	if err != nil {
		return nil, err
	}
	c.at, err = c.place()
	return c, err
}

// Endpoint is the address of the image service.
func (c *Session) Endpoint() string { return c.at }

// TLS is what the image service's certificate is held against.
func (c *Session) TLS() *tls.Config { return c.tls }

// Token returns the token that requests carry, "" for none: the one at hand, unless it is
// old or is the one that was refused. errcode.Unauthenticated says that there is no
// other.
func (c *Session) Token(ctx context.Context, refused string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := refused != "" && refused == c.now.Token || !c.now.Until.IsZero() && time.Now().After(c.now.Until)
	if c.how == "none" || !old {
		return c.now.Token, nil
	}
	if c.how == "token" {
		if refused == "" {
			return c.now.Token, nil
		}
		return "", errcode.New(errcode.Unauthenticated, "the token is refused: it is unknown, has expired or was revoked")
	}
	if err := c.login(ctx); err != nil {
		return "", err
	}
	return c.now.Token, nil
}

// kinds are the names of ways of logging in.
var kinds = map[string]string{
	"none": "none", "noauth": "none", "password": "password", "v3password": "password", "token": "token", "v3token": "token",
	"v3applicationcredential": "application credential",
}

// kind is how somebody logs in: as auth_type says, or as what is there can be used.
func kind(s Settings) (string, error) {
	if t := strings.ToLower(s[AuthType]); t != "" {
		k, ok := kinds[t]
		if !ok {
			return "", errcode.New(errcode.CloudConfig, "logging in by %q is not known: use password, token, v3applicationcredential or none", errcode.Shown(t)).
				With(errcode.Evidence{Structure: "cloud", Field: AuthType, Value: errcode.Shown(t)})
		}
		return k, nil
	}
	switch {
	case s["application_credential_secret"] != "":
		return "application credential", nil
	case s["token"] != "":
		return "token", nil
	case s["auth_url"] == "":
		return "none", nil
	}
	return "password", nil
}

// begin makes the first login.
func (c *Session) begin(ctx context.Context) error {
	if c.how == "token" && c.s[Endpoint] != "" {
		return c.useToken()
	}
	u, err := url.Parse(c.s["auth_url"])
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return invalid("auth_url", "where the identity service is, is not known: auth_url (OS_AUTH_URL) is no URL of the form https://HOST:PORT/v3")
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig, tr.ResponseHeaderTimeout = c.tls, answerTime
	c.keystone = login.Client(login.Base(u), tr)
	return c.login(ctx)
}

// useToken takes the token that was given as it is.
func (c *Session) useToken() error {
	if c.s["token"] == "" {
		return invalid("token", "no token is given: set OS_TOKEN")
	}
	if !identity.Plain(c.s["token"]) {
		return invalid("token", "the token holds what no token does, such as a blank or a line break")
	}
	c.now = login.Session{Token: c.s["token"]}
	return nil
}

// login logs in. A token that was given needs no login but for another project: the
// catalog is asked for with it.
func (c *Session) login(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	if c.how == "token" && c.s["project_id"] == "" && c.s["project_name"] == "" {
		return c.catalog(ctx)
	}
	o, err := options(c.s, c.how)
	if err != nil {
		return err
	}
	got, err := login.Do(ctx, c.keystone, o)
	if err != nil {
		return c.refused(ctx, err)
	}
	c.now = got
	return nil
}

// catalog asks what a token's cloud has.
func (c *Session) catalog(ctx context.Context) error {
	if err := c.useToken(); err != nil {
		return err
	}
	var got struct {
		Catalog []tokens.CatalogEntry `json:"catalog"`
	}
	resp, err := c.keystone.Get(ctx, c.keystone.Endpoint+"auth/catalog", &got, &gophercloud.RequestOpts{
		MoreHeaders: map[string]string{"X-Auth-Token": c.now.Token}, OkCodes: []int{http.StatusOK}})
	if resp != nil {
		resp.Body.Close()
	}
	if err != nil {
		return c.refused(ctx, err)
	}
	c.now.Catalog = got.Catalog
	return nil
}

// refused gives a failed login its code. The identity service's own words stay out:
// nobody knows what they repeat of a request that held a secret.
func (c *Session) refused(ctx context.Context, err error) error {
	at := strings.TrimSuffix(c.keystone.Endpoint, "/")
	var status gophercloud.ErrUnexpectedResponseCode
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &cert):
		return errcode.New(errcode.IdentityUnavailable, "the certificate of the identity service at %s is not trusted: name its authority with OS_CACERT or cacert", at)
	case errors.Is(err, login.ErrNoToken), errors.Is(err, login.ErrNoCatalog):
		return errcode.New(errcode.IdentityUnavailable, "%s: %v", at, err)
	case !errors.As(err, &status):
		return errcode.New(errcode.IdentityUnavailable, "the identity service at %s does not answer", at)
	case status.Actual == http.StatusUnauthorized || status.Actual == http.StatusForbidden:
		return errcode.New(errcode.Unauthenticated, "the identity service at %s refuses %s", at, c.who())
	}
	return errcode.New(errcode.IdentityUnavailable, "the identity service at %s answers a login with status %d", at, status.Actual)
}

// who says who wanted to log in, without what proves it.
func (c *Session) who() string {
	first := func(names ...string) string {
		for _, n := range names {
			if v := c.s[n]; v != "" {
				return errcode.Shown(v)
			}
		}
		return ""
	}
	switch c.how {
	case "token":
		return "the token"
	case "application credential":
		return "the application credential " + first("application_credential_id", "application_credential_name")
	}
	return "user " + first("username", "user_id") + " in project " + first("project_name", "project_id") + ": see its password and the names of user, project and their domains"
}
