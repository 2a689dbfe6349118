package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

var threeBytes = stores.Digest{Algo: "sha256", Hex: "00", Size: 3}

// meanwhile runs fn once, before the first request passes that has one of the methods
// (apart by a space) and whose path holds the word.
func meanwhile(p *s3test.Proxy, methods, word string, fn func()) {
	var once sync.Once
	p.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(methods, r.Method) && strings.Contains(r.URL.Path, word) {
			once.Do(fn)
		}
		return true
	})
}

// sealed begins an upload of three zeros and seals it.
func sealed(t *testing.T, s *Store, key string) *upload {
	t.Helper()
	u, err := s.Begin(t.Context(), key, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Seal(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	return u.(*upload)
}

// claimed seals an upload whose commit was stopped behind its n-th change.
func claimed(t *testing.T, server *s3test.Server, o Options, key string, n int) string {
	t.Helper()
	proxy := s3test.NewProxy(t, server)
	u := sealed(t, open(t, proxy.Endpoint, o), key)
	stopAfter(proxy, n).armed.Store(true)
	if err := u.Commit(t.Context(), threeBytes); err == nil {
		t.Fatal("the commit was not stopped")
	}
	return u.ID()
}

func wantNothing(t *testing.T, server *s3test.Server, s *Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, server, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestAbortLeavesTheClaimOfAnother aborts an upload that has claimed its key, and
// commits another one between the look at the claim and its removal.
func TestAbortLeavesTheClaimOfAnother(t *testing.T) {
	for _, kind := range s3test.Kinds() { // MinIO takes no notice of If-Match on DELETE
		server := s3test.Start(t, kind)
		o := Options{Bucket: server.Bucket(t)}
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		id := claimed(t, server, o, key, 1)
		proxy := s3test.NewProxy(t, server)
		direct := open(t, server.Endpoint, o)
		u, err := open(t, proxy.Endpoint, o).Resume(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		met := false
		meanwhile(proxy, "DELETE PUT", objectsName, func() {
			met = true
			if err := sealed(t, direct, key).Commit(t.Context(), threeBytes); err != nil {
				t.Errorf("%s: %v", kind.Name, err)
			}
		})
		if err := u.Abort(t.Context()); err != nil {
			t.Errorf("%s: Abort: %v (%v)", kind.Name, err, errors.Unwrap(err))
		}
		if _, err := direct.Stat(t.Context(), key); err != nil || !met {
			t.Errorf("%s: the other object is gone: %v; there was one: %v", kind.Name, err, met)
		}
		wantNothing(t, server, direct, key)
	}
}

// TestFoundWhileItIsPublished looks for an object while its claim takes the record
// over from the manifest.
func TestFoundWhileItIsPublished(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	o := Options{Bucket: server.Bucket(t)}
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	id := claimed(t, server, o, key, 2)
	proxy := s3test.NewProxy(t, server)
	direct := open(t, server.Endpoint, o)
	meanwhile(proxy, http.MethodGet, uploadsName, func() {
		u, err := direct.Resume(t.Context(), id)
		if err != nil {
			t.Error(err)
			return
		}
		u.Close()
	})
	if info, err := open(t, proxy.Endpoint, o).Stat(t.Context(), key); err != nil || info.Digest != threeBytes {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	wantNothing(t, server, direct, key)
}

// TestDeletedWhileItIsPublished deletes an object that is committed and whose claim
// does not have the record yet: it stays deleted.
func TestDeletedWhileItIsPublished(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		server := s3test.Start(t, s3test.Versity())
		o := Options{Bucket: server.Bucket(t)}
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		id := claimed(t, server, o, key, 2)
		proxy := s3test.NewProxy(t, server)
		direct := open(t, server.Endpoint, o)
		word := objectsName
		if method == http.MethodDelete {
			word = uploadsName
		}
		meanwhile(proxy, method, word, func() {
			if err := direct.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
		u, err := open(t, proxy.Endpoint, o).Resume(t.Context(), id)
		if err == nil && method != http.MethodDelete {
			t.Errorf("%s: Resume finds a deleted object", method)
		}
		if err == nil {
			u.Close()
		}
		if _, err := direct.Stat(t.Context(), key); errcode.Of(err) != errcode.NotFound {
			t.Errorf("%s: Stat of a deleted object: %v", method, err)
		}
		if left := leftovers(t, server, direct); len(left) > 0 {
			t.Errorf("%s: left behind: %q", method, left)
		}
	}
}

// TestLostAnswer has the service do what it is asked, and the caller give up
// before the answer. The same handle goes on.
func TestLostAnswer(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	o := Options{Bucket: server.Bucket(t)}
	steps := map[string]func(ctx context.Context, u stores.Upload) error{
		"Checkpoint": func(ctx context.Context, u stores.Upload) error { return u.Checkpoint(ctx, []byte("note")) },
		"Seal":       func(ctx context.Context, u stores.Upload) error { return u.Seal(ctx, 3) },
		"Commit": func(ctx context.Context, u stores.Upload) error {
			return errors.Join(u.Seal(context.WithoutCancel(ctx), 3), u.Commit(ctx, threeBytes))
		},
	}
	for name, step := range steps {
		for _, abort := range []bool{false, true} {
			proxy := s3test.NewProxy(t, server)
			s := open(t, proxy.Endpoint, o)
			key := stores.NewKey(uuid.NewString(), uuid.NewString())
			u, err := s.Begin(t.Context(), key, 3)
			if err != nil {
				t.Fatal(err)
			}
			state := map[string]string{"Checkpoint": stateOpen, "Seal": stateSealed, "Commit": stateCommitted}[name]
			ctx, cancel := context.WithCancel(t.Context())
			loseAnswer(proxy, server, state, cancel)
			if err := step(ctx, u); !errors.Is(err, context.Canceled) {
				t.Errorf("%s without an answer: %v", name, err)
			}
			proxy.Before(nil)
			if !abort {
				if err := step(t.Context(), u); err != nil {
					t.Errorf("%s again: %v", name, err)
				}
				if err := errors.Join(u.Seal(t.Context(), 3), u.Commit(t.Context(), threeBytes)); err != nil {
					t.Errorf("Commit behind %s: %v", name, err)
				}
			}
			if err := u.Abort(t.Context()); err != nil {
				t.Errorf("Abort behind %s: %v", name, err)
			}
			wantNothing(t, server, s, key)
		}
	}
}

// loseAnswer writes the next manifest of the state for the caller, who does not
// hear of it.
func loseAnswer(p *s3test.Proxy, server *s3test.Server, state string, gone func()) {
	p.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, uploadsName) {
			return true
		}
		b, _ := io.ReadAll(r.Body)
		if !bytes.Contains(b, []byte(`"state":"`+state+`"`)) {
			r.Body = io.NopCloser(bytes.NewReader(b))
			return true
		}
		bucket, key, _ := strings.Cut(r.URL.Path[1:], "/")
		_, _ = server.Client.PutObject(context.Background(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(b)})
		gone()
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
}
