package mysql

import (
	"context"
	"testing"
	"time"

	"ingest/internal/dbtest"
)

// TestServerKilledWhileMigrating kills the database server and stops ingest once the
// first so many tables are there. Whatever they have left, the next start ends it.
func TestServerKilledWhileMigrating(t *testing.T) {
	whole := dbtest.MariaDB(t)
	open(t, whole).Close()
	want := tables(t, whole)
	server := dbtest.StartMariaDB(t)
	var urls []string
	for _, n := range []int{2, 4, 6} {
		url := server.Database(t)
		urls = append(urls, url)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if repo, err := Open(ctx, url, ""); err == nil {
				repo.Close()
			}
		}()
		for end := time.Now().Add(time.Minute); count(t, url) < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d tables do not come", n)
			}
		}
		server.Kill()
		stop()
		<-ended
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range urls {
		s := driver().Schema(t, url)
		version, known, _, err := s.Version()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("killed at version %d of %d, with %d tables", version, known, count(t, url))
		open(t, url).Close()
		if got := tables(t, url); got != want {
			t.Errorf("the tables are\n%s\nwant\n%s", got, want)
		}
	}
}

func count(t *testing.T, url string) (n int) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
