package glance

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/sources"
	httpsource "ingest/sources/http"
)

// tokenHeader is how OpenStack's services are told who asks.
const tokenHeader = "X-Auth-Token"

// A link is an image service and who asks it. It is safe for concurrent use.
type link struct {
	d       *Driver
	base    *url.URL // of the API, up to and without /v2
	ref     sources.Ref
	types   []string // of the credential; nil is nobody's
	trusted bool

	session *session // of a credential of type openstack, else nil
}

// connect finds out where the image service is, and logs in.
func (d *Driver) connect(ctx context.Context, ref sources.Ref, loc location) (*link, error) {
	l := &link{d: d, ref: ref}
	if ref.Credential == "" {
		return l, l.to(loc, "the URL names no host, and the request no credential of a cloud")
	}
	l.types = []string{credentials.OpenStack, credentials.Basic, credentials.Bearer, credentials.Header}
	c, err := d.vault.Get(ref.Credential, credentials.Use{Types: l.types, Project: ref.Project})
	if err != nil {
		return nil, err
	}
	if c.Type != credentials.OpenStack {
		l.types = l.types[1:]
		if err := l.to(loc, "the URL names no host, and a credential of type "+c.Type+" does not either"); err != nil {
			return nil, err
		}
		_, err := d.vault.Get(ref.Credential, credentials.Use{Types: l.types, Project: ref.Project, To: l.base})
		return l, err
	}
	l.types, l.trusted = l.types[:1], true
	l.session = d.session(c)
	_, services, err := l.session.login(ctx, d, c, "")
	if err != nil {
		return nil, err
	}
	at, err := place(c, loc, services)
	if err != nil {
		return nil, err
	}
	l.base = trimmed(at)
	return l, nil
}

// to has the link lead where the URL says.
func (l *link) to(loc location, otherwise string) error {
	if loc.base == "" {
		return invalid("%s", otherwise)
	}
	u, err := l.d.web.CheckURL(loc.base)
	if err != nil {
		return err
	}
	l.base = trimmed(u)
	return nil
}

// trimmed takes the version off an endpoint, which some clouds' lists have.
func trimmed(u *url.URL) *url.URL {
	path := strings.TrimRight(u.EscapedPath(), "/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 && (path[i:] == "/v2" || strings.HasPrefix(path[i:], "/v2.")) {
		path = strings.TrimRight(path[:i], "/")
	}
	out := &url.URL{Scheme: u.Scheme, Host: u.Host}
	out.Path, _ = url.PathUnescape(path)
	out.RawPath = path
	return out
}

// at is the URL of a resource.
func (l *link) at(elements ...string) *url.URL {
	return l.base.JoinPath(append([]string{"v2"}, elements...)...)
}

// Sign adds who asks to a request.
func (l *link) Sign(req *http.Request) error {
	c, err := l.credential(req.URL)
	if err != nil || c == nil {
		return err
	}
	if l.session == nil {
		httpsource.Authorize(req, c)
		return nil
	}
	token, _, err := l.session.login(req.Context(), l.d, c, "")
	if err == nil {
		req.Header.Set(tokenHeader, token)
	}
	return err
}

// credential looks the credential up again, so that one that was changed is used at
// once; nil if nobody asks.
func (l *link) credential(to *url.URL) (*credentials.Credential, error) {
	if l.types == nil {
		return nil, nil
	}
	return l.d.vault.Get(l.ref.Credential, credentials.Use{Types: l.types, Project: l.ref.Project, To: to})
}

// Refused logs in again where a token is not taken any more.
func (l *link) Refused(ctx context.Context, req *http.Request, status int) (again bool, err error) {
	if status != http.StatusUnauthorized || l.session == nil {
		return false, nil
	}
	c, err := l.credential(req.URL)
	if err != nil {
		return false, err
	}
	_, _, err = l.session.login(ctx, l.d, c, req.Header.Get(tokenHeader))
	return err == nil, err
}

// get asks the service for what is not an image's bytes.
func (l *link) get(ctx context.Context, u *url.URL) ([]byte, error) {
	for again := true; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, invalid("it cannot be requested")
		}
		req.Header.Set("User-Agent", "ingest")
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Accept-Encoding", "identity")
		if err := l.Sign(req); err != nil {
			return nil, err
		}
		resp, err := l.d.caller(l.trusted).RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return readAnswer(resp.Body)
		}
		resp.Body.Close()
		if again {
			if again, err = l.Refused(ctx, req, resp.StatusCode); err != nil {
				return nil, err
			}
			if again {
				again = false
				continue
			}
		}
		return nil, statusError(resp.StatusCode)
	}
}

func (d *Driver) caller(trusted bool) http.RoundTripper { return d.web.Caller(trusted) }

func statusError(status int) error {
	switch {
	case status == http.StatusNotFound:
		return errcode.New(errcode.SourceNotFound, "the service has no such image, or does not show it to this credential")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return errcode.New(errcode.SourceAuth, "the service refuses access to the image")
	case status >= 300 && status < 400:
		return errcode.New(errcode.SourceRedirect, "the service sends the request elsewhere, which is not followed")
	}
	return errcode.New(errcode.SourceUnreachable, "the service answers with status %d", status)
}
