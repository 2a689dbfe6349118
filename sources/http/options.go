package http

import (
	"crypto/x509"
	"net/netip"
	"time"

	"ingest/internal/readahead"
)

// Options say what a Driver may do. The zero value means the defaults, which
// reach public addresses only.
type Options struct {
	// AllowNets are networks that may be reached although they are special,
	// on any port.
	AllowNets []netip.Prefix
	// DenyNets are networks that may not be reached, whatever else is said.
	DenyNets []netip.Prefix
	// Ports are what may be reached outside AllowNets: 80, 443, 8080, 8443.
	Ports []uint16
	// RootCAs are the certificate authorities that are trusted; nil means
	// those of the system.
	RootCAs *x509.CertPool

	MaxBytes     int64 // largest source: 100 GiB
	MaxRedirects int   // redirects of one request: 5; < 0 means none

	ConnectTimeout time.Duration // one connection, and again its TLS handshake: 10 s
	HeaderTimeout  time.Duration // from the request to the answer's header: 30 s
	StallTimeout   time.Duration // without a byte: 30 s

	// MinRate is the least a server must send, in bytes a second, averaged
	// over a RateWindow of waiting for it. The time that the reader takes does
	// not count. 64 KiB/s over 60 s; < 0 means no minimum.
	MinRate    int64
	RateWindow time.Duration

	Retries int           // repetitions after a passing failure: 4; < 0 means none
	Backoff time.Duration // before the first repetition, doubled for each further: 250 ms

	UserAgent string            // "ingest"
	Readahead readahead.Options // of ReaderAt
}

// maxURL bounds a URL's length, in bytes, a limit that many servers have.
const maxURL = 8 << 10

// maxHeader bounds an answer's header, in bytes.
const maxHeader = 64 << 10

// maxBackoff is the longest wait between two attempts.
const maxBackoff = 10 * time.Second

// progress is how many bytes must have arrived for earlier failures to be
// forgiven, so that a long transfer is not ended by a few broken connections,
// nor kept alive by single bytes.
const progress = 1 << 20

func (o Options) withDefaults() Options {
	setDefault(&o.MaxBytes, 100<<30)
	setDefault(&o.MaxRedirects, 5)
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.HeaderTimeout, 30*time.Second)
	setDefault(&o.StallTimeout, 30*time.Second)
	setDefault(&o.MinRate, 64<<10)
	setDefault(&o.RateWindow, time.Minute)
	setDefault(&o.Retries, 4)
	setDefault(&o.Backoff, 250*time.Millisecond)
	setDefault(&o.UserAgent, "ingest")
	if o.Ports == nil {
		o.Ports = []uint16{80, 443, 8080, 8443}
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
