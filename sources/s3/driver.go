package s3

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/internal/s3client"
	"ingest/sources"
)

// Name is the driver's name in a pin.
const Name = "s3"

// Options say what a Driver may do. The zero value means the defaults.
type Options struct {
	// Credentials resolves the names of credentials; nil knows none.
	Credentials *credentials.Vault
	// Dial connects to endpoints that the operator has not named, after
	// whatever check is wanted. nil refuses them.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	RootCAs *x509.CertPool // nil means the system's
	Region  string         // where neither URL nor credential names one: us-east-1

	HTTPSOnly bool          // refuses endpoints of URLs without TLS
	MaxBytes  int64         // largest source; 0 means no limit
	Attempts  int           // of one request, the first included: 5
	Stall     time.Duration // without a byte: 30 s
	Readahead readahead.Options
}

// A Driver opens s3 URLs.
type Driver struct{ o Options }

var _ sources.Driver = (*Driver)(nil)

// New returns a driver with the given options.
func New(o Options) *Driver {
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	return &Driver{o}
}

// Name returns "s3".
func (d *Driver) Name() string { return Name }

// Schemes returns the one scheme.
func (d *Driver) Schemes() []string { return []string{Name} }

// Open asks for the object's head and pins what it learns.
func (d *Driver) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	loc, err := parse(ref.URL)
	if err != nil {
		return nil, err
	}
	c, host, err := d.client(ctx, ref, loc)
	if err != nil {
		return nil, err
	}
	s := newSource(d, c, loc)
	if err := s.open(ctx, ref, pin, host); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// client returns a client for a location, and the host that it asks.
func (d *Driver) client(ctx context.Context, ref sources.Ref, loc location) (*s3.Client, string, error) {
	o := s3client.Options{
		Endpoint: loc.endpoint, Region: loc.region, Dial: d.o.Dial, RootCAs: d.o.RootCAs, Attempts: d.o.Attempts,
	}
	if ref.Credential != "" {
		cred, err := d.o.Credentials.Get(ref.Credential, credentials.Use{Types: []string{credentials.S3}, Project: ref.Project, Bucket: loc.bucket})
		if err != nil {
			return nil, "", err
		}
		o = s3client.From(cred, o)
		to := s3client.URL(o, loc.bucket)
		if !cred.MayGoTo(to) {
			return nil, "", errcode.New(errcode.CredentialNotAllowed, "credential %q may not be used for this host", cred.Name).
				With(errcode.Evidence{Structure: "credential " + cred.Name, Field: "host", Value: to.Scheme + "://" + to.Host})
		}
		if cred.Field("endpoint") != "" && o.Endpoint == cred.Field("endpoint") {
			o.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext // the operator's own word
		}
		o.KeysNow = func() (s3client.Keys, error) {
			cred, err := d.o.Credentials.Get(ref.Credential, credentials.Use{Types: []string{credentials.S3}, Project: ref.Project, Bucket: loc.bucket, To: to})
			if err != nil {
				return s3client.Keys{}, err
			}
			return s3client.From(cred, s3client.Options{}).Keys, nil
		}
	}
	if o.Dial == nil {
		return nil, "", errcode.New(errcode.SourceAddrBlocked, "the operator has named no endpoint for this source")
	}
	if o.Region == "" {
		o.Region = d.o.Region
	}
	if d.o.HTTPSOnly && strings.HasPrefix(strings.ToLower(loc.endpoint), "http:") {
		return nil, "", errcode.New(errcode.SourceScheme, "the operator takes sources from https only")
	}
	c, err := s3client.New(ctx, o)
	return c, s3client.URL(o, loc.bucket).Host, err
}

// A location is an s3 URL taken apart.
type location struct {
	bucket, key, version, endpoint, region string
}

// maxURL bounds a URL's length, bytes: a key has up to 1024.
const maxURL = 8 << 10

