package reconcile

import (
	"context"
	"errors"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// images ends the images that wait for their deletion, and whose time is over:
// first in the catalogue, and then their bytes, which the sweep finds if this is
// cut off in between.
func (r *Reaper) images(ctx context.Context, p contract.ReapParams, out *contract.ReapResult) error {
	before := r.now().Add(-r.ScrubTime)
	due, err := r.Catalogue.PendingImages(ctx, before)
	if err != nil {
		return err
	}
	var errs []error
	for _, img := range due {
		if ctx.Err() != nil {
			break
		}
		it := contract.ReapItem{Kind: contract.ReapedImage, Store: img.Store, Name: img.ID, Why: "it was deleted, and the time to restore it is over"}
		if img.Size != nil {
			it.Bytes = *img.Size * int64(1+len(img.Copies))
		}
		if img.DeletedAt != nil {
			it.Since = *img.DeletedAt
		}
		if !p.DryRun {
			places, err := r.Catalogue.ScrubImage(ctx, img.ID, before)
			if code := errcode.Of(err); code == errcode.Conflict || code == errcode.NotFound {
				continue // restored, or scrubbed by another run
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if img.Size != nil {
				it.Bytes = *img.Size * int64(len(places)) // others may be made of the same objects
			}
			errs = append(errs, r.removeBytes(ctx, places))
		}
		out.Add(it)
	}
	return errors.Join(errs...)
}

func (r *Reaper) removeBytes(ctx context.Context, places []metadata.Location) error {
	var errs []error
	for _, at := range places {
		if st, ok := r.Sweeper.Stores[at.Store]; ok {
			errs = append(errs, st.Delete(ctx, at.Key))
		}
	}
	return errors.Join(errs...)
}

func (r *Reaper) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
