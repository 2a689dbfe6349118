package servertest

import (
	"context"
	"strings"
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
	"ingest/metadata/sqlcore"
)

// A Driver is a driver package, and what is particular to its server.
type Driver struct {
	Open   func(ctx context.Context, url, password string) (metadata.Repository, error)
	Status func(ctx context.Context, url, password string) (sqlcore.Status, error)
	// Fresh returns the URL of an empty database in a server that tests share, and
	// Start a server of the test's own.
	Fresh func(testing.TB) string
	Start func(testing.TB) *dbtest.Server
	// Cut ends every other connection to a database.
	Cut func(t *testing.T, url string)
	// Holds is a query of how many connections hold the database for themselves.
	Holds string
	// Older makes the schema of an earlier version in an empty database.
	Older func(t *testing.T, url string, version int64)
}

// Run runs every suite there is over the driver.
func Run(t *testing.T, d Driver) {
	at := func(t testing.TB, url string) func() (metadata.Repository, error) {
		return func() (metadata.Repository, error) { return d.Open(t.Context(), url, "") }
	}
	t.Run("Suite", func(t *testing.T) {
		repotest.Run(t, func(t testing.TB) metadata.Repository { return d.open(t, d.Fresh(t)) })
	})
	t.Run("Persistence", func(t *testing.T) {
		url := d.Fresh(t)
		repotest.Persistence(t, func(t testing.TB) metadata.Repository { return d.open(t, url) })
	})
	t.Run("Shared", func(t *testing.T) {
		repotest.Shared(t, func(t testing.TB) func() (metadata.Repository, error) { return at(t, d.Fresh(t)) })
	})
	t.Run("Held", func(t *testing.T) { repotest.Held(t, at(t, d.Fresh(t))) })
	t.Run("Schemas", func(t *testing.T) {
		repotest.Schemas(t, func(t testing.TB) repotest.Schema { return d.Schema(t, d.Fresh(t)) })
	})
	t.Run("Filled", d.filled)
	t.Run("Disturbed", d.disturbed)
}

// Schema returns the schema of a database.
func (d Driver) Schema(t testing.TB, url string) repotest.Schema {
	return repotest.Schema{
		Open: func() (metadata.Repository, error) { return d.Open(t.Context(), url, "") },
		Exec: func(statements ...string) { dbtest.Exec(t, url, statements...) },
		Version: func() (int64, int64, string, error) {
			s, err := d.Status(t.Context(), url, "")
			return s.Version, s.Known, s.Refused, err
		},
	}
}

func (d Driver) open(t testing.TB, url string) metadata.Repository {
	t.Helper()
	repo, err := d.Open(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// An Address is one that a driver refuses.
type Address struct{ Name, URL, Password, Want string }

// Refused opens addresses of which waiting mends none: it is said at once what is wrong,
// without the password.
func Refused(t *testing.T, d Driver, addresses []Address) {
	for _, a := range addresses {
		t.Run(a.Name, func(t *testing.T) {
			repo, err := d.Open(t.Context(), a.URL, a.Password)
			if err == nil {
				repo.Close()
				t.Fatal("it was opened")
			}
			text := err.Error()
			if !strings.Contains(text, a.Want) || a.Password != "" && strings.Contains(text, a.Password) || strings.Contains(text, "stayed busy") {
				t.Errorf("error %q, want one that says %q", text, a.Want)
			}
		})
	}
}
