package metadata_test

import (
	"context"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// uploading makes an image and begins an upload for it.
func (f *fixture) uploading(n string, staged bool, bytes int64) metadata.Upload {
	f.t.Helper()
	f.image(n)
	u := metadata.Upload{ID: "upload-" + n, ImageID: "image-" + n, Staged: staged, Place: "local", Bytes: bytes}
	if _, err := f.BeginUpload(f.t.Context(), u); err != nil {
		f.t.Fatal(err)
	}
	return u
}

func (f *fixture) image(n string) {
	f.t.Helper()
	if _, err := f.CreateImage(f.t.Context(), metadata.Image{ID: "image-" + n, Owner: "p", DiskFormat: "raw", ContainerFormat: "bare"}); err != nil {
		f.t.Fatal(err)
	}
}

func TestUploadIsHeldAgainstItsQuota(t *testing.T) {
	f, l := newLimited(t)
	l.ImageBytes, l.StageBytes, l.Uploading = 100, 50, 1
	f.image("0")
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.BeginUpload(ctx, metadata.Upload{ID: "u", ImageID: "image-0", Place: "local", Bytes: 101})
		return err
	})
	u := f.uploading("1", false, 0)
	f.ok(f.KeepUpload(t.Context(), u, 100))
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { return f.KeepUpload(ctx, u, 101) })
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { // another one at once
		_, err := f.BeginUpload(ctx, metadata.Upload{ID: "u", ImageID: "image-0", Place: "local"})
		return err
	})
	if given, err := f.AbandonUpload(t.Context(), u); err != nil || !given {
		t.Fatal(given, err)
	}
	s := f.uploading("2", true, 50)
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { return f.FinishStaging(ctx, s, 51) })
	f.ok(f.FinishStaging(t.Context(), s, 50))
}

// A sign of life that comes behind the end does not claim again what was given back.
func TestStagedWholeTakesNoMoreThanItHas(t *testing.T) {
	f, _ := newLimited(t)
	u := f.uploading("1", true, 0)
	f.ok(f.KeepUpload(t.Context(), u, 100))
	f.ok(f.FinishStaging(t.Context(), u, 10))
	f.ok(f.KeepUpload(t.Context(), u, 100))
	all, err := f.Reservations(t.Context())
	if err != nil || len(all) != 1 || all[0].Bytes != 10 || all[0].Room != 0 {
		t.Errorf("promised %+v, %v, want the 10 bytes that are there", all, err)
	}
}

// The one place among those that upload is not taken twice by an upload that becomes an
// import.
func TestStagedUploadBecomesAnImport(t *testing.T) {
	f, l := newLimited(t)
	l.Uploading = 1
	u := f.uploading("1", true, 10)
	in := imported("1")
	in.Task.ID, in.Staged = u.ID, true
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { // not all is there
		_, err := f.Accept(ctx, in)
		return err
	})
	f.ok(f.FinishStaging(t.Context(), u, 10))
	if got, err := f.StagedUpload(t.Context(), u.ImageID); err != nil || got.ID != u.ID {
		t.Fatal(got, err)
	}
	for range 2 {
		if _, err := f.Accept(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if given, err := f.AbandonUpload(t.Context(), u); err != nil || given {
		t.Errorf("what an import has was given up: %v, %v", given, err)
	}
	if left, err := f.Uploads(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("it is an upload still: %v, %v", left, err)
	}
	f.ok(f.Fail(t.Context(), u.ID, metadata.TaskError{Code: errcode.TaskCancelled, Message: "no"})) // before it began
	img, err := f.Image(t.Context(), u.ImageID)
	if err != nil || img.Status != metadata.ImageQueued {
		t.Errorf("the image is %s, %v", img.Status, err)
	}
	if left, err := f.Reservations(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("still promised: %v, %v", left, err)
	}
}

func TestUploadOfADeletedImage(t *testing.T) {
	f := newFixture(t)
	u := f.uploading("1", false, 10)
	if stray, err := f.StrayReservations(t.Context()); err != nil || len(stray) > 0 {
		t.Errorf("a living upload is stray: %v, %v", stray, err)
	}
	if _, err := f.DeleteImage(t.Context(), u.ImageID); err != nil {
		t.Fatal(err)
	}
	f.unchanged(errcode.Gone, func(ctx context.Context) error { return f.KeepUpload(ctx, u, 20) })
	f.unchanged(errcode.Gone, func(ctx context.Context) error {
		_, err := f.FinishUpload(ctx, u, metadata.ImageActivation{ImageID: u.ImageID, Size: 10, Store: "local", Key: "k"})
		return err
	})
	if dropped, err := f.DropReservations(t.Context()); err != nil || len(dropped) != 1 {
		t.Errorf("dropped %v, %v", dropped, err)
	}
}

// An upload that was touched since somebody looked at it is not given up.
func TestUploadIsGivenUpAsItWasSeen(t *testing.T) {
	f := newFixture(t)
	u := f.uploading("1", false, 10)
	seen, err := f.Uploads(t.Context())
	if err != nil || len(seen) != 1 {
		t.Fatal(seen, err)
	}
	f.ok(f.KeepUpload(t.Context(), u, 10))
	if given, err := f.AbandonUpload(t.Context(), seen[0]); err != nil || given {
		t.Errorf("given up %v, %v", given, err)
	}
	seen, _ = f.Uploads(t.Context())
	if given, err := f.AbandonUpload(t.Context(), seen[0]); err != nil || !given {
		t.Errorf("given up %v, %v", given, err)
	}
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.KeepUpload(ctx, u, 10) })
}
