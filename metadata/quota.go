package metadata

import (
	"context"
	"strconv"

	"ingest/internal/errcode"
)

// Names of the quotas, which are those of Glance's unified limits.
const (
	QuotaImageCount = "image_count_total"
	QuotaImageBytes = "image_size_total"
	QuotaStageBytes = "image_stage_total"
	QuotaUploading  = "image_count_uploading"
)

// Unlimited is the value of a limit that does not bind.
const Unlimited int64 = -1

// Limits bound what one project may use. A negative one does not bind; 0 admits
// nothing.
type Limits struct {
	Images     int64 // images that are not deleted
	ImageBytes int64 // stored bytes, those included that are reserved
	StageBytes int64 // bytes that are reserved in staging
	Uploading  int64 // imports and uploads that are not finished
}

// NoLimits returns limits of which none binds.
func NoLimits() Limits { return Limits{Unlimited, Unlimited, Unlimited, Unlimited} }

// A Usage is what one project uses, in the terms of Limits.
type Usage struct {
	Images     int64
	ImageBytes int64 // of images, in every store that has them, bytes
	Reserved   int64 // in stores for images that are being written, bytes
	StageBytes int64
	Uploading  int64
}

// WithQuotas bounds what projects use. of returns the limits in force of a
// project; it must be quick and safe for concurrent use.
func WithQuotas(of func(owner string) Limits) Option { return func(c *Catalogue) { c.limits = of } }

// Usage returns what a project uses, and what it may use.
func (c *Catalogue) Usage(ctx context.Context, owner string) (Usage, Limits, error) {
	u, err := view(ctx, c, func(tx Tx) (Usage, error) { return tx.Usage(ctx, owner) })
	return u, c.limitsOf(owner), err
}

func (c *Catalogue) limitsOf(owner string) Limits {
	if c.limits == nil {
		return NoLimits()
	}
	return c.limits(owner)
}

// admitImage returns errcode.QuotaExceeded if the owner may not have one image
// more.
func (c *Catalogue) admitImage(ctx context.Context, tx Tx, owner string) error {
	l := c.limitsOf(owner)
	if l.Images < 0 {
		return nil
	}
	u, err := tx.Usage(ctx, owner)
	if err != nil {
		return err
	}
	return within(QuotaImageCount, owner, u.Images+1, l.Images)
}

// admitTask returns errcode.QuotaExceeded if the owner may not begin another
// import: too many run, or its images have no bytes left to grow by.
func (c *Catalogue) admitTask(ctx context.Context, tx Tx, owner string) error {
	l := c.limitsOf(owner)
	if l.Uploading < 0 && l.ImageBytes < 0 {
		return nil
	}
	u, err := tx.Usage(ctx, owner)
	if err != nil {
		return err
	}
	if err := within(QuotaUploading, owner, u.Uploading+1, l.Uploading); err != nil {
		return err
	}
	// What is only reserved may yet be given back.
	return within(QuotaImageBytes, owner, u.ImageBytes+1, l.ImageBytes)
}

// within compares one use with its limit.
func within(name, owner string, use, limit int64) error {
	if limit < 0 || use <= limit {
		return nil
	}
	return errcode.New(errcode.QuotaExceeded, "project %q may have %s of %d, this would make it %d", owner, name, limit, use).
		With(errcode.Evidence{Structure: "quota", Field: name, Value: strconv.FormatInt(use, 10), Limit: strconv.FormatInt(limit, 10)})
}
