package postgres

import (
	"os"
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func open(t testing.TB, url string) metadata.Repository {
	t.Helper()
	repo, err := Open(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func TestSuite(t *testing.T) {
	repotest.Run(t, func(t testing.TB) metadata.Repository { return open(t, dbtest.Postgres(t)) })
}

func TestPersistence(t *testing.T) {
	url := dbtest.Postgres(t)
	repotest.Persistence(t, func(t testing.TB) metadata.Repository { return open(t, url) })
}

func TestShared(t *testing.T) {
	repotest.Shared(t, func(t testing.TB) func() (metadata.Repository, error) {
		url := dbtest.Postgres(t)
		return func() (metadata.Repository, error) { return Open(t.Context(), url, "") }
	})
}

func TestHeld(t *testing.T) {
	url := dbtest.Postgres(t)
	repotest.Held(t, func() (metadata.Repository, error) { return Open(t.Context(), url, "") })
}
