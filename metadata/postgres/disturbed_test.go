package postgres

import (
	"strings"
	"testing"
	"time"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
	"ingest/metadata/sqlcore"
)

func TestDisturbed(t *testing.T) {
	server := dbtest.StartPostgres(t)
	url := server.Database(t)
	repo := open(t, url)
	t.Cleanup(func() { repo.Close() })
	hold(t, repo)
	n := 0
	repotest.Disturbed(t, repo, func() {
		if n++; n == 2 {
			dbtest.Exec(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ingest'")
			return
		}
		server.Kill()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	})
	held(t, url)
}

// hold keeps others from the database until the test ends.
func hold(t *testing.T, repo metadata.Repository) {
	t.Helper()
	release, err := repo.(*sqlcore.Repository).Hold(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}

// held waits until the lock that went with a killed server is held again.
func held(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n int64
		err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted").Scan(&n)
		if err == nil && n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the database is not held again: %v", err)
		}
	}
}

// What waiting does not mend is said at once, without the password.
func TestRefusedAtOnce(t *testing.T) {
	url := dbtest.Postgres(t)
	server, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres://test@"), "/")
	for name, tt := range map[string]struct{ url, want string }{
		"no database": {"postgres://test@" + server + "/none?sslmode=disable", `database "none" does not exist`},
		"no user":     {"postgres://nobody@" + server + "/none?sslmode=disable", `role "nobody" does not exist`},
		"no TLS":      {"postgres://test@" + server + "/none?sslmode=require", "refused TLS"},
		"no URL":      {"postgres://test@" + server + ":x/none", "cannot parse"},
		"no option":   {url + "&nonsense=1", `"nonsense"`},
	} {
		t.Run(name, func(t *testing.T) {
			repo, err := Open(t.Context(), tt.url, "s3cret")
			if err == nil {
				repo.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || strings.Contains(text, "s3cret") || strings.Contains(text, "stayed busy") {
				t.Errorf("error %q, want one that says %q", text, tt.want)
			}
		})
	}
}

// A database of another encoding keeps names as something else.
func TestEncoding(t *testing.T) {
	url := dbtest.Postgres(t)
	dbtest.Exec(t, url, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	at := strings.LastIndex(url, "/")
	repo, err := Open(t.Context(), url[:at]+"/latin?sslmode=disable", "")
	if err == nil {
		repo.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "has encoding LATIN1") {
		t.Errorf("error %v", err)
	}
}

// TestSettings asks the connections for what the catalogue rests on.
func TestSettings(t *testing.T) {
	url := dbtest.Postgres(t)
	writer, reader, err := connect(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	defer reader.Close()
	for name, want := range map[string]string{
		"lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s", "client_encoding": "UTF8", "standard_conforming_strings": "on", "application_name": "ingest",
	} {
		var got string
		if err := writer.QueryRowContext(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
}
