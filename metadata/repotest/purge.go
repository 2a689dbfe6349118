package repotest

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// purge removes the rows of what was deleted long ago, and nothing else.
func purge(t *testing.T, repo metadata.Repository) {
	const old = 120 // more than go in one transaction
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		var errs []error
		put := func(id string, s metadata.ImageStatus, deleted *time.Time) {
			img := fullImage(id)
			img.Status, img.DeletedAt = s, deleted
			errs = append(errs, tx.PutImage(ctx, img), tx.PutProvenance(ctx, fullProvenance(id)))
		}
		for i := range old {
			put(numbered("old", i), metadata.ImageDeleted, ptr(noon))
		}
		put("young", metadata.ImageDeleted, ptr(noon.Add(time.Hour)))
		put("live", metadata.ImageActive, nil)
		put("waits", metadata.ImagePendingDelete, ptr(noon))
		put("busy", metadata.ImageDeleted, ptr(noon))
		task := fullTask("t")
		task.ImageID, task.Status = "busy", metadata.TaskProcessing
		return errors.Join(append(errs, tx.PutTask(ctx, task))...)
	})
	cat := metadata.New(repo)
	run := func(before time.Time, limit int, dry bool, want int) {
		t.Helper()
		if n, err := cat.PurgeImages(t.Context(), before, limit, dry); err != nil || n != want {
			t.Errorf("purged %d, %v; want %d", n, err, want)
		}
	}
	later := noon.Add(time.Microsecond)
	run(noon, 0, false, 0)
	run(later, 0, true, old)
	run(later, 7, false, 7)
	run(later, 0, true, old-7)
	run(later, 0, false, old-7)
	run(later, 0, false, 0)
	same(t, listImages(t, repo, metadata.ImageFilter{Deleted: true}), []string{"young", "waits", "live", "busy"})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Provenance(ctx, "old-001")
		coded(t, err, errcode.NotFound)
		// Nothing of it is left that a new image of that id would inherit.
		img := fullImage("old-001")
		img.Copies = nil
		err = tx.PutImage(ctx, img)
		got, err2 := tx.Image(ctx, img.ID)
		same(t, got, img)
		return errors.Join(err, err2, tx.RemoveImage(ctx, "nobody"))
	})
	stop := errors.New("stop")
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return errors.Join(tx.RemoveImage(t.Context(), "live"), stop) })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.Image(ctx, "live")
		if len(got.Copies) != 2 {
			t.Errorf("%d copies after a purge that was rolled back", len(got.Copies))
		}
		return err
	})
}
