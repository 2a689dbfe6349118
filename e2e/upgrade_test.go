package e2e

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"ingest/internal/client"
	"ingest/internal/contract"
)

// TestUpgradeOfADataFolder serves a folder whose catalogue an older ingest has written.
func TestUpgradeOfADataFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "metadata", "sqlite", "testdata", "schema-0003.sql"))
	if err != nil {
		t.Fatal(err)
	}
	const image, failed = "0d5c6a5e-4b7e-4f0e-9a51-0c1d2e3f4a5b", "7f6e5d4c-3b2a-4918-8776-655443322110"
	dump := strings.NewReplacer("image-active", image, "task-failed", failed).Replace(string(text))
	db, err := sql.Open("sqlite", filepath.Join(data, "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA journal_mode=WAL;" + dump); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	version := func() (n, known int) {
		t.Helper()
		got := ingest(t, "db", "status", "--data-dir", data, "--json")
		var s struct{ Version, Known int }
		if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || got.code != 0 {
			t.Fatalf("status: %+v, %v", got, err)
		}
		return s.Version, s.Known
	}
	if n, known := version(); n != 3 || known <= 3 {
		t.Fatalf("schema %d of %d before", n, known)
	}
	raw := disk(t, 65, 2*mib)
	s := startIn(t, data, []string{"--file-roots", filepath.Dir(raw), "--reap-every", "0"})
	if n, known := version(); n != known {
		t.Errorf("schema %d of %d while it is served", n, known)
	}
	if s.api, err = client.New(s.url, "acme"); err != nil {
		t.Fatal(err)
	}
	img, err := s.api.Image(t.Context(), image)
	if err != nil || img.Name != "Debian – 12 'bookworm'" || img.Status != "active" {
		t.Errorf("image %s, %v", show(img), err)
	}
	if task := s.task(failed); task.Status != "failure" || len(task.Events) != 3 {
		t.Errorf("task %s", show(task))
	}
	id := s.submit(of("file://"+raw, contract.TargetSpec{Format: "raw"})).TaskID
	if task := s.finished(id); task.Status != "success" {
		t.Errorf("an import into the older catalogue: %s", show(task))
	}
}
