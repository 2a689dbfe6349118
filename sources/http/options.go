package http

import (
	"crypto/x509"
	"math"
	"net/netip"
	"net/url"
	"time"

	"ingest/internal/credentials"
	"ingest/internal/readahead"
)

// Options say what a Driver may do. The zero value means the defaults, which
// reach public addresses only.
type Options struct {
	// AllowNets are networks that may be reached although they are special. An
	// IPv6 address that carries an IPv4 address needs both allowed.
	AllowNets []netip.Prefix
	// DenyNets are networks that may not be reached, whatever else is said.
	DenyNets []netip.Prefix
	// Ports are what may be reached. nil means 80 and 443, and any port within
	// AllowNets.
	Ports []uint16
	// HTTPSOnly refuses http URLs.
	HTTPSOnly bool
	// RootCAs are the certificate authorities that are trusted; nil means
	// those of the system.
	RootCAs *x509.CertPool

	MaxBytes       int64 // largest source: 100 GiB; < 0 means no limit
	MaxRedirects   int   // redirects of one request: 5; < 0 means none
	MaxHeaderBytes int64 // an answer's status line and header: 64 KiB

	ConnectTimeout time.Duration // one connection, and again its TLS handshake: 10 s
	HeaderTimeout  time.Duration // from the request to the answer's header: 30 s
	StallTimeout   time.Duration // without a byte: 30 s

	// MinRate is the least a server must send, in bytes a second, averaged
	// over a RateWindow of waiting for it. The time that the reader takes between
	// its reads does not count. 64 KiB/s over 60 s; < 0 means no minimum.
	MinRate    int64
	RateWindow time.Duration

	Retries int           // repetitions after a passing failure: 4; < 0 means none
	Backoff time.Duration // before the first repetition, doubled for each further: 250 ms

	// Credentials resolves the names of credentials; nil knows none.
	Credentials *credentials.Vault
	// Operator says that the operator's own configuration names the credentials, and
	// no project.
	Operator bool

	// Parallel is the most ranges of one place of a source that are asked for at one
	// time: 16. How many they are is found out: see pace.
	Parallel int
	// PerHost is the budget of every host, shared by all sources of the driver: 16
	// connections, and no limit of the bandwidth. Hosts are those with another one, by
	// "name" or "name:port".
	PerHost HostLimit
	Hosts   map[string]HostLimit
	// Proxy is asked to connect in our place; nil means that nobody is. It may lie
	// anywhere, and the address rules hold for it only as the package says.
	Proxy *url.URL

	UserAgent string            // "ingest"
	Readahead readahead.Options // of ReaderAt
}

// maxURL bounds a URL's length, in bytes, a limit that many servers have.
const maxURL = 8 << 10

// maxValidator bounds a validator, in bytes: it is kept with the task and sent
// with each request. Servers' own have less than 100.
const maxValidator = 1 << 10

// maxBackoff is the longest wait between two attempts.
const maxBackoff = 10 * time.Second

// progress is how many bytes must have arrived for earlier failures to be
// forgiven, so that a long transfer is not ended by a few broken connections,
// nor kept alive by single bytes.
const progress = 1 << 20

func (o Options) withDefaults() Options {
	setDefault(&o.MaxBytes, 100<<30)
	setDefault(&o.MaxRedirects, 5)
	setDefault(&o.MaxHeaderBytes, 64<<10)
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.HeaderTimeout, 30*time.Second)
	setDefault(&o.StallTimeout, 30*time.Second)
	setDefault(&o.MinRate, 64<<10)
	setDefault(&o.RateWindow, time.Minute)
	setDefault(&o.Retries, 4)
	setDefault(&o.Backoff, 250*time.Millisecond)
	setDefault(&o.Parallel, 16)
	setDefault(&o.PerHost.Connections, 16)
	setDefault(&o.UserAgent, "ingest")
	if o.MaxBytes < 0 {
		o.MaxBytes = math.MaxInt64
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
