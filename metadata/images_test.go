package metadata_test

import (
	"context"
	"errors"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestCreateImage(t *testing.T) {
	f := newFixture(t)
	size := int64(1)
	img, err := f.CreateImage(t.Context(), metadata.Image{ID: "i", Status: metadata.ImageActive, Size: &size, Visibility: "private"})
	f.ok(err)
	if img.Status != metadata.ImageQueued || img.Size != nil || img.Visibility != "private" || img.CreatedAt.IsZero() {
		t.Errorf("image %+v", img)
	}
	f.same(f.row("i"), img)
	for id, want := range map[string]errcode.Code{"i": errcode.Conflict, "": errcode.BadRequest} {
		f.unchanged(want, func(ctx context.Context) error {
			_, err := f.CreateImage(ctx, metadata.Image{ID: id})
			return err
		})
	}
}

func TestUpdateImage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	first, err := f.CreateImage(ctx, metadata.Image{ID: "i", Properties: map[string]string{"a": "1"}, ContainerFormat: "bare"})
	f.ok(err)
	to := func(s metadata.ImageStatus) func(*metadata.Image) error {
		return func(img *metadata.Image) error { img.Status = s; return nil }
	}
	update := func(change func(*metadata.Image) error) func(context.Context) error {
		return func(ctx context.Context) error { _, err := f.UpdateImage(ctx, "i", change); return err }
	}
	stop := errors.New("stop")
	before := f.dump()
	if err := update(func(img *metadata.Image) error { img.Properties["a"] = "2"; return stop })(ctx); !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	f.same(f.dump(), before)
	f.unchanged(errcode.StatusTransition, update(to(metadata.ImageKilled)))
	f.unchanged(errcode.StatusTransition, update(to(metadata.ImageDeleted)))
	f.unchanged(errcode.StatusTransition, update(to("nonsense")))
	f.unchanged(errcode.Conflict, update(to(metadata.ImageSaving))) // no disk format
	f.unchanged(errcode.Conflict, update(to(metadata.ImageActive)))

	got, err := f.UpdateImage(ctx, "i", func(img *metadata.Image) error {
		img.ID, img.CreatedAt = "other", noon.Add(-1)
		img.DiskFormat, img.Status, img.Properties["a"] = "raw", metadata.ImageSaving, "3"
		return nil
	})
	f.ok(err)
	if got.ID != "i" || !got.CreatedAt.Equal(first.CreatedAt) || !got.UpdatedAt.After(first.UpdatedAt) || got.Properties["a"] != "3" {
		t.Errorf("image %+v", got)
	}
	f.same(f.row("i"), got)

	f.ok(update(func(img *metadata.Image) error {
		size := int64(9)
		img.Size, img.VirtualSize = &size, &size
		return nil
	})(ctx))
	f.ok(update(to(metadata.ImageQueued))(ctx))
	if img := f.row("i"); img.Size != nil || img.VirtualSize != nil {
		t.Errorf("queued with sizes %v, %v", img.Size, img.VirtualSize)
	}
	_, err = f.UpdateImage(ctx, "none", to(metadata.ImageActive))
	f.refused(err, errcode.NotFound)
}

func TestDeleteImage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	f.ok(f.Activate(ctx, activation("1")))
	protect := func(on bool) {
		_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error { img.Protected = on; return nil })
		f.ok(err)
	}
	protect(true)
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := f.DeleteImage(ctx, "image-1"); return err })
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error {
		_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error {
			img.Status, img.Protected = metadata.ImagePendingDelete, false
			return nil
		})
		return err
	})
	protect(false)
	where, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	f.same(where, []metadata.Location{{Store: "fs", Key: "image-1/upload-1"}})
	if img := f.row("image-1"); img.Status != metadata.ImageDeleted || img.DeletedAt == nil {
		t.Errorf("image %+v", img)
	}
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.DeleteImage(ctx, "image-1"); return err })
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.Image(ctx, "image-1"); return err })
	f.unchanged(errcode.NotFound, func(ctx context.Context) error {
		_, err := f.UpdateImage(ctx, "image-1", func(*metadata.Image) error { return nil })
		return err
	})
	f.unchanged(errcode.Conflict, func(ctx context.Context) error {
		_, err := f.CreateImage(ctx, metadata.Image{ID: "image-1"})
		return err
	})
}

// TestDeleteImageFromEveryStatus walks the statuses in which an image can be.
func TestDeleteImageFromEveryStatus(t *testing.T) {
	for _, status := range metadata.ImageStatuses() {
		f := newFixture(t)
		f.ok(f.repo.InTx(t.Context(), func(tx metadata.Tx) error {
			return tx.PutImage(t.Context(), metadata.Image{ID: "i", Status: status, CreatedAt: noon, UpdatedAt: noon})
		}))
		_, err := f.DeleteImage(t.Context(), "i")
		if want := status != metadata.ImageDeleted; want != (err == nil) {
			t.Errorf("%s: error %v, want deletable %v", status, err, want)
		}
	}
}

func TestLiveKeys(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, n := range []string{"1", "2"} {
		f.started(n)
		f.ok(f.Activate(ctx, activation(n)))
	}
	f.started("3") // has no object yet
	_, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	got, err := f.LiveKeys(ctx)
	f.ok(err)
	f.same(got, []metadata.Location{{Store: "fs", Key: "image-2/upload-1"}})
}
