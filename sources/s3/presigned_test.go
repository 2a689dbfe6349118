package s3

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

// TestPresigned reads by a presigned URL, which is a credential, as from a web server:
// at random, pinned, and not once it has expired or is for another object.
func TestPresigned(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		bucket := server.Bucket(t)
		content := sourcetest.Content(300_000, 4)
		put(t, server.Client, bucket, content)
		sign := func(valid time.Duration) string {
			r, err := s3.NewPresignClient(server.Client).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(objectKey)}, s3.WithPresignExpires(valid))
			if err != nil {
				t.Fatal(err)
			}
			return r.URL
		}
		path := filepath.Join(t.TempDir(), "credentials")
		text := "good: {type: url, url: \"" + sign(time.Hour) + "\"}\nshort: {type: url, url: \"" + sign(time.Second) + "\"}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := credentials.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := httpsource.New(httpsource.Options{Credentials: v, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Retries: -1})
		shown, _, _ := strings.Cut(sign(time.Hour), "?")
		src, err := d.Open(t.Context(), sources.Ref{URL: shown, Credential: "good"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", kind.Name, err)
		}
		pin := src.Pin()
		if pin.Size != int64(len(content)) || !pin.Strong || !pin.Random || strings.Contains(pin.URL, "Signature") {
			t.Errorf("%s: pin %+v", kind.Name, pin)
		}
		r, err := src.ReaderAt(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, pin.Size))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", kind.Name, len(got), err)
		}
		src.Close()
		if _, err := d.Open(t.Context(), sources.Ref{URL: strings.Replace(shown, "folder", "another", 1), Credential: "good"}, nil); errcode.Of(err) != errcode.CredentialNotAllowed {
			t.Errorf("%s: another object: %v", kind.Name, err)
		}
		put(t, server.Client, bucket, content[1:])
		if _, err := d.Open(t.Context(), sources.Ref{URL: shown, Credential: "good"}, &pin); errcode.Of(err) != errcode.SourceChanged {
			t.Errorf("%s: another version: %v", kind.Name, err)
		}
		time.Sleep(1500 * time.Millisecond) // the service's clock counts seconds
		if _, err := d.Open(t.Context(), sources.Ref{URL: shown, Credential: "short"}, nil); errcode.Of(err) != errcode.SourceAuth {
			t.Errorf("%s: expired: %v", kind.Name, err)
		}
	}
}
