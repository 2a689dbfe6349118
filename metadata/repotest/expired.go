package repotest

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func deletedTasks(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		var errs []error
		for i, s := range metadata.TaskStatuses() {
			for j, at := range []*time.Time{nil, ptr(noon), ptr(noon.Add(time.Microsecond)), ptr(noon.Add(time.Hour))} {
				task := fullTask(numbered(string(s), j))
				task.Status, task.ExpiresAt, task.CreatedAt = s, at, noon.Add(time.Duration(i*10+j)*time.Second)
				errs = append(errs, tx.PutTask(ctx, task), tx.AddEvent(ctx, fullEvent(task.ID)), tx.AddEvent(ctx, fullEvent(task.ID)))
			}
		}
		return errors.Join(errs...)
	})
	at := noon.Add(time.Hour)
	// Only what has ended and has expired, newest first.
	want := []string{"failure-002", "failure-001", "success-002", "success-001"}
	var got []string
	got = append(got, listTasks(t, repo, metadata.TaskFilter{ExpiredBefore: &at})...)
	same(t, got, want)
	if n := len(listTasks(t, repo, metadata.TaskFilter{ExpiredBefore: ptr(noon)})); n != 0 {
		t.Errorf("%d have expired before noon", n)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.DeleteTask(ctx, want[0]), tx.DeleteTask(ctx, "nobody"))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Task(ctx, want[0])
		coded(t, err, errcode.NotFound)
		gone, err1 := tx.Events(ctx, want[0])
		kept, err2 := tx.Events(ctx, want[1])
		if len(gone) != 0 || len(kept) != 2 {
			t.Errorf("%d events of a deleted task, %d of another one", len(gone), len(kept))
		}
		// Its id and its key can be used again.
		again := fullTask(want[0])
		return errors.Join(err1, err2, tx.PutTask(ctx, again))
	})
	stop := errors.New("stop")
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error {
		return errors.Join(tx.DeleteTask(t.Context(), want[1]), stop)
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	if n := len(listTasks(t, repo, metadata.TaskFilter{})); n != 16 {
		t.Errorf("%d tasks, want 16", n)
	}
}
