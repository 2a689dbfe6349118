package activities

import (
	"context"
	"encoding/json"
	"path"
	"slices"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// RegisterCopyActivityName is the activity's name.
const RegisterCopyActivityName = contract.RegisterCopyActivity

// A RegisterCopyActivity makes the catalogue's row of a copy, or finds that of an
// earlier submission, starts the task, and says what is copied to where.
type RegisterCopyActivity struct{ d Deps }

// NewRegisterCopyActivity returns the activity.
func NewRegisterCopyActivity(d Deps) *RegisterCopyActivity { return &RegisterCopyActivity{d} }

// Execute returns the request as the catalogue has it. A task that has ended is
// returned with its end; one that another workflow runs is errcode.Conflict.
func (a *RegisterCopyActivity) Execute(ctx context.Context, p contract.RegisterCopyParams) (contract.RegisterCopyResult, error) {
	w := work{stage: contract.StageRegister, taskID: p.Request.TaskID, imageID: p.Request.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.RegisterCopyResult, error) {
		t, err := a.task(ctx, p)
		if err != nil {
			return contract.RegisterCopyResult{}, err
		}
		if t.WorkflowID != "" && t.WorkflowID != p.WorkflowID {
			return contract.RegisterCopyResult{}, errcode.New(errcode.Conflict, "task %s is run by workflow %s", t.ID, t.WorkflowID)
		}
		req, err := request(t, p.Request.Import())
		if err != nil {
			return contract.RegisterCopyResult{}, err
		}
		if req.Method != contract.MethodCopy {
			return contract.RegisterCopyResult{}, errcode.New(errcode.Conflict, "task %s copies nothing, it imports", t.ID)
		}
		out := contract.RegisterCopyResult{Request: req.Copy(), Finished: t.Status.Finished()}
		if out.Finished {
			end := contract.RegisterResult{}
			err := ended(t, &end)
			out.Result, out.Error = end.Result, end.Error
			return out, err
		}
		out.Control = controlOf(t)
		if err := a.d.Catalogue.StartCopy(ctx, t.ID); err != nil {
			return contract.RegisterCopyResult{}, err
		}
		return a.plan(ctx, out)
	})
}

// task finds or makes the row.
func (a *RegisterCopyActivity) task(ctx context.Context, p contract.RegisterCopyParams) (metadata.Task, error) {
	t, err := a.d.Catalogue.Task(ctx, p.Request.TaskID)
	if errcode.Of(err) != errcode.NotFound {
		return t, err
	}
	r := p.Request.Import()
	if r.Owner == "" {
		img, err := a.d.Catalogue.Image(ctx, r.ImageID)
		if err != nil {
			return metadata.Task{}, err
		}
		r.Owner = img.Owner
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return metadata.Task{}, errcode.Wrap(err, errcode.Internal, "write request of task %s", r.TaskID)
	}
	got, err := a.d.Catalogue.Accept(ctx, metadata.NewImport{
		Copy: true,
		Task: metadata.Task{ID: r.TaskID, Type: defaultTaskType, Owner: r.Owner, UserID: r.UserID, RequestID: r.RequestID,
			ImageID: r.ImageID, WorkflowID: p.WorkflowID, IdempotencyKey: r.IdempotencyKey, Request: raw},
	})
	return got.Task, err
}

// plan says what is copied to where. A store that has the image is done.
func (a *RegisterCopyActivity) plan(ctx context.Context, out contract.RegisterCopyResult) (contract.RegisterCopyResult, error) {
	img, err := a.d.Catalogue.Image(ctx, out.Request.ImageID)
	if err != nil {
		return out, err
	}
	targets, err := a.d.Steps.CopyTargets(out.Request.StoresSpec)
	if err != nil {
		return out, err
	}
	out.Image = contract.ImageResult{
		ImageID: img.ID, DiskFormat: img.DiskFormat, ContentDigest: img.ContentDigest, HashAlgo: img.HashAlgo, HashValue: img.HashValue, Checksum: img.Checksum,
	}
	if img.Size != nil {
		out.Image.Size = *img.Size
	}
	if img.VirtualSize != nil {
		out.Image.VirtualSize = *img.VirtualSize
	}
	for _, loc := range img.Locations() {
		out.From = append(out.From, contract.Stored{Store: loc.Store, Key: loc.Key, Location: location(img, loc)})
		out.Image.Stores = append(out.Image.Stores, loc.Store)
	}
	if len(out.From) > 0 {
		out.Image.Location = out.From[0].Location
	}
	for _, name := range targets {
		if !slices.Contains(out.Image.Stores, name) {
			out.Stores = append(out.Stores, name)
		}
	}
	return out, a.d.judgeCopy(ctx, out.Request.Import(), out.Stores)
}

// location is where an image lies, as its owner is told: the key of an object that
// was another image's first holds that one's id.
func location(img metadata.Image, at metadata.Location) string {
	if path.Dir(at.Key) != img.ID {
		return "store://" + at.Store
	}
	return pipeline.Location(at.Store, at.Key)
}
