package metadata

import (
	"context"
	"encoding/json"

	"ingest/internal/errcode"
)

// exportedImage returns an active image of the owner. Other tasks may work on it.
func exportedImage(ctx context.Context, tx Tx, id, owner string) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	switch {
	case err != nil:
		return Image{}, err
	case img.Owner != owner:
		return Image{}, errcode.New(errcode.Forbidden, "image %s belongs to another project", id)
	case img.Status != ImageActive:
		return Image{}, errcode.New(errcode.Conflict, "image %s is %s, only an active one can be exported", id, string(img.Status))
	}
	return img, nil
}

// FinishExport ends an export with success. The image stays what it is; that it was
// deleted or deactivated meanwhile changes nothing of what was sent. The same again does
// nothing; errcode.Conflict says that the task has ended otherwise.
func (c *Catalogue) FinishExport(ctx context.Context, taskID string, result json.RawMessage) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil || t.Status == TaskSuccess {
			return err
		}
		if t.Status.Finished() {
			return errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
		}
		if err := tx.DeleteReservations(ctx, t.ID); err != nil {
			return err
		}
		was := t.Status
		t.Status, t.Stage, t.Result = TaskSuccess, StageDone, result
		t.Message, t.Error = "", nil
		if err := c.storeTask(ctx, tx, was, t); err != nil {
			return err
		}
		return c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage})
	})
}
