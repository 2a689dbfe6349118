package mysql

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
	repotest.Run(t, func(t testing.TB) metadata.Repository { return open(t, dbtest.MariaDB(t)) })
}

func TestPersistence(t *testing.T) {
	url := dbtest.MariaDB(t)
	repotest.Persistence(t, func(t testing.TB) metadata.Repository { return open(t, url) })
}

func TestShared(t *testing.T) {
	repotest.Shared(t, func(t testing.TB) func() (metadata.Repository, error) {
		url := dbtest.MariaDB(t)
		return func() (metadata.Repository, error) { return Open(t.Context(), url, "") }
	})
}

func TestHeld(t *testing.T) {
	url := dbtest.MariaDB(t)
	repotest.Held(t, func() (metadata.Repository, error) { return Open(t.Context(), url, "") })
}
