package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ingest/internal/ratelimit"
)

// The modes of finding out who makes a request.
const (
	AuthNone     = "none"
	AuthToken    = "token"
	AuthKeystone = "keystone"
)

// envKeystonePassword holds the password of the service's user.
const envKeystonePassword = "INGEST_KEYSTONE_PASSWORD"

// Auth says how it is found out who makes a request, and how often they may.
type Auth struct {
	Mode string // none, token or keystone
	// Tokens is the file of tokens of mode token; "" is tokens.json in the data folder.
	Tokens string
	// Users is the file of users of the identity service that the server is itself; ""
	// is none.
	Users string
	// PublicEndpoint is the URL under which clients reach the server; "" is that of
	// each request.
	PublicEndpoint string
	Keystone       Keystone
	TLS            TLS
	// Rate is how many requests a second a project may make, 0 for any number, and
	// Burst how many at once; 0 is twice Rate.
	Rate  float64
	Burst int
	// AddressRate is how many requests a second an address may make, before it is found
	// out whose they are, and AddressBurst how many at once; 0 as in Rate and Burst.
	AddressRate  float64
	AddressBurst int
	// Failures is how many requests a minute of one address may fail to prove who makes
	// them, 0 for any number.
	Failures int
	// Proxies may say for whom they ask, in X-Forwarded-For.
	Proxies ratelimit.Proxies
	proxies []string
}

// Keystone says where the identity service is, and who validates tokens there.
type Keystone struct {
	URL, PublicURL         string
	User, UserDomain       string
	Password               string
	PasswordFile           string
	Project, ProjectDomain string
	CA                     string // file of authorities besides the system's
	CacheTime              time.Duration
}

// TLS is the certificate of the API's listener, and its key, both in PEM.
type TLS struct{ Cert, Key string }

// On reports whether the API speaks TLS.
func (t TLS) On() bool { return t.Cert != "" }

func (a *Auth) flags(f *pflag.FlagSet) {
	f.StringVar(&a.Mode, "auth", AuthNone, "how callers prove who they are: none (loopback only), token (see ingest token), keystone")
	f.StringVar(&a.Tokens, "tokens", "", "`FILE` of tokens of --auth token; read again when it changes (default: tokens.json in the data folder)")
	f.StringVar(&a.Users, "identity-users", "", "YAML `FILE` of users: --auth token serves them a small Keystone below /identity/v3")
	f.StringVar(&a.PublicEndpoint, "public-endpoint", "", "`URL` under which clients reach the API, for the catalog of the identity service (default: that of each request)")
	k := &a.Keystone
	f.StringVar(&k.URL, "keystone-url", "", "`URL` of the identity service of --auth keystone, such as https://keystone.example.org:5000/v3")
	f.StringVar(&k.PublicURL, "keystone-public-url", "", "`URL` of it that callers without a token are told (default: --keystone-url)")
	f.StringVar(&k.User, "keystone-user", "glance", "user who validates tokens there; its role is service or admin")
	f.StringVar(&k.UserDomain, "keystone-user-domain", "Default", "name of that user's domain")
	f.StringVar(&k.PasswordFile, "keystone-password-file", "", "`FILE` with that user's password (or "+envKeystonePassword+")")
	f.StringVar(&k.Project, "keystone-project", "service", "project of that user")
	f.StringVar(&k.ProjectDomain, "keystone-project-domain", "Default", "name of that project's domain")
	f.StringVar(&k.CA, "keystone-ca", "", "PEM `FILE` of authorities that may have signed its certificate, besides the system's")
	f.DurationVar(&k.CacheTime, "keystone-cache", 5*time.Minute, "how long its answer about a token is remembered")
	f.StringVar(&a.TLS.Cert, "tls-cert", "", "PEM `FILE` of the API's certificate, with its chain; read again when it changes (default: no TLS)")
	f.StringVar(&a.TLS.Key, "tls-key", "", "PEM `FILE` of its key")
	f.Float64Var(&a.Rate, "rate-limit", 0, "requests a second that a project may make, or an address without a token (0: any number)")
	f.IntVar(&a.Burst, "rate-burst", 0, "requests that it may make at once after a time of silence (0: twice --rate-limit)")
	f.Float64Var(&a.AddressRate, "address-rate-limit", 0, "requests a second that an address may make, whoever they are of; refused before a token is looked at (0: any number)")
	f.IntVar(&a.AddressBurst, "address-rate-burst", 0, "requests that it may make at once after a time of silence (0: twice --address-rate-limit)")
	f.IntVar(&a.Failures, "auth-failures", 0, "requests a minute of one address that may fail to prove who makes them, before all of it are refused for a while (0: any number)")
	f.StringSliceVar(&a.proxies, "trusted-proxy", nil, "`NETWORK` or address of reverse proxies whose X-Forwarded-For is believed; repeat for each (default none)")
}

