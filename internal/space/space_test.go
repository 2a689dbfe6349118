package space

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// roomy is a file store of which the test says how much is free.
type roomy struct {
	*fs.Store
	free int64
}

func (r *roomy) Free(context.Context) (int64, error) { return r.free, nil }

func newKeeper(t *testing.T, tasks ...string) (*Keeper, *roomy) {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	cat := metadata.New(repo)
	for _, id := range tasks {
		if _, err := cat.Accept(t.Context(), metadata.NewImport{Task: metadata.Task{ID: id, Owner: "p"}, Image: metadata.Image{ID: "image-" + id}}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := fs.Open(filepath.Join(t.TempDir(), "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	r := &roomy{Store: st}
	return &Keeper{Catalogue: cat, Stores: map[string]stores.Store{"main": r}, StagingDir: t.TempDir(), Host: "here"}, r
}

func want(t *testing.T, err error, code errcode.Code) {
	t.Helper()
	if errcode.Of(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

// What is written is counted once: as missing from what is free.
func TestStagingCountsWhatIsWrittenOnce(t *testing.T) {
	k, _ := newKeeper(t, "a", "b")
	free := int64(10 << 20)
	k.Free = func(string) (int64, error) { return free, nil }
	claim := func(task string, n int64) error {
		return k.Claim(t.Context(), pipeline.Claim{TaskID: task, Kind: pipeline.ClaimStage, Part: "source", Bytes: n, Room: n})
	}
	want(t, claim("a", 6<<20), "")
	want(t, claim("b", 5<<20), errcode.NoSpace)
	want(t, claim("b", 4<<20), "")
	if err := os.Mkdir(filepath.Join(k.StagingDir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.StagingDir, "a", "source"), bytes.Repeat([]byte{1}, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	free = 4<<20 + 4096 // a file system keeps books in blocks
	want(t, claim("b", 4<<20), "")
	want(t, claim("b", 5<<20), errcode.NoSpace)
	want(t, claim("a", 6<<20), "")
	want(t, claim("nobody", 1), errcode.NotFound)
	other := &Keeper{Catalogue: k.Catalogue, Stores: k.Stores, StagingDir: k.StagingDir, Host: "there", Free: k.Free}
	free = 1 << 20
	want(t, other.Claim(t.Context(), pipeline.Claim{TaskID: "a", Kind: pipeline.ClaimStage, Part: "member-0", Bytes: 1 << 20, Room: 1 << 20}), "")
}

func TestStoreCountsUploadsAndObjects(t *testing.T) {
	k, st := newKeeper(t, "a", "b")
	st.free = 10 << 20
	keyA, keyB := stores.NewKey("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"), stores.NewKey("33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444")
	claim := func(task, key string, n int64) error {
		return k.Claim(t.Context(), pipeline.Claim{TaskID: task, Kind: pipeline.ClaimStore, Part: "i", Store: "main", Key: key, Bytes: n, Room: n})
	}
	want(t, claim("a", keyA, 6<<20), "")
	want(t, claim("b", keyB, 5<<20), errcode.NoSpace)
	up, err := st.Begin(t.Context(), keyA, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.WriteAt(bytes.Repeat([]byte{1}, 6<<20), 0); err != nil {
		t.Fatal(err)
	}
	st.free = 4 << 20
	want(t, claim("b", keyB, 4<<20), "")
	want(t, claim("b", keyB, 5<<20), errcode.NoSpace)
	if err := up.Seal(t.Context(), 6<<20); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(t.Context(), stores.Digest{Algo: "sha256", Size: 6 << 20}); err != nil {
		t.Fatal(err)
	}
	up.Close()
	st.free = 5 << 20 // committed: its task has still to end
	want(t, claim("b", keyB, 5<<20), "")
	k.Stores["main"] = struct{ stores.Store }{st} // one that cannot tell
	want(t, claim("b", keyB, 1<<50), "")
}
