package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

const objectKey = "folder/an image+1 #ü.qcow2"

const objectURL = "/folder/an%20image+1%20%23%C3%BC.qcow2"

// vault holds one credential for an endpoint.
func vault(tb testing.TB, endpoint, more string) *credentials.Vault {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "credentials")
	text := fmt.Sprintf("lab:\n  type: s3\n  endpoint: %s\n  access_key: %s\n  secret_key: %s\n%s", endpoint, s3test.AccessKey, s3test.SecretKey, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	v, err := credentials.Open(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func put(tb testing.TB, c *s3.Client, bucket string, content []byte) string {
	tb.Helper()
	out, err := c.PutObject(tb.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(objectKey), Body: bytes.NewReader(content)})
	if err != nil {
		tb.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

func TestDriver(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			server := s3test.Start(t, kind)
			sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
				proxy, bucket := s3test.NewProxy(tb, server), server.Bucket(tb)
				put(tb, server.Client, bucket, content)
				ended := make(chan struct{})
				tb.Cleanup(func() { close(ended) })
				return sourcetest.Fixture{
					Driver:  New(Options{Credentials: vault(tb, proxy.Endpoint, ""), Attempts: 2}),
					Ref:     sources.Ref{URL: "s3://" + bucket + objectURL, Credential: "lab"},
					Replace: func(content []byte) { put(tb, server.Client, bucket, content) },
					Cut: func(n int) {
						proxy.Body(func(r *http.Request, body io.Reader) io.Reader {
							var off int
							if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &off); err != nil {
								return body
							}
							return io.MultiReader(io.LimitReader(body, int64(max(n-off, 1))), broken{})
						})
					},
					Remove: func() {
						if _, err := server.Client.DeleteObject(tb.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(objectKey)}); err != nil {
							tb.Fatal(err)
						}
					},
					Hang: func() {
						proxy.Before(func(_ http.ResponseWriter, r *http.Request) bool {
							select {
							case <-ended:
							case <-r.Context().Done():
							}
							return false
						})
					},
				}
			})
		})
	}
}

// broken breaks the connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

func TestVersionIsPinned(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			server := s3test.Start(t, kind)
			bucket := server.Bucket(t)
			_, err := server.Client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket,
				VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
			if err != nil {
				t.Fatal(err)
			}
			one, two := sourcetest.Content(100_000, 1), sourcetest.Content(100_000, 2)
			first := put(t, server.Client, bucket, one)
			d := New(Options{Credentials: vault(t, server.Endpoint, "")})
			ref := sources.Ref{URL: "s3://" + bucket + objectURL, Credential: "lab"}
			s, err := d.Open(t.Context(), ref, nil)
			if err != nil {
				t.Fatal(err)
			}
			pin := s.Pin()
			if trace, _ := sources.TraceOf(s); trace.Version != first {
				t.Errorf("Trace().Version = %q, want %q", trace.Version, first)
			}
			put(t, server.Client, bucket, two)
			again, err := d.Open(t.Context(), ref, &pin)
			if err != nil {
				t.Fatalf("Open of the pinned version behind another: %v (%v)", err, errors.Unwrap(err))
			}
			named, err := d.Open(t.Context(), sources.Ref{URL: ref.URL + "?versionId=" + first, Credential: "lab"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			latest, err := d.Open(t.Context(), ref, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range []struct {
				s    sources.Source
				want []byte
			}{{s, one}, {again, one}, {named, one}, {latest, two}} {
				r, err := c.s.Stream(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("source %d: %d bytes, %v", i, len(got), err)
				}
				r.Close()
				c.s.Close()
			}
		})
	}
}

