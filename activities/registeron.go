package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// onActive registers a task that works on an active image: it finds the row of an
// earlier submission, or has mark say what a new one is, and starts the task. A task that
// has ended is returned with its end; one that another workflow runs, or that does not do
// what asked.Method says, is errcode.Conflict.
func (d Deps) onActive(ctx context.Context, asked contract.ImportRequest, workflowID string, mark func(*metadata.NewImport)) (contract.RegisterResult, error) {
	var out contract.RegisterResult
	t, err := d.taskOnActive(ctx, asked, workflowID, mark)
	if err != nil {
		return out, err
	}
	if err := runBy(t, workflowID); err != nil {
		return out, err
	}
	if out.Request, err = request(t, asked); err != nil {
		return out, err
	}
	if out.Request.Method != asked.Method {
		return out, errcode.New(errcode.Conflict, "task %s does something else: its method is not %s", t.ID, asked.Method)
	}
	if out.Finished = t.Status.Finished(); out.Finished {
		return out, ended(t, &out)
	}
	out.Control = controlOf(t)
	return out, d.Catalogue.StartCopy(ctx, t.ID)
}

// runBy is errcode.Conflict for a task that another workflow runs.
func runBy(t metadata.Task, workflowID string) error {
	if t.WorkflowID != "" && t.WorkflowID != workflowID {
		return errcode.New(errcode.Conflict, "task %s is run by workflow %s", t.ID, t.WorkflowID)
	}
	return nil
}

// taskOnActive finds or makes the row. The task belongs to who owns the image.
func (d Deps) taskOnActive(ctx context.Context, r contract.ImportRequest, workflowID string, mark func(*metadata.NewImport)) (metadata.Task, error) {
	t, err := d.Catalogue.Task(ctx, r.TaskID)
	if errcode.Of(err) != errcode.NotFound {
		return t, err
	}
	if r.Owner == "" {
		img, err := d.Catalogue.Image(ctx, r.ImageID)
		if err != nil {
			return metadata.Task{}, err
		}
		r.Owner = img.Owner
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return metadata.Task{}, errcode.Wrap(err, errcode.Internal, "write request of task %s", r.TaskID)
	}
	in := metadata.NewImport{Task: taskOf(r, workflowID, raw)}
	mark(&in)
	got, err := d.Catalogue.Accept(ctx, in)
	return got.Task, err
}

// taskOf is the row of a request.
func taskOf(r contract.ImportRequest, workflowID string, raw []byte) metadata.Task {
	return metadata.Task{ID: r.TaskID, Type: r.TaskType, Owner: r.Owner, UserID: r.UserID, RequestID: r.RequestID,
		ImageID: r.ImageID, WorkflowID: workflowID, IdempotencyKey: r.IdempotencyKey, Request: raw, Priority: r.Urgency()}
}

// resultOf is what an active image is, as a task's result says it.
func resultOf(img metadata.Image) contract.ImageResult {
	out := contract.ImageResult{ImageID: img.ID, DiskFormat: img.DiskFormat, ContentDigest: img.ContentDigest,
		HashAlgo: img.HashAlgo, HashValue: img.HashValue, Checksum: img.Checksum}
	if img.Size != nil {
		out.Size = *img.Size
	}
	if img.VirtualSize != nil {
		out.VirtualSize = *img.VirtualSize
	}
	return out
}

// readable lists where an image can be read, the best place first.
func readable(img metadata.Image) []contract.Stored {
	var out []contract.Stored
	for _, loc := range img.Locations() {
		out = append(out, contract.Stored{Store: loc.Store, Key: loc.Key, Location: location(img, loc)})
	}
	return out
}
