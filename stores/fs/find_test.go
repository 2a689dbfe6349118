package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

func TestFindFollowsAnUploadThroughItsLife(t *testing.T) {
	s, err := Open(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	if _, err := s.Find(ctx, key); errcode.Of(err) != errcode.UploadUnknown {
		t.Fatalf("before Begin: %v", err)
	}
	find := func(want string) {
		t.Helper()
		if got, err := s.Find(ctx, key); err != nil || got != want {
			t.Fatalf("Find = %q, %v, want %q", got, err, want)
		}
	}
	up, err := s.Begin(ctx, key, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	find(up.ID())
	if err := up.Seal(ctx, 512); err != nil {
		t.Fatal(err)
	}
	find(up.ID())
	if err := up.Commit(ctx, stores.Digest{Algo: "sha256", Size: 512}); err != nil {
		t.Fatal(err)
	}
	find(up.ID())
	if err := s.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(ctx, key); errcode.Of(err) != errcode.UploadUnknown {
		t.Fatalf("after Delete: %v", err)
	}
	if other, err := s.Begin(ctx, key, -1); err != nil {
		t.Fatal(err)
	} else if err := other.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(ctx, key); errcode.Of(err) != errcode.UploadUnknown {
		t.Fatalf("after Abort: %v", err)
	}
}

// TestFindRemovesWhatABeginLeft cuts a Begin off at each of its steps, by what stands in its
// folder then.
func TestFindRemovesWhatABeginLeft(t *testing.T) {
	for _, left := range [][]string{nil, {dataName}, {dataName, manifestName + fsutil.TempSuffix}} {
		s := open(t, t.TempDir())
		half := s.uploadDir(stores.NewID(testKey))
		if err := os.Mkdir(half, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			if err := os.WriteFile(filepath.Join(half, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		whole, err := s.Begin(t.Context(), testKey, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		if got, err := s.Find(t.Context(), testKey); err != nil || got != whole.ID() {
			t.Errorf("%v: Find = %q, %v, want %q", left, got, err, whole.ID())
		}
		if _, err := os.Stat(half); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%v: what was left is there: %v", left, err)
		}
	}
}

// An upload that is just being begun is waited for, and found.
func TestFindWaitsForABegin(t *testing.T) {
	s := open(t, t.TempDir())
	id := stores.NewID(testKey)
	if err := os.Mkdir(s.uploadDir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open(s.uploadDir(id))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	unlock, err := fsutil.Lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 1)
	go func() {
		got, err := s.Find(t.Context(), testKey)
		if err == nil && got != id {
			err = fmt.Errorf("found %q, want %q", got, id)
		}
		found <- err
	}()
	select {
	case err := <-found:
		t.Fatalf("Find did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.WriteFile(filepath.Join(s.uploadDir(id), manifestName), []byte(`{"generation":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-found; err != nil {
		t.Error(err)
	}
}
