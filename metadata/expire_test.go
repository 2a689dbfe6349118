package metadata_test

import (
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestTasksExpire(t *testing.T) {
	f := newFixture(t)
	if _, ok, err := f.Begun(t.Context()); ok || err != nil {
		t.Errorf("an empty catalogue has begun: %v", err)
	}
	for _, n := range []string{"1", "2", "3"} {
		f.started(n)
	}
	first := f.row("image-1").CreatedAt
	f.ok(f.Activate(t.Context(), activation("1")))
	f.ok(f.Fail(t.Context(), "task-2", metadata.TaskError{Code: errcode.TaskCancelled}))
	for _, c := range []struct {
		at    time.Duration
		limit int
		dry   bool
		want  int
	}{{metadata.DefaultTaskTTL - time.Hour, 0, false, 0}, {metadata.DefaultTaskTTL + time.Hour, 0, true, 2}, {metadata.DefaultTaskTTL + time.Hour, 1, false, 1},
		{metadata.DefaultTaskTTL + time.Hour, 0, false, 1}, {1000 * time.Hour, 0, false, 0}} {
		got, err := f.ExpireTasks(t.Context(), noon.Add(c.at), c.limit, c.dry)
		f.ok(err)
		if len(got) != c.want {
			t.Errorf("%+v: %d tasks", c, len(got))
		}
	}
	_, err := f.Task(t.Context(), "task-1")
	f.refused(err, errcode.NotFound)
	f.task("task-3")
	if img := f.row("image-1"); img.Status != metadata.ImageActive {
		t.Errorf("the image is %s", img.Status)
	}
	// The age of the catalogue does not go with the records of tasks.
	if at, ok, err := f.Begun(t.Context()); err != nil || !ok || !at.Equal(first) {
		t.Errorf("begun %v, %v, %v; want %v", at, ok, err, first)
	}
}
