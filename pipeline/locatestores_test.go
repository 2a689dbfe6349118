package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/pipeline"
	httpsource "ingest/sources/http"
	"ingest/stores"
	httpstore "ingest/stores/http"
	"ingest/stores/s3"
)

// A lot is a store into which others put objects, by names below it.
type lot struct {
	store string
	base  string // URL with a slash at its end
	put   func(name string, p []byte)
	has   func(name string) bool
}

func bucketLot(t *testing.T, p *pipeline.Pipeline) lot {
	t.Helper()
	server := s3test.Start(t, s3test.Versity())
	bucket := server.Bucket(t)
	store, err := s3.New("cloud", server.Client, s3.Options{Bucket: bucket, Prefix: "images/"})
	if err != nil {
		t.Fatal(err)
	}
	p.Stores["cloud"] = store
	return lot{"cloud", "s3://" + bucket + "/images/",
		func(name string, body []byte) {
			if _, err := server.Client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("images/" + name), Body: bytes.NewReader(body)}); err != nil {
				t.Fatal(err)
			}
		},
		func(name string) bool {
			_, err := server.Client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &bucket, Key: aws.String("images/" + name)})
			return err == nil
		}}
}

func webLot(t *testing.T, p *pipeline.Pipeline) lot {
	t.Helper()
	dir := t.TempDir()
	srv := httptest.NewServer(http.StripPrefix("/images", http.FileServer(http.Dir(dir))))
	t.Cleanup(srv.Close)
	client := httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxRedirects: -1, Retries: -1})
	p.Stores["web"] = httpstore.New("web", srv.URL+"/images", "", client)
	return lot{"web", srv.URL + "/images/",
		func(name string, body []byte) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, body, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }}
}

// Objects of others are found by their URLs, checked and hashed in a bucket and on a web
// server too, and nothing else is.
func TestLocateInOtherStores(t *testing.T) {
	for name, make := range map[string]func(*testing.T, *pipeline.Pipeline) lot{"a bucket": bucketLot, "a web server": webLot} {
		t.Run(name, func(t *testing.T) {
			p := several(t)
			l, data := make(t, p), sparse(t)
			const key = "external/golden/disk@1.raw"
			l.put(key, data)
			l.put("outside.raw", data)
			sum := sha256.Sum256(data)
			of := func(url string) contract.LocateParams {
				out := locateOf(url, "raw")
				out.Store = l.store
				return out
			}
			if store, at, ok := p.FindLocation(l.base + key); !ok || store != l.store || at != key {
				t.Fatalf("found %s %s, %v", store, at, ok)
			}
			ask := of(l.base + key)
			ask.Source.Checksum = "sha256:" + hex.EncodeToString(sum[:])
			got, _, err := p.Locate(t.Context(), ask, nil, nil)
			if err != nil || got.Stored.Key != key || got.Stored.Store != l.store || got.Fetched.Size != int64(len(data)) || got.Checksummed.HashValue != hex.EncodeToString(sum[:]) {
				t.Errorf("located %+v, %v", got, err)
			}
			if url, err := p.LocationURL(t.Context(), l.store, key); err != nil || url != l.base+key {
				t.Errorf("it lies at %s, %v", url, err)
			}
			ask.Source.Checksum = "sha256:" + strings.Repeat("0", 64)
			if _, _, err := p.Locate(t.Context(), ask, nil, nil); errcode.Of(err) != errcode.ChecksumMismatch {
				t.Errorf("another digest: %v", err)
			}
			for _, url := range []string{l.base + "external/none", l.base + "outside.raw", l.base + "external/../outside.raw",
				l.base + "external/golden/disk@1.raw?x=y", strings.Replace(l.base, "://", "://u:p@", 1) + key, "s3://another/images/" + key, "http://127.0.0.1:1/images/" + key} {
				if _, _, err := p.Locate(t.Context(), of(url), nil, nil); errcode.Of(err) != errcode.NotFound {
					t.Errorf("%s: %v", url, err)
				}
			}
			want := stores.Digest{Algo: "sha256", Hex: hex.EncodeToString(sum[:]), Size: int64(len(data))}
			if err := p.SameBytes(t.Context(), l.store, key, want); err != nil {
				t.Errorf("the same bytes: %v", err)
			}
			other := bytes.Clone(data)
			other[len(other)/2] ^= 1
			l.put(key, other)
			if err := p.SameBytes(t.Context(), l.store, key, want); errcode.Of(err) != errcode.VerifyMismatch {
				t.Errorf("other bytes: %v", err)
			}
			// What others have put there outlives the image.
			if err := p.Stores[l.store].Delete(t.Context(), key); err != nil && errcode.Of(err) != errcode.Conflict {
				t.Errorf("deleted: %v", err)
			}
			if !l.has(key) {
				t.Error("the object of another is gone")
			}
		})
	}
}

// An object that ingest has stored in a bucket is named by where its bytes lie.
func TestLocateAnOwnObjectInABucket(t *testing.T) {
	p := several(t)
	l, data := bucketLot(t, p), sparse(t)
	own := keepObject(t, p.Stores["cloud"], data)
	url, err := p.LocationURL(t.Context(), "cloud", own.Key)
	if err != nil || !strings.HasPrefix(url, l.base) {
		t.Fatalf("it lies at %s, %v", url, err)
	}
	ask := locateOf(url, "raw")
	ask.Store = "cloud"
	got, _, err := p.Locate(t.Context(), ask, nil, nil)
	if sum := sha256.Sum256(data); err != nil || got.Stored.Key != own.Key || got.Checksummed.HashValue != hex.EncodeToString(sum[:]) {
		t.Errorf("located %+v, %v", got, err)
	}
	if err := p.Stores["cloud"].Delete(t.Context(), own.Key); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Locate(t.Context(), ask, nil, nil); errcode.Of(err) != errcode.NotFound {
		t.Errorf("of an object that is gone: %v", err)
	}
}
