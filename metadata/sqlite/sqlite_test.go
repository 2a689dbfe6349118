package sqlite

import (
	"path/filepath"
	"testing"

	"ingest/metadata"
	"ingest/metadata/repotest"
)

func open(t testing.TB, path string) metadata.Repository {
	t.Helper()
	repo, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func TestFile(t *testing.T) {
	repotest.Run(t, func(t testing.TB) metadata.Repository {
		return open(t, filepath.Join(t.TempDir(), "catalogue.db"))
	})
}

func TestMemory(t *testing.T) {
	repotest.Run(t, func(t testing.TB) metadata.Repository { return open(t, Memory) })
}

func TestPersistence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	repotest.Persistence(t, func(t testing.TB) metadata.Repository { return open(t, path) })
}

func TestShared(t *testing.T) {
	repotest.Shared(t, func(t testing.TB) func() (metadata.Repository, error) {
		path := filepath.Join(t.TempDir(), "catalogue.db")
		return func() (metadata.Repository, error) { return Open(path) }
	})
}
