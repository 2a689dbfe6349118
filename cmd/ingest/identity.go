package main

import (
	"net"
	"net/http"

	"github.com/rs/zerolog"

	"ingest/internal/config"
	"ingest/internal/identity"
	"ingest/internal/identity/devkeystone"
	"ingest/internal/identity/keystone"
	"ingest/internal/identity/tokenfile"
)

// A gate is how the server finds out who makes a request.
type gate struct {
	callers identity.Authenticator
	service *devkeystone.Service // nil if the server is no identity service
	tokens  *tokenfile.Authenticator
	cert    *certificate // nil without TLS
}

// handler is the identity service, nil without one.
func (g gate) handler() http.Handler {
	if g.service == nil {
		return nil
	}
	return g.service
}

// openGate opens what the mode needs, and the certificate. addr is where the API
// listens.
func openGate(c *config.Server, log zerolog.Logger, addr net.Addr) (g gate, err error) {
	switch c.Auth.Mode {
	case config.AuthKeystone:
		g.callers, err = openKeystone(c.Auth.Keystone, log)
	case config.AuthToken:
		g, err = openTokens(c, log, addr)
	default:
		g.callers = identity.Headers{}
	}
	if err == nil && c.Auth.TLS.On() {
		g.cert, err = openCertificate(c.Auth.TLS, log)
	}
	if err == nil {
		g.warn(c, log)
	}
	return g, err
}

func openKeystone(k config.Keystone, log zerolog.Logger) (identity.Authenticator, error) {
	o := keystone.Options{
		URL: k.URL, PublicURL: k.PublicURL, Username: k.User, UserDomain: k.UserDomain, Password: k.Password,
		Project: k.Project, ProjectDomain: k.ProjectDomain, CacheTime: k.CacheTime, Log: log,
	}
	if k.CA != "" {
		pool, err := authorities("--keystone-ca", k.CA)
		if err != nil {
			return nil, err
		}
		o.Transport = trusting(pool)
	}
	return keystone.New(o), nil
}

// openTokens knows those of the file, and those of the server's own identity service.
func openTokens(c *config.Server, log zerolog.Logger, addr net.Addr) (gate, error) {
	file, err := tokenfile.Open(c.Auth.Tokens, "", log)
	if err != nil {
		return gate{}, notStarted(err, "the tokens cannot be used", "Correct or remove the file; `ingest token create` makes one.")
	}
	if c.Auth.Users == "" {
		return gate{callers: file, tokens: file}, nil
	}
	service, err := devkeystone.Open(devkeystone.Options{Users: c.Auth.Users, Dir: c.DataDir, Endpoint: endpoint(c, addr), Log: log})
	if err != nil {
		return gate{}, notStarted(err, "the users cannot be used", "Correct the file that --identity-users names, and make it private: chmod 600 FILE.")
	}
	return gate{callers: identity.Chain{service, file}, service: service, tokens: file}, nil
}

// endpoint is the URL under which clients reach the server, "" if each request must say
// so itself.
func endpoint(c *config.Server, addr net.Addr) string {
	if c.Auth.PublicEndpoint != "" {
		return c.Auth.PublicEndpoint
	}
	if tcp, ok := addr.(*net.TCPAddr); !ok || tcp.IP.IsUnspecified() {
		return ""
	}
	return c.Scheme() + "://" + addr.String()
}

// warn tells what is open to others, and what nobody can use.
func (g gate) warn(c *config.Server, log zerolog.Logger) {
	if g.tokens != nil && g.service == nil && g.tokens.Len() == 0 {
		log.Warn().Str("tokens", c.Auth.Tokens).Msg("there is no token yet: nobody can use the API (see ingest token create)")
	}
	if c.Auth.Mode != config.AuthNone && !config.Loopback(c.Listen) && !c.Auth.TLS.On() {
		log.Warn().Str("listen", c.Listen).Msg("tokens go over the network in the clear: use --tls-cert and --tls-key, or a reverse proxy with TLS")
	}
}
