package fs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/stores"
)

func TestBeginFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.raw")
	u, err := BeginFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if base := filepath.Base(u.ID()); !strings.HasPrefix(base, ".disk.raw.ingest-") || filepath.Dir(u.ID()) != filepath.Dir(path) {
		t.Errorf("the bytes are collected in %s", u.ID())
	}
	if _, err := u.WriteAt([]byte("abc"), 5); err != nil {
		t.Fatal(err)
	}
	want := stores.Digest{Size: 10}
	if got := errcode.Of(u.Commit(t.Context(), want)); got != errcode.Conflict {
		t.Errorf("Commit before Seal: %s", got)
	}
	if err := u.Checkpoint(t.Context(), []byte("x")); err != nil || u.Note() != nil {
		t.Errorf("Checkpoint = %v, Note = %q", err, u.Note())
	}
	if err := u.Seal(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if got := errcode.Of(u.Commit(t.Context(), stores.Digest{Size: 9})); got != errcode.VerifyMismatch {
		t.Errorf("Commit of another size: %s", got)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file is visible before the commit")
	}
	for range 2 {
		if err := u.Commit(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, path, "\x00\x00\x00\x00\x00abc\x00\x00")
}

func TestBeginFileExists(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk.raw")
	early, err := BeginFile(path, false) // before the file is there
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Seal(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := errcode.Of(early.Commit(t.Context(), stores.Digest{})); got != errcode.DestinationExist {
		t.Errorf("Commit over a file that came meanwhile: %s", got)
	}
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, path, "old")
	if _, err := BeginFile(path, false); errcode.Of(err) != errcode.DestinationExist {
		t.Errorf("BeginFile over a file: %v", err)
	}
	for _, keep := range []bool{true, false} {
		u, err := BeginFile(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.WriteAt([]byte("new"), 0); err != nil {
			t.Fatal(err)
		}
		if err := u.Seal(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if keep {
			err = u.Abort(t.Context())
			wantFiles(t, path, "old")
		} else {
			err = u.Commit(t.Context(), stores.Digest{Size: 3})
			wantFiles(t, path, "new")
		}
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
}

func TestBeginFileRefusals(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]errcode.Code{
		dir:                               errcode.DestinationExist,
		"/dev/null":                       errcode.DestinationExist,
		filepath.Join(dir, "no", "where"): errcode.NotFound,
	} {
		if _, err := BeginFile(path, true); errcode.Of(err) != want {
			t.Errorf("BeginFile(%s): %v, want %s", path, err, want)
		}
	}
}

// wantFiles checks that path is the only file of its folder and holds want.
func wantFiles(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v, %v; want one file", names, err)
	}
}

// TestLongestName makes a file of the longest name that there is.
func TestLongestName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("ö", 127))
	u, err := BeginFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := u.Seal(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), stores.Digest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
