package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/identity"
)

// maxAnswer bounds an answer, bytes: that of a login has the catalog, with hundreds of
// endpoints in a large cloud.
const maxAnswer = 8 << 20

// Spare is how long before its end a token is renewed.
const Spare = time.Minute

// Errors of answers that are no refusals. A refusal is a
// gophercloud.ErrUnexpectedResponseCode.
var (
	ErrNoToken   = errors.New("the identity service answers with what is no token")
	ErrNoCatalog = errors.New("the identity service answers with what is no list of services")
)

// A Session is what a login gives: a token, until when it is good, and the cloud's list
// of services.
type Session struct {
	Token   string
	Until   time.Time // Spare before its end
	Catalog []tokens.CatalogEntry
}

// Base is where the third version of the identity API is, with a slash at its end, for
// an auth_url that names that version or none.
func Base(u *url.URL) string {
	base := strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/")
	if !strings.HasSuffix(base, "/v3") {
		base += "/v3"
	}
	return base + "/"
}

// Client returns a client of the identity service at base, as of Base, that follows no
// redirect.
func Client(base string, via http.RoundTripper) *gophercloud.ServiceClient {
	p := &gophercloud.ProviderClient{HTTPClient: http.Client{
		Transport:     clipped{via},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return &gophercloud.ServiceClient{ProviderClient: p, Endpoint: base}
}

// Do logs in.
func Do(ctx context.Context, c *gophercloud.ServiceClient, o *tokens.AuthOptions) (Session, error) {
	made := tokens.Create(ctx, c, o)
	if made.Err != nil {
		return Session{}, made.Err
	}
	token, err := made.ExtractToken()
	if err != nil || token.ID == "" || !identity.Plain(token.ID) {
		return Session{}, ErrNoToken
	}
	services, err := made.ExtractServiceCatalog()
	if err != nil {
		return Session{}, ErrNoCatalog
	}
	return Session{Token: token.ID, Until: token.ExpiresAt.Add(-Spare), Catalog: services.Entries}, nil
}

// Images returns the endpoints of image services in a catalog: those of one interface
// ("public", "internal", "admin"), and of one region unless region is "".
func Images(catalog []tokens.CatalogEntry, region, kind string) []*url.URL {
	var out []*url.URL
	for _, s := range catalog {
		if s.Type != "image" {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Interface != kind || region != "" && e.Region != region && e.RegionID != region {
				continue
			}
			u, err := url.Parse(e.URL)
			if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
				continue
			}
			out = append(out, u)
		}
	}
	return out
}

// clipped cuts answers, which the library reads to their end.
type clipped struct{ http.RoundTripper }

func (c clipped) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
