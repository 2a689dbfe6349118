package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3client"
	"ingest/internal/s3test"
	"ingest/stores"
)

// TestOneOfManyCommits lets handles on uploads of one key commit at once.
func TestOneOfManyCommits(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		s := open(t, server.Endpoint, Options{Bucket: server.Bucket(t)})
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		var wins atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			u, err := s.Begin(t.Context(), key, 3)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Seal(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				err := u.Commit(t.Context(), stores.Digest{Size: 3})
				if err == nil {
					wins.Add(1)
				} else if errcode.Of(err) != errcode.Conflict {
					t.Errorf("%s: Commit: %v (%v)", kind.Name, err, errors.Unwrap(err))
				}
				if err := u.Abort(t.Context()); err != nil {
					t.Errorf("%s: Abort: %v", kind.Name, err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Errorf("%s: %d of 8 commits succeed", kind.Name, wins.Load())
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, server, s); len(left) > 0 {
			t.Errorf("%s: left behind: %q", kind.Name, left)
		}
	}
}

// TestNoConditions meets servers that refuse conditional writes, or take no
// notice of them.
func TestNoConditions(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	for name, before := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"refused": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" || r.Method != http.MethodPut {
				return true
			}
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code></Error>`)
			return false
		},
		"unnoticed": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" || r.Method != http.MethodPut {
				return true
			}
			b, _ := io.ReadAll(r.Body)
			bucket, key, _ := strings.Cut(r.URL.Path[1:], "/")
			out, err := server.Client.PutObject(r.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(b)})
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			w.Header().Set("ETag", *out.ETag)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := s3test.NewProxy(t, server)
			proxy.Before(before)
			bucket := server.Bucket(t)
			key := stores.NewKey(uuid.NewString(), uuid.NewString())
			_, err := open(t, proxy.Endpoint, Options{Bucket: bucket}).Begin(t.Context(), key, 1)
			if errcode.Of(err) != errcode.StoreUnsuitable {
				t.Fatalf("Begin: %v (%v), want %s", err, errors.Unwrap(err), errcode.StoreUnsuitable)
			}
			s := open(t, proxy.Endpoint, Options{Bucket: bucket, OneWriter: true})
			u, err := s.Begin(t.Context(), key, 1)
			if err != nil {
				t.Fatal(err)
			}
			young, err := s.Resume(t.Context(), u.ID())
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Checkpoint(t.Context(), nil); errcode.Of(err) != errcode.UploadFenced {
				t.Errorf("Checkpoint of a fenced handle: %v", err)
			}
			if err := errors.Join(young.Seal(t.Context(), 1), young.Commit(t.Context(), stores.Digest{Size: 1}), s.Delete(t.Context(), key)); err != nil {
				t.Error(err)
			}
			if left := leftovers(t, server, s); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// openTLS opens a store behind a proxy that is spoken to by https.
func openTLS(t *testing.T, p *s3test.Proxy, o Options) *Store {
	t.Helper()
	c, err := s3client.New(t.Context(), s3client.Options{
		Endpoint: p.Endpoint, RootCAs: p.RootCAs, Keys: s3client.Keys{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New("test", c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTLS stores over https, where bodies are checked and not signed, and has a part
// damaged.
func TestTLS(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		proxy := s3test.NewTLSProxy(t, server)
		for _, sum := range []string{"crc64nvme", "crc32c", "none"} {
			s := openTLS(t, proxy, Options{Bucket: server.Bucket(t), Checksum: sum})
			for _, size := range []int64{1 << 20, 9 << 20} { // in one request, and in parts
				key := stores.NewKey(uuid.NewString(), uuid.NewString())
				u, err := s.Begin(t.Context(), key, size)
				if err != nil {
					t.Fatalf("%s, %s: %v (%v)", kind.Name, sum, err, errors.Unwrap(err))
				}
				_, err = u.WriteAt(content(0, size), 0)
				if err = errors.Join(err, u.Checkpoint(t.Context(), []byte("x")), u.Seal(t.Context(), size), u.Commit(t.Context(), stores.Digest{Size: size})); err != nil {
					t.Fatalf("%s, %s, %d bytes: %v", kind.Name, sum, size, err)
				}
				wantContent(t, s, key, size)
			}
		}
		wantDamage(t, kind, proxy, openTLS(t, proxy, Options{Bucket: server.Bucket(t)}))
	}
}

// TestDamageIsRefused has a part arrive other than it was sent.
func TestDamageIsRefused(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		proxy := s3test.NewProxy(t, server)
		wantDamage(t, kind, proxy, open(t, proxy.Endpoint, Options{Bucket: server.Bucket(t)}))
	}
}

func wantDamage(t *testing.T, kind s3test.Kind, proxy *s3test.Proxy, s *Store) {
	t.Helper()
	proxy.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.RawQuery, "partNumber") {
			r.Body = &flipped{r.Body}
		}
		return true
	})
	u, err := s.Begin(t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), -1)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = u.WriteAt(content(0, 8<<20), 0)
	if err := u.Seal(t.Context(), 9<<20); errcode.Of(err) != errcode.StoreUnavailable {
		t.Errorf("%s: Seal of damaged parts: %v", kind.Name, err)
	}
	proxy.Before(nil)
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("%s: Abort: %v", kind.Name, err)
	}
}

type flipped struct{ io.ReadCloser }

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}
