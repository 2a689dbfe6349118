package metadata

import (
	"bytes"
	"context"
	"encoding/json"

	"ingest/internal/errcode"
)

// DefaultContainerFormat is that of an image made by Accept without one: what
// is stored is the disk itself.
const DefaultContainerFormat = "bare"

// ownFields are members of a request that name one submission of it and not
// what is asked for, so they do not make two requests different.
var ownFields = []string{"task_id", "image_id", "request_id", "user_id", "roles", "idempotency_key"}

// Accept records a task in status pending and its image in status queued. It
// is safe to repeat: a task of the same id, or of the same owner, idempotency
// key and request, is returned as it stands. A request under a used key that
// differs is errcode.IdempotencyReuse.
func (c *Catalogue) Accept(ctx context.Context, in NewImport) (Accepted, error) {
	if err := normalise(&in); err != nil {
		return Accepted{}, err
	}
	return update(ctx, c, func(tx Tx) (Accepted, error) {
		old, found, err := earlier(ctx, tx, in)
		if err != nil {
			return Accepted{}, err
		}
		if found {
			img, err := tx.Image(ctx, old.ImageID)
			if err != nil && !isNotFound(err) {
				return Accepted{}, err
			}
			return Accepted{Task: old, Image: img}, nil
		}
		return c.accept(ctx, tx, in)
	})
}

// normalise makes the ids and owners of the two halves agree.
func normalise(in *NewImport) error {
	t, img := &in.Task, &in.Image
	if t.ImageID == "" {
		t.ImageID = img.ID
	}
	if img.ID == "" {
		img.ID = t.ImageID
	}
	if img.Owner == "" {
		img.Owner = t.Owner
	}
	switch {
	case t.ID == "":
		return errcode.New(errcode.BadRequest, "task has no id")
	case img.ID == "":
		return errcode.New(errcode.BadRequest, "task %s names no image", t.ID)
	case img.ID != t.ImageID:
		return errcode.New(errcode.BadRequest, "task %s names image %s, not %s", t.ID, t.ImageID, img.ID)
	case len(t.Request) > 0 && !json.Valid(t.Request):
		return errcode.New(errcode.BadRequest, "task %s: its request is no JSON", t.ID)
	}
	return nil
}

// earlier finds the task that an earlier submission of in has made.
func earlier(ctx context.Context, tx Tx, in NewImport) (Task, bool, error) {
	t := in.Task
	switch old, err := tx.Task(ctx, t.ID); {
	case err == nil && old.Owner != t.Owner:
		return Task{}, false, errcode.New(errcode.Conflict, "task %s exists already", t.ID)
	case err == nil:
		return old, true, nil
	case !isNotFound(err):
		return Task{}, false, err
	}
	if t.IdempotencyKey == "" {
		return Task{}, false, nil
	}
	old, err := tx.TaskByKey(ctx, t.Owner, t.IdempotencyKey)
	switch {
	case isNotFound(err):
		return Task{}, false, nil
	case err != nil:
		return Task{}, false, err
	case !sameRequest(old.Request, t.Request) || (in.ExistingImage || in.Copy || in.Export || in.Staged) && old.ImageID != t.ImageID:
		return Task{}, false, errcode.New(errcode.IdempotencyReuse, "idempotency key %q belongs to task %s, whose request differs", t.IdempotencyKey, old.ID)
	}
	return old, true, nil
}

func (c *Catalogue) accept(ctx context.Context, tx Tx, in NewImport) (Accepted, error) {
	var img Image
	var err error
	if !in.Staged { // what is staged was admitted before its first byte
		if err := c.admitTask(ctx, tx, in.Task.Owner); err != nil {
			return Accepted{}, err
		}
	}
	if in.Copy {
		img, err = copiedImage(ctx, tx, in.Image.ID, in.Task.Owner)
	} else if in.Export {
		img, err = exportedImage(ctx, tx, in.Image.ID, in.Task.Owner)
	} else if in.Staged {
		img, err = stagedImage(ctx, tx, in.Image.ID, in.Task.Owner, in.Task.ID)
	} else if in.ExistingImage {
		img, err = waitingImage(ctx, tx, in.Image.ID, in.Task.Owner)
	} else {
		if in.Image.ContainerFormat == "" {
			in.Image.ContainerFormat = DefaultContainerFormat
		}
		img, err = c.addImage(ctx, tx, in.Image)
	}
	if err != nil {
		return Accepted{}, err
	}
	t := in.Task
	t.Status, t.Restarts = TaskPending, 0
	t.Result, t.Error, t.ExpiresAt = nil, nil, nil
	t.Paused, t.Steered, t.SteerTold = false, 0, 0
	t.CreatedAt = c.moment()
	t.UpdatedAt = t.CreatedAt
	if err := tx.PutTask(ctx, t); err != nil {
		return Accepted{}, err
	}
	err = c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage})
	return Accepted{Task: t, Image: img, Created: true}, err
}

// waitingImage returns an image of the owner that may be imported into.
func waitingImage(ctx context.Context, tx Tx, id, owner string) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	if err != nil {
		return Image{}, err
	}
	if img.Owner != owner {
		return Image{}, errcode.New(errcode.Forbidden, "image %s belongs to another project", id)
	}
	if img.Status != ImageQueued {
		return Image{}, errcode.New(errcode.Conflict, "image %s is %s, only a queued one can be imported into", id, string(img.Status))
	}
	return img, idle(ctx, tx, id)
}

// copiedImage returns an image of the owner that may be copied to further stores.
func copiedImage(ctx context.Context, tx Tx, id, owner string) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	if err != nil {
		return Image{}, err
	}
	if img.Owner != owner {
		return Image{}, errcode.New(errcode.Forbidden, "image %s belongs to another project", id)
	}
	if img.Status != ImageActive {
		return Image{}, errcode.New(errcode.Conflict, "image %s is %s, only an active one can be copied", id, string(img.Status))
	}
	return img, idle(ctx, tx, id)
}

// idle returns errcode.Conflict if a task works on the image.
func idle(ctx context.Context, tx Tx, id string) error {
	busy, err := tx.Tasks(ctx, TaskFilter{ImageID: id, Unfinished: true, Limit: 1})
	if err == nil && len(busy) > 0 {
		err = errcode.New(errcode.Conflict, "task %s works on image %s", busy[0].ID, id)
	}
	return err
}

// sameRequest compares two requests by what they ask for: order of members and
// white space do not count, nor do ownFields.
func sameRequest(a, b json.RawMessage) bool {
	return bytes.Equal(canonical(a), canonical(b))
}

// canonical writes a request in one form. What is no JSON object stays as it is.
func canonical(raw json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var fields map[string]any
	if dec.Decode(&fields) != nil || fields == nil {
		return bytes.TrimSpace(raw)
	}
	for _, name := range ownFields {
		delete(fields, name)
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return raw
	}
	return out
}
