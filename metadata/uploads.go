package metadata

import (
	"context"
	"slices"
	"time"

	"ingest/internal/errcode"
)

// StagedWhole is the key of a staged upload's reservation once all its bytes are
// there: it then waits for its import, and nobody has to keep it alive.
const StagedWhole = "whole"

// An Upload is bytes that a client sends for an image. It stands in the catalogue as a
// reservation of the space that it takes, whose last change is the sign that somebody
// still receives it, so that it needs no task and no workflow.
type Upload struct {
	// ID is a UUID. That of a staged upload is the id of the task that imports it.
	ID      string
	ImageID string
	Owner   string // of the image
	Staged  bool   // for an import; else the bytes are the image's own
	Place   string // the store's name, or the task queue of the host that stages
	// Key is that of the object in the store. That of a staged upload is StagedWhole
	// once all is there.
	Key     string
	Bytes   int64     // promised to it, bytes
	Touched time.Time // when it was last kept
	// Left is what the place has left, if that was measured: what is promised anew has to
	// fit it.
	Left *Room
}

// Reservation is how the upload stands in the catalogue.
func (u Upload) Reservation() Reservation {
	return Reservation{TaskID: u.ID, Kind: u.kind(), Part: u.ImageID, Owner: u.Owner, Place: u.Place, Key: u.Key, Bytes: u.Bytes, Room: u.Bytes}
}

func (u Upload) kind() string {
	if u.Staged {
		return ReserveStage
	}
	return ReserveStore
}

// status is that of an image while the upload is under way.
func (u Upload) status() ImageStatus {
	if u.Staged {
		return ImageUploading
	}
	return ImageSaving
}

func uploadOf(r Reservation) Upload {
	return Upload{ID: r.TaskID, ImageID: r.Part, Owner: r.Owner, Staged: r.Kind == ReserveStage, Place: r.Place,
		Key: r.Key, Bytes: r.Bytes, Touched: r.UpdatedAt}
}

// BeginUpload takes a queued image for an upload: it is saving then, or uploading if
// the bytes are staged. u.Bytes is what the client says that it sends, 0 if it does
// not. errcode.Conflict says that the image is not queued or that a task works on it,
// errcode.QuotaExceeded that its owner may not have so much.
func (c *Catalogue) BeginUpload(ctx context.Context, u Upload) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		before, err := liveImage(ctx, tx, u.ImageID)
		if err != nil {
			return Image{}, err
		}
		if before.Status != ImageQueued {
			return Image{}, errcode.New(errcode.Conflict, "image %s is %s, only a queued one takes bytes", u.ImageID, string(before.Status)).
				With(errcode.Evidence{Structure: "image", Field: "status", Value: string(before.Status), Limit: string(ImageQueued)})
		}
		if err := idle(ctx, tx, u.ImageID); err != nil {
			return Image{}, err
		}
		if err := c.admitTask(ctx, tx, before.Owner); err != nil {
			return Image{}, err
		}
		after := before
		after.Status = u.status()
		if after, err = c.storeImage(ctx, tx, before, after); err != nil {
			return Image{}, err
		}
		now := c.moment()
		r := u.Reservation()
		r.Owner, r.CreatedAt, r.UpdatedAt = before.Owner, now, now
		if err := c.admitBytes(ctx, tx, r, 0); err != nil {
			return Image{}, err
		}
		if err := u.fits(ctx, tx, r); err != nil {
			return Image{}, err
		}
		return after, tx.PutReservation(ctx, r)
	})
}

// fits holds what an upload is promised against what its place has left.
func (u Upload) fits(ctx context.Context, tx Tx, r Reservation) error {
	if u.Left == nil || r.Room == 0 {
		return nil
	}
	all, err := tx.Reservations(ctx)
	if err != nil {
		return err
	}
	return admitRoom(r, all, *u.Left)
}

