package servertest

import (
	"testing"
	"time"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
	"ingest/metadata/sqlcore"
)

// disturbed kills the server of a repository twice, and once cuts it off.
func (d Driver) disturbed(t *testing.T) {
	server := d.Start(t)
	url := server.Database(t)
	repo := d.open(t, url)
	t.Cleanup(func() { repo.Close() })
	hold(t, repo)
	n := 0
	repotest.Disturbed(t, repo, func() {
		if n++; n == 2 {
			d.Cut(t, url)
			return
		}
		server.Kill()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	})
	d.held(t, url)
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
func (d Driver) held(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n int64
		err := db.QueryRowContext(t.Context(), d.Holds).Scan(&n)
		if err == nil && n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the database is not held again: %v", err)
		}
	}
}
