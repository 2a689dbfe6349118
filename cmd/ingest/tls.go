package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/config"
	"ingest/internal/errcode"
)

// A certificate is that of the listener, read again when its files change, as they do
// every few weeks.
type certificate struct {
	files config.TLS
	log   zerolog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	seen   [2]fileStamp
	looked time.Time
}

type fileStamp struct {
	time time.Time
	size int64
}

// openCertificate reads certificate and key.
func openCertificate(files config.TLS, log zerolog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log, seen: stamps(files)}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		err = errcode.Wrap(err, errcode.BadRequest, "read the certificate").With(errcode.Evidence{Structure: "configuration", Field: "--tls-cert", Value: files.Cert})
		return nil, notStarted(err, "the API cannot speak TLS", "See that --tls-cert and --tls-key name a certificate and its key, both in PEM.")
	}
	c.cert = &cert
	return c, nil
}

func stamps(files config.TLS) (out [2]fileStamp) {
	for i, path := range []string{files.Cert, files.Key} {
		if fi, err := os.Stat(path); err == nil {
			out[i] = fileStamp{fi.ModTime(), fi.Size()}
		}
	}
	return out
}

// config is the listener's.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current returns the certificate in force. Files that do not belong together, which is
// so for a moment while both are replaced, leave it as it is.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) < time.Second {
		return c.cert
	} else {
		c.looked = now
	}
	seen := stamps(c.files)
	if seen == c.seen {
		return c.cert
	}
	c.seen = seen
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.log.Error().Str("error", err.Error()).Str("cert", c.files.Cert).Msg("the certificate cannot be used; the one in force stays")
		return c.cert
	}
	c.cert = &cert
	c.log.Info().Str("cert", c.files.Cert).Msg("certificate loaded")
	return c.cert
}

// trusting returns a transport that trusts the authorities of pool.
func trusting(pool *x509.CertPool) http.RoundTripper {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return tr
}