// KeepUpload says that an upload is still received, and that it shall have room for so
// many bytes. errcode.Gone says that its image was deleted, errcode.Conflict that it was
// given up, errcode.QuotaExceeded that its owner may not have so much, errcode.NoSpace that
// the place does not.
func (c *Catalogue) KeepUpload(ctx context.Context, u Upload, bytes int64) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		_, r, err := c.underWay(ctx, tx, u)
		if err != nil || r.Key == StagedWhole { // it needs no more than it has
			return err
		}
		had := r.Bytes
		r.Bytes, r.Room, r.UpdatedAt = max(had, bytes), max(had, bytes), c.moment()
		if r.Bytes > had {
			if err := c.admitBytes(ctx, tx, r, had); err != nil {
				return err
			}
			if err := u.fits(ctx, tx, r); err != nil {
				return err
			}
		}
		return tx.PutReservation(ctx, r)
	})
}

// FinishUpload makes the image active with the bytes of an upload. The errors are
// those of KeepUpload; the object is then nobody's, and the caller removes it.
func (c *Catalogue) FinishUpload(ctx context.Context, u Upload, a ImageActivation) (Image, error) {
	return update(ctx, c, func(tx Tx) (Image, error) {
		before, r, err := c.underWay(ctx, tx, u)
		if err != nil {
			return Image{}, err
		}
		if had := r.Bytes; a.Size > had {
			r.Bytes = a.Size
			if err := c.admitBytes(ctx, tx, r, had); err != nil {
				return Image{}, err
			}
		}
		if err := tx.DeleteReservations(ctx, u.ID); err != nil {
			return Image{}, err
		}
		size, virtual := a.Size, a.VirtualSize
		after := before
		after.Status, after.Size, after.VirtualSize = ImageActive, &size, &virtual
		after.Checksum, after.HashAlgo, after.HashValue = a.Checksum, a.HashAlgo, a.HashValue
		after.ContentDigest, after.Store, after.Key, after.Copies = a.ContentDigest, a.Store, a.Key, nil
		after.Properties = mergedProperties(before, a)
		if after, err = c.storeImage(ctx, tx, before, after); err != nil {
			return Image{}, err
		}
		return after, c.addProvenance(ctx, tx, a)
	})
}

// FinishStaging says that all bytes of a staged upload are there. It waits for its
// import then.
func (c *Catalogue) FinishStaging(ctx context.Context, u Upload, size int64) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		_, r, err := c.underWay(ctx, tx, u)
		if err != nil {
			return err
		}
		had := r.Bytes
		r.Bytes, r.Room, r.Key, r.UpdatedAt = size, 0, StagedWhole, c.moment()
		if size > had {
			if err := c.admitBytes(ctx, tx, r, had); err != nil {
				return err
			}
		}
		return tx.PutReservation(ctx, r)
	})
}

// underWay returns the image and the reservation of an upload that was neither ended
// nor given up.
func (c *Catalogue) underWay(ctx context.Context, tx Tx, u Upload) (Image, Reservation, error) {
	img, err := liveImage(ctx, tx, u.ImageID)
	if isNotFound(err) || err == nil && img.Status == ImagePendingDelete {
		return img, Reservation{}, errcode.New(errcode.Gone, "image %s was deleted while its bytes were sent", u.ImageID)
	}
	if err != nil {
		return img, Reservation{}, err
	}
	r, found, err := reservationOf(ctx, tx, u)
	if err == nil && (!found || img.Status != u.status()) {
		err = errcode.New(errcode.Conflict, "the upload for image %s was given up: nothing was heard of it for too long", u.ImageID)
	}
	return img, r, err
}

func reservationOf(ctx context.Context, tx Tx, u Upload) (Reservation, bool, error) {
	all, err := tx.Reservations(ctx)
	i := slices.IndexFunc(all, func(r Reservation) bool { return r.Of() == Part{u.ID, u.kind(), u.ImageID} })
	if err != nil || i < 0 {
		return Reservation{}, false, err
	}
	return all[i], true, nil
}

