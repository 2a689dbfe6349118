package pipeline_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/contract"
	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	s3source "ingest/sources/s3"
)

// A rack is a folder of a source, in which files come and go.
type rack struct {
	set    sources.Set
	folder string // URL with a slash at its end
	cred   string
	put    func(name, text string)
	remove func(name string)
}

func folderRack(t *testing.T) rack {
	t.Helper()
	dir := t.TempDir()
	at := time.Unix(1_700_000_000, 0)
	return rack{
		set: sources.Set{file.New([]string{dir})}, folder: dir + "/rel/",
		put: func(name, text string) {
			path := filepath.Join(dir, "rel", name)
			err := os.MkdirAll(filepath.Dir(path), 0o700)
			if err == nil {
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if at = at.Add(time.Minute); err == nil {
				err = os.Chtimes(path, at, at)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		remove: func(name string) {
			if err := os.Remove(filepath.Join(dir, "rel", name)); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func bucketRack(t *testing.T) rack {
	t.Helper()
	server := s3test.Start(t, s3test.Versity())
	bucket := server.Bucket(t)
	path := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", server.Endpoint, s3test.AccessKey, s3test.SecretKey)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vault, err := credentials.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := time.Time{}
	return rack{
		set: sources.Set{s3source.New(s3source.Options{Credentials: vault})}, folder: "s3://" + bucket + "/rel/", cred: "lab",
		put: func(name, text string) {
			time.Sleep(time.Until(last.Add(1100 * time.Millisecond))) // the dates of a bucket have seconds
			if _, err := server.Client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("rel/" + name), Body: bytes.NewReader([]byte(text))}); err != nil {
				t.Fatal(err)
			}
			last = time.Now()
		},
		remove: func(name string) {
			if _, err := server.Client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("rel/" + name)}); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// The newest of the files that fit a pattern is found in folders and in buckets, and can be
// opened by what is said of it, whatever is in its name.
func TestLookAtPatterns(t *testing.T) {
	for name, make := range map[string]func(*testing.T) rack{"a folder": folderRack, "a bucket": bucketRack} {
		t.Run(name, func(t *testing.T) {
			r := make(t)
			p := &pipeline.Pipeline{Sources: r.set}
			look := func(pattern, order string) (contract.Looked, error) {
				return p.LookAt(t.Context(), contract.LookParams{Check: contract.CheckAuto, Order: order,
					Source: contract.SourceSpec{URL: r.folder + pattern, Credential: r.cred}})
			}
			newest := func(pattern, order, want string, matches int) contract.Looked {
				t.Helper()
				got, err := look(pattern, order)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasSuffix(got.URL, want) || got.Matches != matches {
					t.Errorf("%s by %s is %s of %d, want %s of %d", pattern, order, got.URL, got.Matches, want, matches)
				}
				src, err := p.Sources.Open(t.Context(), sources.Ref{URL: got.URL, Credential: r.cred}, nil)
				if err != nil {
					t.Fatalf("%s cannot be opened: %v", got.URL, err)
				}
				if n := src.Pin().Size; n != got.Version.Size {
					t.Errorf("%s has %d bytes, not %d", got.URL, n, got.Version.Size)
				}
				src.Close()
				return got
			}
			if _, err := look("golden-*.img", contract.OrderVersion); errcode.Of(err) != errcode.SourceNotFound {
				t.Errorf("an empty folder: %v", err)
			}
			for i, name := range []string{"golden-1.10.img", "golden-1.9.img", "golden-1.10~rc1.img", "silver-9.img", "golden-3.img.part", "golden-0/golden-9.img", "odd #1%+ü 1.img"} {
				r.put(name, strings.Repeat("x", i+1))
			}
			first := newest("golden-*.img", contract.OrderVersion, "golden-1.10.img", 3)
			newest("golden-*.img", contract.OrderLastModified, "golden-1.10~rc1.img", 3)
			newest("*-9.img", contract.OrderVersion, "silver-9.img", 1)
			newest("odd*.img", contract.OrderVersion, "", 1)
			if again := newest("golden-*.img", contract.OrderVersion, "golden-1.10.img", 3); again.Version != first.Version {
				t.Errorf("the same file has another version: %+v, %+v", first.Version, again.Version)
			}
			r.put("golden-1.10.img", "other")
			if other := newest("golden-*.img", contract.OrderVersion, "golden-1.10.img", 3); other.Version == first.Version {
				t.Errorf("other bytes have the same version: %+v", other.Version)
			}
			newest("golden-*.img", contract.OrderLastModified, "golden-1.10.img", 3)
			r.remove("golden-1.10.img")
			newest("golden-*.img", contract.OrderVersion, "golden-1.10~rc1.img", 2)
		})
	}
}
