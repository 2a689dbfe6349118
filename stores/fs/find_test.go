package fs

import (
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
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
