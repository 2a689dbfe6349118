package postgres

import (
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
)

func TestSchemas(t *testing.T) {
	repotest.Schemas(t, func(t testing.TB) repotest.Schema { return schema(t, dbtest.Postgres(t)) })
}

func schema(t testing.TB, url string) repotest.Schema {
	return repotest.Schema{
		Open: func() (metadata.Repository, error) { return Open(t.Context(), url, "") },
		Exec: func(statements ...string) { dbtest.Exec(t, url, statements...) },
		Version: func() (int64, int64, string, error) {
			s, err := Status(t.Context(), url, "")
			return s.Version, s.Known, s.Refused, err
		},
	}
}
