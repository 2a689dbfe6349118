package pipeline

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// filled reports that a device has no room left, and not that the account of space
// refuses more. What else lies on it cannot be written either, the catalogue perhaps:
// the step that met the end gives back what it has taken, before anybody is told.
func filled(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// scarce is how little is left, bytes, when what cannot be had is the disk's fault, and
// not an account's that keeps some of it for others.
const scarce = 8 << 20

// starved reports that a step has ended for want of room on a device. free measures it.
func starved(err error, free func() (int64, error)) bool {
	if err == nil || filled(err) {
		return err != nil
	}
	switch errcode.Of(err) {
	case errcode.NoSpace, errcode.CatalogueBusy:
		n, unknown := free()
		return unknown == nil && n < scarce
	}
	return false
}

// giveStaging gives back what a task has staged, and what was made of it meanwhile, if
// err says that the disk is full.
func (p *Pipeline) giveStaging(ctx context.Context, taskID string, err error) error {
	free := p.free
	if free == nil {
		free = fsutil.Free
	}
	if !starved(err, func() (int64, error) { return free(p.StagingDir) }) {
		return err
	}
	s := p.staging(taskID)
	if gone := p.dropAhead(context.WithoutCancel(ctx), s); gone != nil {
		// Its record has to stay.
		return errors.Join(err, gone, s.discard())
	}
	return errors.Join(err, s.remove())
}

// giveUpload gives back what an upload has taken if err says that the disk is full,
// and what was promised for it: who begins anew asks again whether there is room.
func (p *Pipeline) giveUpload(ctx context.Context, c Claim, err error) error {
	ctx = context.WithoutCancel(ctx)
	store, gone := p.store(c.Store)
	sp, measured := store.(stores.Space)
	if gone != nil || !measured || !starved(err, func() (int64, error) { return sp.Free(ctx) }) {
		return err
	}
	gone = discardUpload(ctx, store, c.Key)
	if gone != nil && errcode.Of(gone) != errcode.UploadUnknown {
		return errors.Join(err, gone)
	}
	_ = p.claim(c).set(ctx, 0, 0) // it ends with the task in any case
	return err
}
