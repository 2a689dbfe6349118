package metadata

import (
	"bytes"
	"context"
	"encoding/json"

	"ingest/internal/errcode"
)

// Kinds of events.
const (
	EventStatus  = "status"  // the task's status changed
	EventStage   = "stage"   // a stage began, ended or was tried again
	EventReport  = "report"  // a stage's whole report
	EventError   = "error"   // the task failed
	EventRestart = "restart" // the reconciler started the task again
	EventControl = "control" // somebody paused or resumed the task, or changed its priority
)

// StageDone is the stage of a task that has succeeded.
const StageDone = "done"

// Start moves a task from pending to processing and its image to importing. It
// is safe to repeat. A finished task is errcode.Conflict, and so is a task
// whose image is gone.
func (c *Catalogue) Start(ctx context.Context, taskID string) error {
	return c.start(ctx, taskID, func(tx Tx, img Image) error {
		if img.Status == ImageImporting {
			return nil
		}
		after := img
		after.Status = ImageImporting
		_, err := c.storeImage(ctx, tx, img, after)
		return err
	})
}

// StartCopy moves a task that copies an image from pending to processing; the
// image stays active. It is safe to repeat. An image that is not active any more
// is errcode.Conflict.
func (c *Catalogue) StartCopy(ctx context.Context, taskID string) error {
	return c.start(ctx, taskID, func(_ Tx, img Image) error { return stillActive(img) })
}

func (c *Catalogue) start(ctx context.Context, taskID string, prepare func(Tx, Image) error) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := unfinished(ctx, tx, taskID)
		if err != nil {
			return err
		}
		img, err := taskImage(ctx, tx, t)
		if err != nil {
			return err
		}
		if err := prepare(tx, img); err != nil {
			return err
		}
		if t.Status == TaskProcessing {
			return nil
		}
		t.Status = TaskProcessing
		if err := c.storeTask(ctx, tx, TaskPending, t); err != nil {
			return err
		}
		return c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage})
	})
}

// SetStage records what a stage says of itself: e needs Stage, its Kind is
// EventStage unless set. A report that repeats the last one is dropped, and so
// is one that comes after the task's end.
func (c *Catalogue) SetStage(ctx context.Context, taskID string, e Event) error {
	e.Message = plain(e.Message)
	if e.Kind == "" {
		e.Kind = EventStage
	}
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil || t.Status.Finished() {
			return err
		}
		if e.Stage != "" {
			t.Stage = e.Stage
		}
		// A stage that begins or ends well clears what an earlier attempt said.
		if e.Message != "" || e.Kind == EventStage {
			t.Message = e.Message
		}
		if err := c.storeTask(ctx, tx, t.Status, t); err != nil {
			return err
		}
		return c.eventOnce(ctx, tx, t, e)
	})
}

// AddReport keeps a stage's report, as JSON, in the task's history. kind ""
// means EventReport. A report that repeats the last one of its kind is dropped.
func (c *Catalogue) AddReport(ctx context.Context, taskID, kind, stage string, detail any) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write report of stage %s", stage)
	}
	if kind == "" {
		kind = EventReport
	}
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil {
			return err
		}
		return c.eventOnce(ctx, tx, t, Event{Kind: kind, Stage: stage, Detail: raw})
	})
}

// Fail ends a task with failure and gives its image back as queued, without
// sizes. An image that is neither importing nor staged stays as it is, but for the stores that
// the task was to bring it into: they have failed. Failing a finished task does
// nothing.
func (c *Catalogue) Fail(ctx context.Context, taskID string, why TaskError) error {
	why.Message = plain(why.Message)
	detail, err := json.Marshal(why)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write error of task %s", taskID)
	}
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil || t.Status.Finished() {
			return err
		}
		if err := c.release(ctx, tx, t.ImageID); err != nil {
			return err
		}
		if err := tx.DeleteReservations(ctx, t.ID); err != nil {
			return err
		}
		if err := c.failRun(ctx, tx, t, why); err != nil {
			return err
		}
		was := t.Status
		t.Status, t.Error, t.Message = TaskFailure, &why, why.Message
		if why.Stage != "" {
			t.Stage = why.Stage
		}
		if err := c.storeTask(ctx, tx, was, t); err != nil {
			return err
		}
		return c.event(ctx, tx, t, Event{Kind: EventError, Status: string(t.Status), Stage: t.Stage,
			Code: string(why.Code), Message: why.Message, Detail: detail})
	})
}

