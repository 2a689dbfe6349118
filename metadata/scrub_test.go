package metadata_test

import (
	"context"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestDelayedDelete(t *testing.T) {
	f := newFixture(t)
	now, limits := noon, metadata.NoLimits()
	f.Catalogue = metadata.New(f.repo, metadata.WithDelayedDelete(true), metadata.WithClock(func() time.Time { return now }),
		metadata.WithQuotas(func(string) metadata.Limits { return limits }))
	for _, n := range []string{"1", "2"} {
		f.started(n)
	}
	f.ok(f.Activate(t.Context(), activation("1")))
	now = noon.Add(time.Hour)
	for id, want := range map[string]metadata.ImageStatus{"image-1": metadata.ImagePendingDelete, "image-2": metadata.ImageDeleted} {
		gone, err := f.DeleteImage(t.Context(), id)
		f.ok(err)
		img := f.row(id)
		if img.Status != want || len(gone) != 0 || img.DeletedAt == nil || !img.DeletedAt.Equal(now) {
			t.Errorf("%s is %s since %v, to remove %v", id, img.Status, img.DeletedAt, gone)
		}
	}
	keys, err := f.LiveKeys(t.Context())
	f.ok(err)
	if len(keys) != 1 {
		t.Errorf("a reaper would remove what can be restored: %v", keys)
	}
	// Its time is not over; then it is.
	pending, err := f.PendingImages(t.Context(), now)
	f.ok(err)
	if len(pending) != 0 {
		t.Errorf("due at once: %v", pending)
	}
	f.unchanged(errcode.Conflict, func(ctx context.Context) error {
		_, err := f.ScrubImage(ctx, "image-1", now)
		return err
	})
	limits.Images = 0
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.RestoreImage(ctx, "image-1")
		return err
	})
	limits.Images = 1
	img, err := f.RestoreImage(t.Context(), "image-1")
	f.ok(err)
	if img.Status != metadata.ImageActive || img.DeletedAt != nil || img.Key == "" {
		t.Errorf("restored: %+v", img)
	}
	f.unchanged(errcode.Conflict, func(ctx context.Context) error {
		_, err := f.RestoreImage(ctx, "image-1")
		return err
	})
	_, err = f.DeleteImage(t.Context(), "image-1")
	f.ok(err)
	places, err := f.ScrubImage(t.Context(), "image-1", now.Add(time.Second))
	f.ok(err)
	if len(places) != 1 || places[0] != (metadata.Location{Store: "fs", Key: "image-1/upload-1"}) || f.row("image-1").Status != metadata.ImageDeleted {
		t.Errorf("scrubbed %v, %+v", places, f.row("image-1"))
	}
	_, err = f.RestoreImage(t.Context(), "image-1")
	f.refused(err, errcode.NotFound)
}
