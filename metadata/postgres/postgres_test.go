package postgres

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata/servertest"
	"ingest/metadata/sqlcore"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func driver() servertest.Driver {
	return servertest.Driver{
		Open: Open, Status: Status, Fresh: dbtest.Postgres, Start: dbtest.StartPostgres,
		Cut: func(t *testing.T, url string) {
			dbtest.Exec(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ingest'")
		},
		Holds: "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted",
		Older: func(t *testing.T, url string, version int64) {
			writer, reader, err := connect(t.Context(), url, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(sqlcore.MigrateTo(t.Context(), dialect(), writer, version), writer.Close(), reader.Close()); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestDriver(t *testing.T) { servertest.Run(t, driver()) }

func TestRefusedAtOnce(t *testing.T) {
	url := dbtest.Postgres(t)
	server, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres://test@"), "/")
	servertest.Refused(t, driver(), []servertest.Address{
		{Name: "no database", URL: "postgres://test@" + server + "/none?sslmode=disable", Password: "s3cret", Want: `database "none" does not exist`},
		{Name: "no user", URL: "postgres://nobody@" + server + "/none?sslmode=disable", Password: "s3cret", Want: `role "nobody" does not exist`},
		{Name: "no TLS", URL: "postgres://test@" + server + "/none?sslmode=require", Password: "s3cret", Want: "refused TLS"},
		{Name: "no URL", URL: "postgres://test@" + server + ":x/none", Password: "s3cret", Want: "cannot parse"},
		{Name: "no option", URL: url + "&nonsense=1", Password: "s3cret", Want: `"nonsense"`},
	})
}
