package pipeline

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// filled reports that a device has no room left, and not that the account of space
// refuses more. What else lies on it cannot be written either, the catalogue perhaps:
// the step that met the end gives back what it has taken, before anybody is told.
func filled(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// giveStaging gives back what a task has staged if err says that the disk is full.
func (p *Pipeline) giveStaging(taskID string, err error) error {
	if !filled(err) {
		return err
	}
	return errors.Join(err, p.staging(taskID).remove())
}

// giveUpload gives back what an upload has taken if err says that the disk is full.
func (p *Pipeline) giveUpload(ctx context.Context, c contract.CleanupParams, err error) error {
	if !filled(err) {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	store, gone := p.store(c.Store)
	if gone == nil {
		gone = discardUpload(ctx, store, c.Key)
	}
	if errcode.Of(gone) == errcode.UploadUnknown {
		return err
	}
	return errors.Join(err, gone)
}