// parse takes an s3 URL apart.
func parse(raw string) (location, error) {
	var loc location
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Scheme != Name || u.Opaque != "" {
		return loc, invalid("it is written s3://BUCKET/KEY")
	}
	if u.User != nil {
		return loc, invalid("it holds user info; name a credential instead")
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		return loc, invalid("it holds a fragment; write # in a key as %%23")
	}
	loc.bucket, loc.key = u.Host, strings.TrimPrefix(u.Path, "/")
	if !validBucket(loc.bucket) {
		return loc, invalid("a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if loc.key == "" || len(loc.key) > 1024 || strings.ContainsAny(loc.key, "\x00\r\n") {
		return loc, invalid("a key has 1 to 1024 bytes")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return loc, invalid("its query cannot be read")
	}
	for k, v := range q {
		if len(v) != 1 || v[0] == "" {
			return loc, invalid("it names %s more than once, or empty", errcode.Shown(k))
		}
		switch k {
		case "versionId":
			loc.version = v[0]
		case "endpoint":
			loc.endpoint = v[0]
		case "region":
			loc.region = v[0]
		default:
			return loc, invalid("it takes versionId, endpoint and region, not %s", errcode.Shown(k))
		}
	}
	if loc.region != "" && strings.Trim(loc.region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return loc, invalid("its region is not the name of one")
	}
	if loc.endpoint != "" {
		if err := s3client.CheckEndpoint(loc.endpoint); err != nil {
			return loc, invalid("its endpoint is not http(s)://HOST[:PORT]")
		}
	}
	return loc, nil
}

func validBucket(s string) bool {
	return len(s) >= 3 && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" &&
		strings.Trim(s, ".-") == s && !strings.Contains(s, "..")
}

func invalid(format string, args ...any) error {
	return errcode.New(errcode.SourceURLInvalid, "the source's URL is refused: "+format, args...)
}

// sourceError gives a failure of the service its code. As with web servers,
// whatever is wrong between here and the service has one message.
func sourceError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errcode.As(err); ok {
		return errcode.Wrap(err, e.Code, "%s", e.Message)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	status := 0
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		status = re.HTTPStatusCode()
	}
	code := ""
	var ae smithy.APIError
	if errors.As(err, &ae) {
		code = ae.ErrorCode()
	}
	switch {
	case status == http.StatusPreconditionFailed:
		return sources.Changed("ETag", "", "")
	case status == http.StatusNotFound || code == "NoSuchKey" || code == "NoSuchBucket" || code == "NoSuchVersion" || status == http.StatusMethodNotAllowed:
		return errcode.Wrap(err, errcode.SourceNotFound, "the service has no such object")
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return errcode.Wrap(err, errcode.SourceAuth, "the service refuses access to the object")
	case status == http.StatusRequestedRangeNotSatisfiable:
		return sources.Changed("length", "", "")
	case status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect || status == http.StatusBadRequest:
		return errcode.Wrap(err, errcode.SourceAuth, "the service does not take the request as it is signed; check region and endpoint")
	}
	return errcode.Wrap(err, errcode.SourceUnreachable, "the source could not be reached, or stopped answering")
}

// pinOf reads the answer to a request for the head.
func pinOf(out *s3.HeadObjectOutput) (sources.Pin, error) {
	pin := sources.Pin{Driver: Name, Size: aws.ToInt64(out.ContentLength), Validator: aws.ToString(out.ETag)}
	if enc := aws.ToString(out.ContentEncoding); enc != "" && enc != "identity" && enc != "aws-chunked" {
		return pin, errcode.New(errcode.SourceEncoding, "the object is stored with a Content-Encoding").
			With(errcode.Evidence{Structure: "source", Field: "Content-Encoding", Value: errcode.Shown(enc)})
	}
	if pin.Size < 0 || len(pin.Validator) < 2 || len(pin.Validator) > 100 || !isVisible(pin.Validator) {
		return pin, errcode.New(errcode.SourceUnreachable, "the service tells neither length nor ETag")
	}
	if v := aws.ToString(out.VersionId); v != "" && v != "null" && len(v) <= 1024 {
		pin.Validator += versionMark + v
	}
	pin.Strong, pin.Random = true, true
	return pin, nil
}

// isVisible reports whether s is ASCII without spaces, as an ETag is: others would not
// survive JSON, in which pins travel, or would be taken for the mark of a version.
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// versionMark stands in a validator between the ETag and the object's version.
const versionMark = " version="

// split takes a validator apart.
func split(validator string) (etag, version string) {
	etag, version, _ = strings.Cut(validator, versionMark)
	return etag, version
}

func tooLarge(limit int64) error {
	return errcode.New(errcode.SourceTooLarge, "the source has more than %d bytes", limit).
		With(errcode.Evidence{Structure: "source", Field: "length", Limit: strconv.FormatInt(limit, 10)})
}

func rangeOf(off, end int64) string { return fmt.Sprintf("bytes=%d-%d", off, end-1) }