// release gives an importing image back as queued, and tells which stores it did
// not come into.
func (c *Catalogue) release(ctx context.Context, tx Tx, imageID string) error {
	img, err := tx.Image(ctx, imageID)
	waits := img.Status == ImageImporting || img.Status == ImageUploading // the task had not begun
	if isNotFound(err) || err == nil && !waits && storesOf(img, PropImportingStores) == nil {
		return nil
	}
	if err != nil {
		return err
	}
	after := img
	if waits {
		after.Status = ImageQueued
	}
	failed := append(storesOf(img, PropFailedStores), storesOf(img, PropImportingStores)...)
	setStores(&after, nil, failed)
	_, err = c.storeImage(ctx, tx, img, after)
	return err
}

// Restarted counts that an unfinished task was started again, and returns how
// often it has been. A finished one is errcode.Conflict.
func (c *Catalogue) Restarted(ctx context.Context, taskID string) (int, error) {
	return update(ctx, c, func(tx Tx) (int, error) {
		t, err := unfinished(ctx, tx, taskID)
		if err != nil {
			return 0, err
		}
		t.Restarts++
		if err := c.storeTask(ctx, tx, t.Status, t); err != nil {
			return 0, err
		}
		return t.Restarts, c.event(ctx, tx, t, Event{Kind: EventRestart, Status: string(t.Status), Stage: t.Stage, Attempt: t.Restarts})
	})
}

// unfinished returns a task that is pending or processing.
func unfinished(ctx context.Context, tx Tx, id string) (Task, error) {
	t, err := tx.Task(ctx, id)
	if err == nil && t.Status.Finished() {
		return Task{}, errcode.New(errcode.Conflict, "task %s has ended with %s", id, string(t.Status))
	}
	return t, err
}

// taskImage returns a task's own image; one that is gone is errcode.Conflict.
func taskImage(ctx context.Context, tx Tx, t Task) (Image, error) {
	img, err := liveImage(ctx, tx, t.ImageID)
	if isNotFound(err) {
		return Image{}, errcode.New(errcode.Conflict, "image %s of task %s was deleted", t.ImageID, t.ID)
	}
	return img, err
}

// storeTask stores a changed task by the rules of its status.
func (c *Catalogue) storeTask(ctx context.Context, tx Tx, was TaskStatus, t Task) error {
	if err := CheckTaskTransition(was, t.Status); err != nil {
		return err
	}
	t.UpdatedAt = c.moment()
	if t.Status.Finished() && t.ExpiresAt == nil {
		at := t.UpdatedAt.Add(c.ttl)
		t.ExpiresAt = &at
	}
	if t.Status.Finished() && !was.Finished() {
		t.Paused = false
		if err := c.notify(ctx, tx, t, endOf(t)); err != nil {
			return err
		}
	}
	return tx.PutTask(ctx, t)
}

// event adds to a task's history.
func (c *Catalogue) event(ctx context.Context, tx Tx, t Task, e Event) error {
	e.TaskID = t.ID
	if e.At.IsZero() {
		e.At = c.moment()
	}
	return tx.AddEvent(ctx, e)
}

// eventOnce is event, unless the last one of the kind says the same: an
// activity that is tried again says again what its lost answer said.
func (c *Catalogue) eventOnce(ctx context.Context, tx Tx, t Task, e Event) error {
	last, err := tx.LastEvent(ctx, t.ID, e.Kind, EventRestart)
	switch {
	case err == nil && sameEvent(last, e):
		return nil
	case err != nil && !isNotFound(err):
		return err
	}
	return c.event(ctx, tx, t, e)
}

// sameEvent compares what two events of one task say, whenever they say it.
func sameEvent(a, b Event) bool {
	return a.Kind == b.Kind && a.Status == b.Status && a.Stage == b.Stage && a.Attempt == b.Attempt &&
		a.Bytes == b.Bytes && a.Code == b.Code && a.Message == b.Message && bytes.Equal(a.Detail, b.Detail)
}
