package metadata_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestStart(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	before := f.dump()
	f.ok(f.Start(t.Context(), "task-1"))
	f.same(f.dump(), before)
	if s := f.task("task-1").Status; s != metadata.TaskProcessing {
		t.Errorf("task is %s", s)
	}
	if s := f.row("image-1").Status; s != metadata.ImageImporting {
		t.Errorf("image is %s", s)
	}
	f.same(f.history("task-1"), []string{"status pending register", "status processing register"})
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { return f.Start(ctx, "none") })
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.Truncated}))
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.Start(ctx, "task-1") })
}

func TestStartWithoutImage(t *testing.T) {
	f := newFixture(t)
	for _, n := range []string{"1", "2"} {
		_, err := f.Accept(t.Context(), imported(n))
		f.ok(err)
	}
	_, err := f.DeleteImage(t.Context(), "image-1")
	f.ok(err)
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.Start(ctx, "task-1") })
	_, err = f.UpdateImage(t.Context(), "image-2", func(img *metadata.Image) error {
		img.Status, img.DiskFormat = metadata.ImageSaving, "raw" // somebody uploads into it
		return nil
	})
	f.ok(err)
	f.unchanged(errcode.StatusTransition, func(ctx context.Context) error { return f.Start(ctx, "task-2") })
}

func TestSetStage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	say := func(stage string, attempt int) {
		f.ok(f.SetStage(ctx, "task-1", metadata.Event{Stage: stage, Attempt: attempt, Message: "bad \x00\xff text"}))
	}
	say("fetch", 1)
	say("fetch", 1) // the answer was lost
	say("fetch", 2)
	say("detect", 1)
	say("fetch", 2) // fetched again, elsewhere
	n, err := f.Restarted(ctx, "task-1")
	f.ok(err)
	say("fetch", 2) // a new start says it again
	if task := f.task("task-1"); n != 1 || task.Restarts != 1 || task.Stage != "fetch" || task.Message != "bad \uFFFD\uFFFD text" {
		t.Errorf("%d restarts, task %+v", n, task)
	}
	want := []string{"status pending register", "status processing register", "stage  fetch", "stage  fetch",
		"stage  detect", "stage  fetch", "restart processing fetch", "stage  fetch"}
	f.same(f.history("task-1"), want)

	f.ok(f.Fail(ctx, "task-1", metadata.TaskError{Code: errcode.Truncated}))
	before := f.dump()
	say("convert", 1)
	f.same(f.dump(), before)
	f.refused(f.SetStage(ctx, "none", metadata.Event{Stage: "fetch"}), errcode.NotFound)
}

func TestAddReport(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	for _, virtualSize := range []int{1, 1, 2} {
		f.ok(f.AddReport(ctx, "task-1", "", "detect", map[string]int{"virtual_size": virtualSize}))
	}
	f.same(f.history("task-1")[2:], []string{"report  detect", "report  detect"})
	events, err := f.Events(ctx, "task-1")
	f.ok(err)
	f.same(string(events[3].Detail), `{"virtual_size":2}`)
	f.refused(f.AddReport(ctx, "none", "", "detect", 1), errcode.NotFound)
	f.refused(f.AddReport(ctx, "task-1", "", "detect", func() {}), errcode.Internal)
}

func TestFail(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	why := metadata.TaskError{Code: errcode.Truncated, Message: "cut \x00short", Stage: "detect",
		Evidence: &errcode.Evidence{Value: "\x00\xff"}, Remedy: "again"}
	f.started("1")
	f.ok(f.Fail(ctx, "task-1", why))
	task := f.task("task-1")
	if task.Status != metadata.TaskFailure || task.Stage != "detect" || task.Message != "cut \uFFFDshort" ||
		task.Error == nil || task.Error.Code != errcode.Truncated || task.Error.Remedy != "again" {
		t.Errorf("task %+v, error %+v", task, task.Error)
	}
	if task.ExpiresAt == nil || task.ExpiresAt.Sub(task.UpdatedAt) != 48*time.Hour {
		t.Errorf("task ended %v and expires %v", task.UpdatedAt, task.ExpiresAt)
	}
	if s := f.row("image-1").Status; s != metadata.ImageQueued {
		t.Errorf("image is %s", s)
	}
	f.same(f.history("task-1")[2:], []string{"error failure detect"})

	// The first end counts.
	before := f.dump()
	f.ok(f.Fail(ctx, "task-1", metadata.TaskError{Code: errcode.Internal}))
	f.same(f.dump(), before)
	_, err := f.Restarted(ctx, "task-1")
	f.refused(err, errcode.Conflict)
	f.refused(f.Fail(ctx, "none", why), errcode.NotFound)
}

// TestFailLeavesTheImage fails tasks whose image is not theirs any more.
func TestFailLeavesTheImage(t *testing.T) {
	why := metadata.TaskError{Code: errcode.TaskCancelled}
	t.Run("pending task", func(t *testing.T) {
		f := newFixture(t)
		_, err := f.Accept(t.Context(), imported("1"))
		f.ok(err)
		before := f.row("image-1")
		f.ok(f.Fail(t.Context(), "task-1", why))
		f.same(f.row("image-1"), before)
	})
	for _, status := range []metadata.ImageStatus{metadata.ImageActive, metadata.ImageDeleted} {
		t.Run(string(status), func(t *testing.T) {
			f := newFixture(t)
			f.started("1")
			f.ok(f.repo.InTx(t.Context(), func(tx metadata.Tx) error {
				img, err := tx.Image(t.Context(), "image-1")
				size := int64(5)
				img.Status, img.Size = status, &size
				return errors.Join(err, tx.PutImage(t.Context(), img))
			}))
			before := f.row("image-1")
			f.ok(f.Fail(t.Context(), "task-1", why))
			f.same(f.row("image-1"), before)
		})
	}
}

func TestFailClearsSizes(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	_, err := f.UpdateImage(t.Context(), "image-1", func(img *metadata.Image) error {
		size := int64(1)
		img.Size, img.VirtualSize = &size, &size
		return nil
	})
	f.ok(err)
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.Truncated}))
	if img := f.row("image-1"); img.Size != nil || img.VirtualSize != nil {
		t.Errorf("sizes %v, %v are left", img.Size, img.VirtualSize)
	}
}

func TestUnfinished(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, n := range []string{"1", "2", "3", "4"} {
		f.started(n)
	}
	_, err := f.Accept(ctx, imported("5"))
	f.ok(err)
	f.ok(f.Fail(ctx, "task-1", metadata.TaskError{Code: errcode.Truncated}))
	f.ok(f.Activate(ctx, activation("3")))
	tasks, err := f.Unfinished(ctx)
	f.ok(err)
	var ids []string
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	f.same(ids, []string{"task-5", "task-4", "task-2"})
	_, err = f.Events(ctx, "none")
	f.refused(err, errcode.NotFound)
}
