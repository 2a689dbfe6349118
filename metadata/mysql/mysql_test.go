package mysql

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/servertest"
	"ingest/metadata/sqlcore"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func driver() servertest.Driver {
	return servertest.Driver{
		Open: Open, Status: Status, Fresh: dbtest.MariaDB, Start: dbtest.StartMariaDB, Cut: cut,
		Holds: "SELECT COALESCE(IS_USED_LOCK(CONCAT('ingest.', MD5(DATABASE()), '.one')), 0)",
		Older: older,
	}
}

func TestDriver(t *testing.T) { servertest.Run(t, driver()) }

func TestRefusedAtOnce(t *testing.T) {
	url := dbtest.MariaDB(t)
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "mysql://root@"), "/")
	servertest.Refused(t, driver(), []servertest.Address{
		{Name: "no database", URL: "mysql://root@" + host + "/none", Want: "Unknown database 'none'"},
		{Name: "no user", URL: "mysql://nobody@" + host + "/none", Password: "s3cret", Want: "Access denied"},
		{Name: "no TLS", URL: url + "?tls=true", Want: "TLS requested but server does not support TLS"},
		{Name: "no name", URL: "mysql://root@" + host, Want: "names no database"},
		{Name: "no host", URL: "mysql:///d", Want: "neither host nor socket"},
		{Name: "no URL", URL: "mysql://root@" + host + ":x/d", Want: "is no URL"},
		{Name: "no option", URL: url + "?nonsense=1", Want: `the option "nonsense"`},
		{Name: "no file", URL: url + "?ca=/none", Want: "read the authorities"},
	})
}

func older(t *testing.T, url string, version int64) {
	t.Helper()
	d, writer, reader, err := connect(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sqlcore.MigrateTo(t.Context(), d, writer, version), writer.Close(), reader.Close()); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, url string) metadata.Repository {
	t.Helper()
	repo, err := Open(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// cut kills all other connections to the database.
func cut(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Close(); err != nil || len(ids) == 0 {
		t.Fatalf("%d connections, %v", len(ids), err)
	}
	for _, id := range ids {
		db.ExecContext(t.Context(), fmt.Sprintf("KILL CONNECTION %d", id)) // one may have ended by itself
	}
}
