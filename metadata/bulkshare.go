package metadata

import (
	"context"
	"encoding/json"
	"maps"

	"ingest/internal/errcode"
)

// follow settles an item by the end of the earlier one of the same source: it shares its
// bytes, or fails as that has failed. It returns false if the item must be imported by
// itself: the other's image is gone.
func (st *step) follow(ctx context.Context, it *BulkItem) (bool, error) {
	lead, err := st.tx.BulkItem(ctx, st.b.ID, it.SameAs)
	if err != nil {
		return false, err
	}
	now := st.c.moment()
	switch lead.State {
	case ItemFailed, ItemCancelled:
		it.State, it.Code, it.Message, it.StartedAt, it.EndedAt = lead.State, lead.Code, "the source is that of item "+lead.Key+": "+lead.Message, &now, &now
		return true, st.tx.PutBulkItem(ctx, *it)
	case ItemPending, ItemRunning, ItemWaiting: // it was tried again
		it.State = ItemWaiting
		return true, st.tx.PutBulkItem(ctx, *it)
	}
	images, result, err := st.made(ctx, lead)
	if err != nil || len(images) == 0 {
		return false, err
	}
	it.Attempt++
	if err := st.useAgain(ctx, it); err != nil {
		return false, err
	}
	in, err := st.s.Prepare(*st.b, *it)
	if err != nil {
		return true, st.refuse(ctx, *it, err)
	}
	t, size, err := st.share(ctx, in, images, result)
	if err != nil {
		return true, st.refuse(ctx, *it, err)
	}
	it.State, it.TaskID, it.ImageID, it.Bytes, it.StartedAt, it.EndedAt = ItemActive, t.ID, t.ImageID, size, &now, &now
	it.Code, it.Message = "", "shares the bytes of item "+lead.Key
	return true, st.tx.PutBulkItem(ctx, *it)
}

// madeImage is what is read of an image in a task's result.
type madeImage struct {
	ID string `json:"image_id"`
}

// made are the images that an item has made, in their order, and its result; none if any
// of them is not active any more.
func (st *step) made(ctx context.Context, lead BulkItem) ([]Image, json.RawMessage, error) {
	var result struct {
		Images []madeImage `json:"images"`
	}
	var asked struct {
		Image struct {
			Properties map[string]string `json:"properties"`
		} `json:"image"`
	}
	if json.Unmarshal(lead.Request, &asked) != nil {
		return nil, nil, nil
	}
	t, err := st.tx.Task(ctx, lead.TaskID)
	if err != nil && !isNotFound(err) {
		return nil, nil, err
	}
	if json.Unmarshal(t.Result, &result) != nil || len(result.Images) == 0 {
		return nil, nil, nil // the record is gone: how many disks there were is not known
	}
	var out []Image
	for _, one := range result.Images {
		img, err := st.tx.Image(ctx, one.ID)
		if isNotFound(err) || err == nil && (img.Status != ImageActive || img.Key == "" || img.Owner != st.b.Owner) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		for name := range asked.Image.Properties {
			delete(img.Properties, name) // they are the other item's own
		}
		out = append(out, img)
	}
	return out, t.Result, nil
}

// share makes images of the objects that others are made of, and a task that has made
// them. As all of it is one transaction, no object loses its last name meanwhile.
func (st *step) share(ctx context.Context, in NewImport, images []Image, result json.RawMessage) (Task, int64, error) {
	c, tx := st.c, st.tx
	if err := normalise(&in); err != nil {
		return Task{}, 0, err
	}
	var total int64
	for _, img := range images {
		total += *img.Size
	}
	// What is refused is refused before anything is written.
	if err := c.covered(ctx, tx, in.Task, total); err != nil {
		return Task{}, 0, err
	}
	acc, err := st.accept(ctx, in)
	if err != nil {
		return Task{}, 0, err
	}
	t := acc.Task
	own, err := taskImage(ctx, tx, t)
	if err != nil {
		return t, 0, err
	}
	ids := map[string]string{}
	for i, img := range images {
		id := own.ID
		if i > 0 {
			id = st.s.Further(t.ID, own.ID, i+1)
		}
		ids[img.ID] = id
		if err := c.activateImage(ctx, tx, own, sharedOf(img, id, i)); err != nil {
			return t, 0, err
		}
	}
	t.Status = TaskProcessing
	if err := c.storeTask(ctx, tx, TaskPending, t); err != nil {
		return t, 0, err
	}
	t.Status, t.Stage, t.Message = TaskSuccess, StageDone, "shares the bytes of image "+images[0].ID
	if t.Result, err = renamed(result, t.ID, ids); err != nil {
		return t, 0, err
	}
	if err := c.storeTask(ctx, tx, TaskProcessing, t); err != nil {
		return t, 0, err
	}
	return t, *images[0].Size, c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage, Message: t.Message})
}

// sharedOf is the activation of an image as a second one of img's bytes. What img's owner
// has set of its own belongs to img alone.
func sharedOf(img Image, id string, i int) ImageActivation {
	ia := ImageActivation{
		ImageID: id, DiskFormat: img.DiskFormat, Size: *img.Size, VirtualSize: *img.VirtualSize,
		Checksum: img.Checksum, HashAlgo: img.HashAlgo, HashValue: img.HashValue, ContentDigest: img.ContentDigest,
		Store: img.Store, Key: img.Key, MinDisk: img.MinDisk, Properties: maps.Clone(img.Properties),
	}
	if i > 0 {
		ia.Name = img.Name
	}
	for _, at := range img.places()[1:] {
		ia.Copies = append(ia.Copies, at)
	}
	return ia
}

// renamed is a task's result with the ids of another task and its images.
func renamed(raw json.RawMessage, taskID string, ids map[string]string) (json.RawMessage, error) {
	var result map[string]any
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, errcode.Wrap(err, errcode.Internal, "read the result of a task")
	}
	result["task_id"] = taskID
	list, _ := result["images"].([]any)
	for _, one := range list {
		if img, ok := one.(map[string]any); ok {
			if id, ok := img["image_id"].(string); ok {
				img["image_id"] = ids[id]
			}
		}
	}
	out, err := json.Marshal(result)
	return out, err
}
