package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// dbOutcome runs `ingest db`.
func dbOutcome(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"db"}, args...), &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

func TestDB(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalogue.db")
	dbOutcome(t, "status", "--data-dir", dir).want(t, 2, ``, `error: there is no catalogue in .*\n(?s:.*)`)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatalf("asking has made a catalogue: %v", err)
	}
	repo, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	long := time.Now().Add(-31 * 24 * time.Hour)
	cat := metadata.New(repo, metadata.WithClock(func() time.Time { return long }))
	for _, id := range []string{"a", "b", "c"} {
		if _, err := cat.CreateImage(t.Context(), metadata.Image{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"a", "b"} {
		if _, err := cat.DeleteImage(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	dbOutcome(t, "status", "--data-dir", dir).want(t, 0, `database +SQLite\nschema +(\d+) of \d+\nto migrate +none\nimages +3, of these 2 deleted\ntasks +0\n`, ``)
	dbOutcome(t, "migrate", "--data-dir", dir).want(t, 0, `the schema is version \d+\n`, ``)
	dbOutcome(t, "purge", "--data-dir", dir, "--dry-run").want(t, 0, `2 records of deleted images would be removed\n`, ``)
	dbOutcome(t, "purge", "--data-dir", dir, "--older-than", "744h", "--max", "1").want(t, 0, `1 records .*\n`, ``)
	dbOutcome(t, "purge", "--data-dir", dir, "--older-than", "800h").want(t, 0, `0 records .*\n`, ``)
	dbOutcome(t, "purge", "--data-dir", dir).want(t, 0, `1 records of deleted images removed\n`, ``)
	dbOutcome(t, "purge", "--data-dir", dir, "--older-than", "-1s").want(t, 2, ``, `error: .*less than 0\n(?s:.*)`)
	backup := filepath.Join(t.TempDir(), "backup.db")
	dbOutcome(t, "backup", backup, "--data-dir", dir).want(t, 0, `.*backup.db holds the catalogue, \d+ bytes\n`, ``)
	dbOutcome(t, "backup", backup, "--data-dir", dir).want(t, 1, ``, `error: \S+ the backup was not made: .*\n  what to do: .*\n`)
	dbOutcome(t, "backup", backup, "--database", "mysql://u@h/d").want(t, 2, ``, `error: .*mariadb-dump.*\n(?s:.*)`)
}

// A password does not get into what is printed.
func TestDBHidesPasswords(t *testing.T) {
	for _, args := range [][]string{
		{"status", "--database", "postgres://u:s3cret@127.0.0.1:1/d"}, {"status", "--database", "oracle://u:s3cret@h/d"},
	} {
		dbOutcome(t, args...).want(t, 2, ``, `error: --database [^3]*\n[^3]*`)
	}
}