func TestWhereAndWho(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	bucket := server.Bucket(t)
	put(t, server.Client, bucket, []byte("content"))
	url := "s3://" + bucket + objectURL
	more := `wrong:
  type: s3
  endpoint: ` + server.Endpoint + `
  access_key: ` + s3test.AccessKey + `
  secret_key: canary-secret
elsewhere:
  type: s3
  endpoint: https://s3.example.com
  access_key: a
  secret_key: canary-secret
bucket:
  type: s3
  endpoint: ` + server.Endpoint + `
  buckets: [another]
  access_key: a
  secret_key: canary-secret
web:
  type: bearer
  hosts: [h]
  token: canary-secret
`
	guarded := httpsource.Dialer(httpsource.Options{})
	d := New(Options{Credentials: vault(t, server.Endpoint, more), Dial: guarded, Attempts: 1})
	for _, tt := range []struct {
		name, url, credential string
		want                  errcode.Code
	}{
		{"keys", url, "lab", ""},
		{"endpoint of the credential in the URL", url + "?endpoint=" + server.Endpoint, "lab", ""},
		{"another endpoint", url + "?endpoint=https://evil.example.com", "lab", errcode.CredentialNotAllowed},
		{"the endpoint without TLS", url + "?endpoint=http://s3.example.com", "elsewhere", errcode.CredentialNotAllowed},
		{"wrong key", url, "wrong", errcode.SourceAuth},
		{"another bucket", url, "bucket", errcode.CredentialNotAllowed},
		{"another type", url, "web", errcode.CredentialType},
		{"unknown", url, "nobody", errcode.CredentialUnknown},
		{"no such key", "s3://" + bucket + "/nothing", "lab", errcode.SourceNotFound},
		{"no such bucket", "s3://nothing-" + bucket[:20] + "/x", "lab", errcode.SourceNotFound},
		{"loopback by URL", url + "?endpoint=" + server.Endpoint, "", errcode.SourceAddrBlocked},
		{"metadata by URL", url + "?endpoint=http://169.254.169.254", "", errcode.SourceAddrBlocked},
	} {
		_, err := d.Open(t.Context(), sources.Ref{URL: tt.url, Credential: tt.credential}, nil)
		if errcode.Of(err) != tt.want {
			t.Errorf("%s: %v (%v), want %q", tt.name, err, errors.Unwrap(err), tt.want)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %v", err, errors.Unwrap(err)), "canary-secret") {
			t.Errorf("%s: the error tells the secret", tt.name)
		}
	}
	open := New(Options{Dial: (&net.Dialer{}).DialContext, Attempts: 1})
	_, err := open.Open(t.Context(), sources.Ref{URL: url + "?endpoint=" + server.Endpoint}, nil)
	if errcode.Of(err) != errcode.SourceAuth {
		t.Errorf("anonymous read of a private bucket: %v", err)
	}
	strict := New(Options{Dial: guarded, Attempts: 1, HTTPSOnly: true})
	for _, endpoint := range []string{"http://s3.example.com", "HTTP://s3.example.com"} {
		if _, err := strict.Open(t.Context(), sources.Ref{URL: url + "?endpoint=" + endpoint}, nil); errcode.Of(err) != errcode.SourceScheme {
			t.Errorf("%s where only https is taken: %v", endpoint, err)
		}
	}
	small := New(Options{Credentials: vault(t, server.Endpoint, ""), MaxBytes: 6})
	if _, err := small.Open(t.Context(), sources.Ref{URL: url, Credential: "lab"}, nil); errcode.Of(err) != errcode.SourceTooLarge {
		t.Errorf("too large a source: %v", err)
	}
}

func TestURL(t *testing.T) {
	for raw, want := range map[string]location{
		"s3://bucket/key":                           {bucket: "bucket", key: "key"},
		"s3://bucket/a/b%20c%23":                    {bucket: "bucket", key: "a/b c#"},
		"s3://my.bucket-1/k?versionId=a&region=r-1": {bucket: "my.bucket-1", key: "k", version: "a", region: "r-1"},
		"s3://bucket/k?endpoint=https://h:1":        {bucket: "bucket", key: "k", endpoint: "https://h:1"},
	} {
		if got, err := parse(raw); err != nil || got != want {
			t.Errorf("%s = %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"s3:bucket/key", "s3:///key", "s3://bucket", "s3://bucket/", "s3://a:b@bucket/key", "s3://Bucket/key", "s3://b/key", "s3://bucket/key#f",
		"s3://bucket/key?x=1", "s3://bucket/key?versionId=", "s3://bucket/key?region=a&region=b", "s3://bucket/key?region=a/b", "s3://bucket:80/key",
		"s3://bucket/k?endpoint=h", "s3://bucket/k?endpoint=https://u:p@h", "s3://bucket/k?endpoint=https://h/path", "s3://..bucket/k",
		"s3://bucket/" + strings.Repeat("k", 1025), "s3://bucket/a%0ab", "http://bucket/key",
	} {
		if _, err := parse(raw); errcode.Of(err) != errcode.SourceURLInvalid {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("s3://bucket/key?versionId=a&endpoint=https://h:1&region=r")
	f.Fuzz(func(t *testing.T, raw string) {
		if loc, err := parse(raw); err == nil && (loc.key == "" || !validBucket(loc.bucket)) {
			t.Fatalf("%q is %+v", raw, loc)
		}
	})
}
