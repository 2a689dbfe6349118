package sqlite

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// older makes the catalogue that ingest has written when its schema was version 3, as
// the sqlite3 program has dumped it.
func older(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "schema-0003.sql"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "catalogue.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA journal_mode=WAL;" + string(text)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUpgrade opens an older catalogue, finds everything in it, and goes on with it.
func TestUpgrade(t *testing.T) {
	path := older(t)
	ctx := t.Context()
	s, err := Status(ctx, path)
	if err != nil || s.Version != 3 || len(s.Pending) != int(s.Known)-3 || s.Refused != "" || s.Images != 5 || s.Deleted != 1 || s.Tasks != 4 {
		t.Fatalf("status before: %+v, %v", s, err)
	}
	for range 2 { // the second time there is nothing left to do
		repo := open(t, path)
		cat := metadata.New(repo)
		checkOlder(t, cat)
		if err := repo.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Status(ctx, path); err != nil || s.Version != s.Known || len(s.Pending) != 0 {
		t.Errorf("status after: %+v, %v", s, err)
	}
	if got := scalar(t, path, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity check says %s", got)
	}
	repo := open(t, path)
	defer repo.Close()
	continueOlder(t, metadata.New(repo))
}

// checkOlder reads what the older program was told to keep.
func checkOlder(t *testing.T, cat *metadata.Catalogue) {
	t.Helper()
	ctx := t.Context()
	img, err := cat.Image(ctx, "image-active")
	if err != nil || img.Name != "Debian – 12 'bookworm'" || img.Status != metadata.ImageActive || *img.Size != 197120 || *img.VirtualSize != 1<<30 ||
		img.Key != "image-active/u1" || img.Properties["hw_firmware_type"] != "uefi" || len(img.Tags) != 2 || len(img.Copies) != 0 ||
		!img.CreatedAt.Equal(time.Date(2026, 2, 3, 4, 5, 7, 789000, time.UTC)) {
		t.Errorf("active image %+v, %v", img, err)
	}
	// Lists find it by what the older program has written.
	list, err := cat.Images(ctx, metadata.ImageFilter{Tags: []string{"a", "b"}, Properties: map[string]string{"hw_firmware_type": "uefi"}, Seen: &metadata.Seen{Project: "acme"}})
	if err != nil || len(list) != 1 || list[0].ID != "image-active" {
		t.Errorf("found %+v, %v", list, err)
	}
	// And by its size, which older programs did not keep in an order.
	list, err = cat.Images(ctx, metadata.ImageFilter{Ranges: []metadata.Range{{Field: metadata.FieldSize, Min: list[0].Size}}, Sort: []metadata.Order{{Field: metadata.FieldSize}},
		Seen: &metadata.Seen{Project: "acme"}, Limit: 1})
	if err != nil || len(list) != 1 || list[0].ID != "image-active" {
		t.Errorf("found by size %+v, %v", list, err)
	}
	if record, err := cat.Provenance(ctx, "image-active"); err != nil || !json.Valid(record.Document) {
		t.Errorf("provenance %+v, %v", record, err)
	}
	for id, want := range map[string]metadata.TaskStatus{"task-done": metadata.TaskSuccess, "task-failed": metadata.TaskFailure,
		"task-running": metadata.TaskProcessing, "task-waiting": metadata.TaskPending} {
		task, err := cat.Task(ctx, id)
		if err != nil || task.Status != want {
			t.Errorf("task %s is %s, %v; want %s", id, task.Status, err, want)
		}
	}
	if events, err := cat.Events(ctx, "task-failed"); err != nil || len(events) != 3 || events[2].Code != string(errcode.Truncated) {
		t.Errorf("events %+v, %v", events, err)
	}
	if all, err := cat.Reservations(ctx); err != nil || len(all) != 1 || all[0].Bytes != 4096 {
		t.Errorf("reservations %+v, %v", all, err)
	}
	if _, err := cat.Image(ctx, "image-deleted"); errcode.Of(err) != errcode.NotFound {
		t.Errorf("deleted image: %v", err)
	}
}

// continueOlder ends what the older program had begun, with what newer schemas keep.
func continueOlder(t *testing.T, cat *metadata.Catalogue) {
	t.Helper()
	ctx := t.Context()
	done := metadata.Activation{TaskID: "task-running", Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{{
		ImageID: "image-running", DiskFormat: "raw", ContainerFormat: "bare", Size: 1, Store: "local", Key: "k", Copies: []metadata.Location{{Store: "other", Key: "k"}},
	}}}
	if err := cat.Activate(ctx, done); err != nil {
		t.Fatal(err)
	}
	img, err := cat.Image(ctx, "image-running")
	if err != nil || len(img.Locations()) != 2 {
		t.Errorf("image %+v, %v", img, err)
	}
	if all, err := cat.Reservations(ctx); err != nil || len(all) != 0 {
		t.Errorf("reservations of a task that has ended: %+v, %v", all, err)
	}
	// The key that the older program was given is known.
	again, err := cat.Accept(ctx, metadata.NewImport{
		Task: metadata.Task{ID: "task-again", Owner: "acme", IdempotencyKey: "first",
			Request: json.RawMessage(`{"task_id":"task-again","source":{"url":"https://example.net/it's.qcow2"}}`)},
		Image: metadata.Image{ID: "image-again"},
	})
	if err != nil || again.Created || again.Task.ID != "task-done" {
		t.Errorf("accepted %+v, %v", again, err)
	}
	if n, err := cat.PurgeImages(ctx, time.Now(), 0, false); err != nil || n != 1 {
		t.Errorf("purged %d, %v; want 1", n, err)
	}
}
