package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// TestBackup copies a catalogue while four write into it. What was acknowledged
// before is in the copy, what is in it is there as a whole, and it takes the place of
// the catalogue.
func TestBackup(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	path, to := filepath.Join(dir, "catalogue.db"), filepath.Join(dir, "backups")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	repo := open(t, path)
	cat := metadata.New(repo)
	accept := func(id string) error {
		_, err := cat.Accept(ctx, metadata.NewImport{Task: metadata.Task{ID: id, Owner: "p"},
			Image: metadata.Image{ID: id, Properties: map[string]string{"fill": strings.Repeat("x", 4096)}}})
		if err == nil {
			err = cat.Start(ctx, id)
		}
		return err
	}
	var before []string
	for range 50 {
		id := uuid.NewString()
		if err := accept(id); err != nil {
			t.Fatal(err)
		}
		before = append(before, id)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := accept(uuid.NewString()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var copies []string
	for _, name := range []string{"a.db", "it's 日本.db", "c.db"} {
		file := filepath.Join(to, name)
		if err := Backup(ctx, path, file); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, file)
	}
	close(stop)
	wg.Wait()
	if err := accept("later"); err != nil {
		t.Fatal(err)
	}
	if err := Backup(ctx, path, copies[0]); !errors.Is(err, os.ErrExist) {
		t.Errorf("a backup over another one: %v", err)
	}
	if err := repo.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) != len(copies) {
		t.Errorf("the folder of backups holds %v, %v", entries, err)
	}
	for _, file := range copies {
		st, err := os.Stat(file)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file, st.Mode(), err)
		}
		checkBackup(t, file, before)
	}
}

func checkBackup(t *testing.T, file string, before []string) {
	t.Helper()
	repo := open(t, file)
	defer repo.Close()
	cat := metadata.New(repo)
	for _, id := range before {
		if _, err := cat.Task(t.Context(), id); err != nil {
			t.Fatalf("%s has not what was acknowledged before: %v", file, err)
		}
	}
	tasks, err := cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		checkWhole(t, cat, task)
	}
	if _, err := cat.Task(t.Context(), "later"); errcode.Of(err) != errcode.NotFound {
		t.Errorf("%s has what came later: %v", file, err)
	}
}

func TestBackupOfNothing(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "to.db")
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none"), noise} {
		if err := Backup(t.Context(), path, to); err == nil {
			t.Errorf("%s was backed up", path)
		}
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is a backup of %s: %v", path, err)
		}
		if _, err := Status(t.Context(), path); err == nil {
			t.Errorf("%s has a status", path)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
