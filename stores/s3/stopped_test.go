package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

// TestStoppedAnywhere ends a handle behind each of its requests in turn, as a
// crash would, and brings the upload to either end with another handle.
func TestStoppedAnywhere(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	want := stores.Digest{Algo: "sha256", Hex: "00", Size: 18 << 20}
	for _, operation := range []string{"commit", "abort", "delete"} {
		for _, ending := range []string{"commit", "abort", "reap"} {
			for n := 1; ; n++ {
				proxy := s3test.NewProxy(t, server)
				o := Options{Bucket: server.Bucket(t), Parallel: 1}
				s := open(t, proxy.Endpoint, o)
				key := stores.NewKey(uuid.NewString(), uuid.NewString())
				stopped := stopAfter(proxy, n)
				ctx, cancel := context.WithCancel(t.Context())
				id, err := live(ctx, s, key, operation, want, func() { stopped.armed.Store(true) })
				cancel()
				if !stopped.hit.Load() {
					if err != nil {
						t.Fatalf("%s without a stop: %v", operation, err)
					}
					t.Logf("%s has %d requests", operation, n-1)
					break
				}
				t.Run(fmt.Sprintf("%s stopped behind request %d then %s", operation, n, ending), func(t *testing.T) {
					end(t, server, open(t, server.Endpoint, o), key, id, operation, ending, want)
				})
			}
		}
	}
}

type stop struct {
	armed, hit atomic.Bool
	left       atomic.Int64
}

// stopAfter lets n requests pass that change something, once it is armed, and
// then none.
func stopAfter(p *s3test.Proxy, n int) *stop {
	st := &stop{}
	st.left.Store(int64(n))
	p.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !st.armed.Load() || r.Method == http.MethodGet || r.Method == http.MethodHead {
			return !st.hit.Load()
		}
		if st.left.Add(-1) < 0 {
			st.hit.Store(true)
			w.WriteHeader(http.StatusForbidden) // is not repeated
			return false
		}
		return true
	})
	return st
}

// live takes an upload through its life; arm is called where it becomes interesting.
func live(ctx context.Context, s *Store, key, operation string, want stores.Digest, arm func()) (string, error) {
	u, err := s.Begin(ctx, key, -1)
	if err != nil {
		return "", err
	}
	defer u.Close()
	if operation == "commit" {
		arm()
	}
	if _, err := u.WriteAt(content(0, want.Size), 0); err != nil {
		return u.ID(), err
	}
	if err := u.Checkpoint(ctx, []byte("all")); err != nil {
		return u.ID(), err
	}
	if operation == "abort" {
		arm()
		return u.ID(), u.Abort(ctx)
	}
	if err := u.Seal(ctx, want.Size); err != nil {
		return u.ID(), err
	}
	if err := u.Commit(ctx, want); err != nil || operation == "commit" {
		return u.ID(), err
	}
	arm()
	return u.ID(), s.Delete(ctx, key)
}

// end brings an interrupted upload to its end and looks for what is left.
func end(t *testing.T, server *s3test.Server, s *Store, key, id, operation, ending string, want stores.Digest) {
	ctx := t.Context()
	_, err := s.Stat(ctx, key)
	visible := err == nil
	if visible {
		wantContent(t, s, key, want.Size)
	}
	switch ending {
	case "reap":
		for info, err := range s.Uploads(ctx, time.Now().Add(time.Hour)) {
			if err != nil {
				t.Fatal(err)
			}
			u, err := s.Resume(ctx, info.ID)
			if errcode.Of(err) == errcode.UploadUnknown {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Abort(ctx); err != nil {
				t.Fatal(err)
			}
			u.Close()
		}
	default:
		u, err := s.Resume(ctx, id)
		if errcode.Of(err) == errcode.UploadUnknown && (operation == "delete" || operation == "abort" && !visible) {
			break
		}
		if err != nil {
			t.Fatalf("Resume: %v (%v)", err, errors.Unwrap(err))
		}
		defer u.Close()
		if ending == "commit" {
			if _, sealed := u.Sealed(); !sealed {
				if _, err := u.WriteAt(content(0, want.Size), 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := u.Seal(ctx, want.Size); err != nil {
				t.Fatalf("Seal: %v (%v)", err, errors.Unwrap(err))
			}
			if err := u.Commit(ctx, want); err != nil {
				t.Fatalf("Commit: %v (%v)", err, errors.Unwrap(err))
			}
			wantContent(t, s, key, want.Size)
			visible = true
		}
		if err := u.Abort(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(ctx, key); visible && operation != "delete" && err != nil {
		t.Errorf("the object is gone: %v", err)
	} else if operation == "delete" && err == nil { // that it is to go is kept
		t.Errorf("the object is still there")
	}
	if err := s.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, server, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
