package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// TestPragmas asks the connections that Open makes for what safety rests on.
func TestPragmas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	dsn, err := prepare(path)
	if err != nil {
		t.Fatal(err)
	}
	const full = "2"
	tests := []struct {
		name, options string
		want          map[string]string
	}{
		{"writer", writerOptions, map[string]string{"journal_mode": "wal", "synchronous": full, "foreign_keys": "1", "busy_timeout": "10000", "query_only": "0"}},
		{"reader", readerOptions, map[string]string{"journal_mode": "wal", "synchronous": full, "foreign_keys": "1", "busy_timeout": "10000", "query_only": "1"}},
	}
	for _, tt := range tests {
		db, err := pool(dsn+tt.options, 1)
		if err != nil {
			t.Fatal(err)
		}
		for pragma, want := range tt.want {
			var got string
			if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %q (%v), want %q", tt.name, pragma, got, err, want)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPaths opens files whose names mean something in a data source name.
func TestPaths(t *testing.T) {
	for _, name := range []string{"plain.db", "a b.db", "a?_pragma=x&y.db", "100%41.db", "h#sh.db", "日本.db", "file:x.db", "semi;colon'.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			repo := open(t, path)
			if _, err := metadata.New(repo).CreateImage(t.Context(), metadata.Image{ID: "i"}); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if perm := info.Mode().Perm(); perm != 0o600 || info.Size() == 0 && fileSize(path+"-wal") == 0 {
				t.Errorf("mode %v, %d bytes", perm, info.Size())
			}
			if err := repo.Close(); err != nil {
				t.Error(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("folder holds %v, %v", entries, err)
			}
		})
	}
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	repo := open(t, "catalogue.db")
	defer repo.Close()
	if fileSize("catalogue.db") == 0 {
		t.Error("the file is not in the working folder")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{noise, dir, filepath.Join(dir, "none", "catalogue.db"), ""} {
		if repo, err := Open(path); err == nil {
			t.Errorf("%q was opened", path)
			repo.Close()
		}
	}
	if got, err := os.ReadFile(noise); err != nil || !strings.HasPrefix(string(got), "not a database not") {
		t.Error("a file that is no database was changed")
	}
}

// TestLaterSchema opens what a later ingest, or something else, has written.
func TestLaterSchema(t *testing.T) {
	tests := []struct{ name, change, want string }{
		{"later", "INSERT INTO catalogue_migrations VALUES (9998, 'of_the_future', 0), (9999, 'of_tomorrow', 0)", "schema version 9999 (of_tomorrow), this program knows versions up to "},
		{"other", "UPDATE catalogue_migrations SET name = 'else' WHERE version = 1", `schema version 1 is "else"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "catalogue.db")
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(tt.change); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			repo, err := Open(path)
			if err == nil {
				repo.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

// TestManyOpen opens and writes one new file from several repositories at once,
// as several processes would.
func TestManyOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			repo, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer repo.Close()
			cat := metadata.New(repo)
			if _, err := cat.CreateImage(t.Context(), metadata.Image{ID: "i"}); err != nil && errcode.Of(err) != errcode.Conflict {
				t.Error(err)
			}
			for range 20 {
				_, err := cat.UpdateImage(t.Context(), "i", func(img *metadata.Image) error { img.MinDisk++; return nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	repo := open(t, path)
	defer repo.Close()
	img, err := metadata.New(repo).Image(t.Context(), "i")
	if err != nil || img.MinDisk != 6*20 {
		t.Errorf("counted %d, %v; want %d", img.MinDisk, err, 6*20)
	}
}

// TestMemoryIsItsOwn opens two catalogues in memory.
func TestMemoryIsItsOwn(t *testing.T) {
	a, b := open(t, Memory), open(t, Memory)
	defer a.Close()
	defer b.Close()
	if _, err := metadata.New(a).CreateImage(t.Context(), metadata.Image{ID: "i"}); err != nil {
		t.Fatal(err)
	}
	_, err := metadata.New(b).Image(t.Context(), "i")
	if errcode.Of(err) != errcode.NotFound {
		t.Errorf("the other catalogue has the image: %v", err)
	}
}

// TestClosed asks a closed catalogue, which must answer as one out of reach.
func TestClosed(t *testing.T) {
	for _, path := range []string{Memory, filepath.Join(t.TempDir(), "catalogue.db")} {
		repo := open(t, path)
		if err := repo.Close(); err != nil {
			t.Fatal(err)
		}
		cat := metadata.New(repo)
		_, err := cat.Image(t.Context(), "i")
		if errcode.Of(err) != errcode.CatalogueBusy {
			t.Errorf("reading: %v", err)
		}
		_, err = cat.CreateImage(t.Context(), metadata.Image{ID: "i"})
		if errcode.Of(err) != errcode.CatalogueBusy {
			t.Errorf("writing: %v", err)
		}
	}
}

// TestProvenanceIsPurgedWithItsImage removes an image's row, as an operator does who
// purges what was deleted.
func TestProvenanceIsPurgedWithItsImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	repo, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	ctx := t.Context()
	err = repo.InTx(ctx, func(tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, metadata.Image{ID: "i"}), tx.PutProvenance(ctx, metadata.Provenance{ImageID: "i", Document: []byte("{}")}))
	})
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := prepare(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := pool(dsn+writerOptions, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "DELETE FROM images WHERE id = 'i'"); err != nil {
		t.Fatal(err)
	}
	err = repo.InTx(ctx, func(tx metadata.Tx) error {
		_, err := tx.Provenance(ctx, "i")
		return err
	})
	if errcode.Of(err) != errcode.NotFound {
		t.Errorf("the record of a purged image: %v", err)
	}
}

// TestReaders asks a connection of readers for what it was opened with.
func TestReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	open(t, path).Close()
	dsn, err := prepare(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := pool(dsn+readerOptions+readerCache, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]int64{"cache_size": -16384, "query_only": 1, "foreign_keys": 1, "busy_timeout": busyTimeout.Milliseconds()} {
		var got int64
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", pragma, got, err, want)
		}
	}
}