// AbandonUpload gives an upload up: its image is queued again, its space given back.
// The caller removes the bytes. An upload that has ended is left alone; so is one that
// was touched after u.Touched, if that is set, and given reports whether it was given
// up.
func (c *Catalogue) AbandonUpload(ctx context.Context, u Upload) (given bool, err error) {
	return update(ctx, c, func(tx Tx) (bool, error) {
		r, found, err := reservationOf(ctx, tx, u)
		if err != nil || !found || !u.Touched.IsZero() && r.UpdatedAt.After(u.Touched) {
			return false, err
		}
		if _, err := tx.Task(ctx, u.ID); !isNotFound(err) {
			return false, err // its import has it
		}
		if err := tx.DeleteReservations(ctx, u.ID); err != nil {
			return false, err
		}
		img, err := tx.Image(ctx, u.ImageID)
		if isNotFound(err) || err == nil && img.Status != u.status() {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		after := img
		after.Status = ImageQueued
		_, err = c.storeImage(ctx, tx, img, after)
		return true, err
	})
}

// UploadKept reports whether the bytes of an upload that was not given up are somebody's:
// those of its image, or of the import that it was staged for.
func (c *Catalogue) UploadKept(ctx context.Context, u Upload) (bool, error) {
	return view(ctx, c, func(tx Tx) (bool, error) {
		if u.Staged {
			_, err := tx.Task(ctx, u.ID)
			if isNotFound(err) {
				return false, nil
			}
			return err == nil, err
		}
		img, err := liveImage(ctx, tx, u.ImageID)
		if isNotFound(err) {
			return false, nil
		}
		return err == nil && img.Store == u.Place && img.Key == u.Key, err
	})
}

// Uploads lists the uploads that have not ended, those that wait for their import
// among them.
func (c *Catalogue) Uploads(ctx context.Context) ([]Upload, error) {
	return view(ctx, c, func(tx Tx) ([]Upload, error) {
		all, err := tx.Reservations(ctx)
		var out []Upload
		for _, r := range all {
			_, err := tx.Task(ctx, r.TaskID)
			if err == nil {
				continue // the space of an import
			}
			waits := false
			if isNotFound(err) {
				waits, err = isUpload(ctx, tx, r)
			}
			if err != nil {
				return nil, err
			}
			if waits {
				out = append(out, uploadOf(r))
			}
		}
		return out, err
	})
}

// StagedUpload returns the upload that waits for the import into an image,
// errcode.Conflict if there is none.
func (c *Catalogue) StagedUpload(ctx context.Context, imageID string) (Upload, error) {
	return view(ctx, c, func(tx Tx) (Upload, error) {
		all, err := tx.Reservations(ctx)
		i := slices.IndexFunc(all, func(r Reservation) bool {
			return r.Part == imageID && r.Kind == ReserveStage && r.Key == StagedWhole
		})
		if err != nil {
			return Upload{}, err
		}
		if i < 0 {
			return Upload{}, errcode.New(errcode.Conflict, "nothing is staged for image %s, or not all of it", imageID)
		}
		return uploadOf(all[i]), nil
	})
}

// stagedImage returns an image of the owner whose bytes were staged under the task's id.
func stagedImage(ctx context.Context, tx Tx, id, owner, taskID string) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	if err != nil {
		return Image{}, err
	}
	if img.Owner != owner {
		return Image{}, errcode.New(errcode.Forbidden, "image %s belongs to another project", id)
	}
	r, found, err := reservationOf(ctx, tx, Upload{ID: taskID, ImageID: id, Staged: true})
	if err != nil {
		return Image{}, err
	}
	if img.Status != ImageUploading || !found || r.Key != StagedWhole {
		return Image{}, errcode.New(errcode.Conflict, "image %s is %s, and nothing is staged for it", id, string(img.Status))
	}
	return img, idle(ctx, tx, id)
}

// isUpload reports whether a reservation without a task is that of an upload whose
// image still waits for it.
func isUpload(ctx context.Context, tx Tx, r Reservation) (bool, error) {
	img, err := tx.Image(ctx, r.Part)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil && img.Status == uploadOf(r).status(), err
}
