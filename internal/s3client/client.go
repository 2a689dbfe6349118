// Package s3client makes clients of S3 services for the source and the store
// driver: which endpoint, which credentials, through which dialer.
//
// Nothing is found by itself: no environment variables, no instance metadata,
// no files in the home folder, unless the options say so. A client that
// searched for credentials would lend the server's own to whoever names a
// bucket.
package s3client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/errcode"
)

// DefaultRegion signs for services that have no regions.
const DefaultRegion = "us-east-1"

// Options say which service and as whom.
type Options struct {
	Endpoint string // base URL; "" means Amazon's for the region
	Region   string // "" means DefaultRegion
	// Style is "path" (host/bucket/key), "virtual" (bucket.host/key), or "",
	// which is path with an endpoint and virtual without.
	Style string
	Keys  Keys
	// KeysNow, if set, is asked before each signature, so that keys that were
	// changed are used at once, and for each session of a role. It counts for access
	// and secret keys only.
	KeysNow func() (Keys, error)
	// Metadata is the machine's metadata service; "" means where it always is.
	Metadata string

	// Dial connects, after whatever check the caller wants; nil means a plain
	// dialer. RootCAs nil means the system's.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	RootCAs *x509.CertPool

	Attempts int // of one request, the first included: 5
	// Connections is how many are kept open to one host: 16.
	Connections int
}

// New returns a client. It makes no request unless a profile needs one.
func New(ctx context.Context, o Options) (*s3.Client, error) {
	o.Region = o.region()
	hc := &http.Client{Transport: bounded{transport(o)}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	provider, err := provider(ctx, o, hc)
	if err != nil {
		return nil, err
	}
	so := s3.Options{
		Region: o.Region, Credentials: provider, HTTPClient: hc, Retryer: retryer(o.Attempts),
		UsePathStyle:                              o.Style == "path" || (o.Style == "" && o.Endpoint != ""),
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if o.Endpoint != "" {
		if err := CheckEndpoint(o.Endpoint); err != nil {
			return nil, err
		}
		so.BaseEndpoint = aws.String(strings.TrimRight(o.Endpoint, "/"))
	}
	return s3.New(so), nil
}

// CheckEndpoint refuses what is not a plain base URL.
func CheckEndpoint(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return errcode.New(errcode.BadRequest, "an S3 endpoint is written http(s)://HOST[:PORT], without path, query or user")
	}
	return nil
}

func transport(o Options) *http.Transport {
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	n := o.Connections
	if n <= 0 {
		n = 16
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 5 * time.Minute, // completing a large upload takes a service minutes
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		MaxIdleConnsPerHost: n, IdleConnTimeout: time.Minute, Protocols: &protocols,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}
}

// maxRefusal is how much is read of an answer that is no success, bytes: a code and a
// sentence, in XML.
const maxRefusal = 1 << 20

// A bounded transport cuts refusals off. The SDK reads them to their end into memory,
// and the endpoint of a source may be a stranger's.
type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(req)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxRefusal), resp.Body}
	}
	return resp, err
}

func retryer(attempts int) aws.Retryer {
	if attempts <= 0 {
		attempts = 5
	}
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = attempts
		r.MaxBackoff = 10 * time.Second
	})
}