func (a *Auth) check(dataDir string) error {
	if !slices.Contains([]string{AuthNone, AuthToken, AuthKeystone}, a.Mode) {
		return bad("--auth", a.Mode, "must be one of none, token, keystone")
	}
	if a.Tokens == "" {
		a.Tokens = filepath.Join(dataDir, "tokens.json")
	}
	if a.Users != "" && a.Mode != AuthToken {
		return bad("--identity-users", a.Users, "needs --auth token")
	}
	if (a.TLS.Cert == "") != (a.TLS.Key == "") {
		return bad("--tls-cert", a.TLS.Cert, "needs --tls-key, and --tls-key needs it")
	}
	if a.PublicEndpoint != "" {
		if !isEndpoint(a.PublicEndpoint) {
			return bad("--public-endpoint", a.PublicEndpoint, "is no URL such as https://images.example.org:9292")
		}
		a.PublicEndpoint = strings.TrimRight(a.PublicEndpoint, "/")
	}
	if err := a.checkRates(); err != nil {
		return err
	}
	if a.Mode == AuthKeystone {
		return a.Keystone.check()
	}
	return nil
}

func (a *Auth) checkRates() (err error) {
	for _, n := range []struct {
		flag  string
		value float64
	}{
		{"--rate-limit", a.Rate}, {"--rate-burst", float64(a.Burst)}, {"--address-rate-limit", a.AddressRate},
		{"--address-rate-burst", float64(a.AddressBurst)}, {"--auth-failures", float64(a.Failures)},
	} {
		if !(n.value >= 0 && n.value <= 1e6) { // nor what is no number
			return bad(n.flag, "", "is not from 0 to 1000000")
		}
	}
	if a.Proxies, err = ratelimit.ParseProxies(a.proxies); err != nil {
		return bad("--trusted-proxy", strings.Join(a.proxies, ","), "is wrong: "+err.Error())
	}
	return nil
}

func (k *Keystone) check() error {
	if !isEndpoint(k.URL) {
		return bad("--keystone-url", k.URL, "is no URL such as https://keystone.example.org:5000/v3")
	}
	if k.PublicURL != "" && !isEndpoint(k.PublicURL) {
		return bad("--keystone-public-url", k.PublicURL, "is no URL such as https://keystone.example.org:5000")
	}
	if k.CacheTime < 0 || k.CacheTime > time.Hour {
		return bad("--keystone-cache", k.CacheTime.String(), "is not from 0s to 1h")
	}
	k.Password = os.Getenv(envKeystonePassword)
	if k.PasswordFile != "" {
		text, err := os.ReadFile(k.PasswordFile)
		if err != nil {
			return bad("--keystone-password-file", k.PasswordFile, "cannot be read: "+reason(err))
		}
		k.Password = strings.TrimRight(string(text), "\r\n")
	}
	if k.Password == "" {
		return bad("--keystone-password-file", k.PasswordFile, "gives no password of user "+k.User+", and nor does "+envKeystonePassword)
	}
	return nil
}

// isEndpoint reports whether s is an http or https URL of a host, without a secret.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// Loopback reports whether a listener of host:port is reached by this machine alone.
func Loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
