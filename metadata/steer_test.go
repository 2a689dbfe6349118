package metadata_test

import (
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func paused(b bool) metadata.Steering { return metadata.Steering{Paused: &b} }
func first(n int) metadata.Steering   { return metadata.Steering{Priority: &n} }

func TestSteeringIsCountedAndToldOnce(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	steer := func(s metadata.Steering) metadata.Task {
		t.Helper()
		task, err := f.Steer(t.Context(), "task-1", s)
		f.ok(err)
		return task
	}
	if got := steer(paused(true)); !got.Paused || got.Steered != 1 || got.SteerTold != 0 {
		t.Errorf("paused: %+v", got)
	}
	if got := steer(paused(true)); got.Steered != 1 {
		t.Errorf("paused twice counts %d", got.Steered)
	}
	if got := steer(first(9)); got.Priority != 9 || !got.Paused || got.Steered != 2 {
		t.Errorf("priority: %+v", got)
	}
	f.ok(f.SteerTold(t.Context(), "task-1", 1))
	f.ok(f.SteerTold(t.Context(), "task-1", 99))
	f.ok(f.SteerTold(t.Context(), "task-1", 1))
	if got := f.task("task-1"); got.SteerTold != 2 {
		t.Errorf("told of %d, want 2", got.SteerTold)
	}
	prios, err := f.Priorities(t.Context(), []string{"task-1", "nobody"})
	f.ok(err)
	f.same(prios, map[string]int{"task-1": 9})
	steer(paused(false))
	f.same(f.history("task-1"), []string{"status pending register", "status processing register",
		"control processing register", "control processing register", "control processing register"})
	f.ok(f.Activate(t.Context(), activation("1")))
	f.unchanged(errcode.Conflict, func(ctx ctx) error { _, err := f.Steer(ctx, "task-1", paused(true)); return err })
	f.ok(f.SteerTold(t.Context(), "task-1", 3))
}

func TestRetryTakesTheImageOfAFailedTask(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	again := imported("2")
	again.Task.ImageID, again.Image, again.Task.RetryOf = "image-1", metadata.Image{ID: "image-1"}, "task-1"
	retry := func(ctx ctx) error { _, err := f.Retry(ctx, again); return err }
	f.unchanged(errcode.Conflict, retry) // it runs
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.SourceTooSlow, Message: "slow"}))
	got, err := f.Retry(t.Context(), again)
	f.ok(err)
	if got.Task.RetryOf != "task-1" || got.Task.Status != metadata.TaskPending || got.Image.Name != "disk" {
		t.Errorf("accepted %+v", got)
	}
	again.Task.ID = "task-3"
	f.unchanged(errcode.Conflict, retry) // the second one works on the image
	f.ok(f.Start(t.Context(), "task-2"))
	done := activation("1")
	done.TaskID = "task-2"
	f.ok(f.Activate(t.Context(), done))
	f.unchanged(errcode.Conflict, retry) // the image has its bytes
	again.Task.RetryOf = "task-2"
	f.unchanged(errcode.Conflict, retry) // it succeeded
	again.Task.RetryOf = "nobody"
	f.unchanged(errcode.NotFound, retry)
}
