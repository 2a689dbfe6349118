package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/dbtest"
)

// TestDatabaseServer keeps the catalogue in PostgreSQL, and kills first the server of
// ingest and then that of the database in the middle of an import.
func TestDatabaseServer(t *testing.T) {
	t.Parallel()
	const password = "s3cret-of-the-database"
	env := []string{"INGEST_DATABASE_PASSWORD=" + password}
	pg := dbtest.StartPostgres(t)
	url := pg.Database(t)
	raw := disk(t, 61, 48*mib)
	from := serveFile(t, raw, true, 8*mib).slowBehind(24 * mib)
	s := start(t, append([]string{"--database", url}, loopback...), env...)
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2"})).TaskID
	s.await(id, contract.StageConvert, 4*mib)
	s.kill9()
	s.restart(env...)
	s.goesOn(id)
	// Another server with an embedded Temporal would take up what this one does.
	if got := ingest(t, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--database", url); got.code != 1 || !strings.Contains(got.stderr, "CONFLICT the database is taken") {
		t.Errorf("a second server: %+v", got)
	}

	pg.Kill()
	restarted := make(chan error, 1)
	go func() {
		time.Sleep(2 * time.Second)
		restarted <- pg.Restart()
	}()
	s.task(id) // waits for the database
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	from.rate.Store(0)
	s.succeeded(id, contentOf(t, raw))

	if _, err := os.Stat(s.path("catalogue.db")); !os.IsNotExist(err) {
		t.Errorf("there is a catalogue in the data folder as well: %v", err)
	}
	got := ingest(t, "db", "status", "--database", url, "--json")
	var status struct {
		Version, Known, Images, Tasks int
	}
	if err := json.Unmarshal([]byte(got.stdout), &status); err != nil || status.Version != status.Known || status.Images != 1 || status.Tasks != 1 {
		t.Errorf("status: %+v, %v", got, err)
	}
	if log := s.log(); strings.Contains(log, password) || !strings.Contains(log, "catalogue    postgres://test@127.0.0.1:") {
		t.Errorf("the log tells the password, or not where the catalogue is:\n%s", tail(log, 3000))
	}
	if got := ingest(t, "fsck", "--server", s.url, "--read"); got.code != 0 {
		t.Errorf("fsck: %+v", got)
	}
}

// TestBackupAndRestore puts back, as docs/operations.md says, a backup of the catalogue
// that was made while an import ran: what was there then is served, what ran then is
// done again, and what came later is nobody's and removed.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	first, second, third := disk(t, 62, 4*mib), disk(t, 63, 16*mib), disk(t, 64, 4*mib)
	from := serveFile(t, second, true, 2*mib).slowBehind(6 * mib)
	s := start(t, append([]string{"--file-roots", filepath.Dir(first) + ":" + filepath.Dir(third), "--reap-every", "0"}, loopback...))
	raw := contract.TargetSpec{Format: "raw"}
	before := s.submit(of("file://"+first, raw)).TaskID
	s.succeeded(before, contentOf(t, first))
	during := s.submit(of(from.URL, raw)).TaskID
	s.await(during, contract.StageConvert, mib)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if got := ingest(t, "db", "backup", backup, "--data-dir", s.data); got.code != 0 {
		t.Fatalf("backup: %+v", got)
	}
	from.rate.Store(0)
	s.succeeded(during, contentOf(t, second))
	after := s.submit(of("file://"+third, raw)).TaskID
	s.succeeded(after, contentOf(t, third))
	s.kill9()

	for _, name := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "temporal"} {
		if err := os.RemoveAll(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(backup, s.path("catalogue.db")); err != nil {
		t.Fatal(err)
	}
	s.restart()
	if task := s.finished(during); task.Status != "success" {
		t.Errorf("what ran during the backup: %s", show(task))
	}
	time.Sleep(1100 * time.Millisecond) // what is younger than --older-than is spared
	got := ingest(t, "fsck", "--server", s.url, "--read", "--repair", "--older-than", "1s", "--json")
	var report struct {
		Differences, Repaired int
		Found                 []struct{ Kind string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != 0 {
		t.Fatalf("fsck: %+v, %v", got, err)
	}
	orphans := 0
	for _, x := range report.Found {
		if x.Kind == "orphan_object" {
			orphans++
		}
	}
	if orphans == 0 || report.Repaired != report.Differences {
		t.Errorf("fsck: %s", got.stdout)
	}
	s.succeeded(before, contentOf(t, first))
	s.succeeded(during, contentOf(t, second))
	if _, err := s.api.Task(t.Context(), after); err == nil {
		t.Error("what came after the backup is in the catalogue")
	}
	s.succeeded(s.submit(of("file://"+third, raw)).TaskID, contentOf(t, third))
}
