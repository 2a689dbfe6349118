package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"ingest/metadata"
)

// envWriter makes this test binary write tasks into the catalogue that it
// names until it is killed.
const envWriter = "INGEST_TEST_CATALOGUE_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(envWriter); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver accepts and starts tasks, several at a time, and says the id of
// each once the catalogue has acknowledged it.
func writeForEver(path string) error {
	repo, err := Open(path)
	if err != nil {
		return err
	}
	cat := metadata.New(repo)
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range 4 {
		wg.Go(func() {
			for {
				if err := writeOne(cat, uuid.NewString()); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	return <-errs
}

func writeOne(cat *metadata.Catalogue, id string) error {
	ctx := context.Background()
	_, err := cat.Accept(ctx, metadata.NewImport{
		Task:  metadata.Task{ID: id, Owner: "p", IdempotencyKey: id},
		Image: metadata.Image{ID: id, Properties: map[string]string{"fill": strings.Repeat("x", 4096)}},
	})
	if err != nil {
		return err
	}
	if err := cat.Start(ctx, id); err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(id + "\n")
	return err
}

// TestKill kills a writer again and again: whatever it was told to be committed
// is there, and nothing is there by halves.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	var acknowledged []string
	for _, lines := range []int{1, 10, 60, 200} {
		acknowledged = append(acknowledged, killAfter(t, path, lines)...)

		repo := open(t, path)
		cat := metadata.New(repo)
		for _, id := range acknowledged {
			task, err := cat.Task(t.Context(), id)
			if err != nil || task.Status != metadata.TaskProcessing {
				t.Fatalf("acknowledged task %s is lost: %+v, %v", id, task, err)
			}
		}
		tasks, err := cat.Tasks(t.Context(), metadata.TaskFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			checkWhole(t, cat, task)
		}
		if err := repo.Close(); err != nil {
			t.Fatal(err)
		}
		if got := scalar(t, path, "PRAGMA integrity_check"); got != "ok" {
			t.Fatalf("integrity check says %s", got)
		}
		if got := scalar(t, path, "SELECT count(*) FROM pragma_foreign_key_check"); got != "0" {
			t.Fatalf("%s rows refer to nothing", got)
		}
	}
}

// checkWhole makes sure that all that belongs to one transaction is there.
func checkWhole(t *testing.T, cat *metadata.Catalogue, task metadata.Task) {
	t.Helper()
	img, err := cat.Image(t.Context(), task.ImageID)
	if err != nil {
		t.Fatalf("task %s has no image: %v", task.ID, err)
	}
	events, err := cat.Events(t.Context(), task.ID)
	if err != nil {
		t.Fatal(err)
	}
	want, n := metadata.ImageQueued, 1
	if task.Status == metadata.TaskProcessing {
		want, n = metadata.ImageImporting, 2
	}
	if img.Status != want || len(events) != n {
		t.Fatalf("task %s is %s, its image %s, with %d events", task.ID, task.Status, img.Status, len(events))
	}
}

// killAfter runs a writer, kills it after so many lines and returns all lines
// that it has written.
func killAfter(t *testing.T, path string, lines int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envWriter+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a last line without its end is no acknowledgement
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.TrimSuffix(line, "\n"))
		if len(ids) == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < lines {
		t.Fatalf("the writer ended by itself after %d lines: %v %s", len(ids), err, stderr.String())
	}
	return ids
}

// scalar asks the database file itself.
func scalar(t *testing.T, path, query string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out string
	if err := db.QueryRow(query).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}
