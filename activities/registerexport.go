package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// RegisterExportActivityName is the activity's name.
const RegisterExportActivityName = contract.RegisterExportActivity

// A RegisterExportActivity makes the catalogue's row of an export, or finds that of an
// earlier submission, starts the task, and says what is sent.
type RegisterExportActivity struct{ d Deps }

// NewRegisterExportActivity returns the activity.
func NewRegisterExportActivity(d Deps) *RegisterExportActivity { return &RegisterExportActivity{d} }

// Execute returns the request as the catalogue has it. A task that has ended is returned
// with its end; one that another workflow runs is errcode.Conflict.
func (a *RegisterExportActivity) Execute(ctx context.Context, p contract.RegisterExportParams) (contract.RegisterExportResult, error) {
	w := work{stage: contract.StageRegister, taskID: p.Request.TaskID, imageID: p.Request.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.RegisterExportResult, error) {
		t, err := a.task(ctx, p)
		if err != nil {
			return contract.RegisterExportResult{}, err
		}
		if t.WorkflowID != "" && t.WorkflowID != p.WorkflowID {
			return contract.RegisterExportResult{}, errcode.New(errcode.Conflict, "task %s is run by workflow %s", t.ID, t.WorkflowID)
		}
		req, err := request(t, p.Request.Import())
		if err != nil {
			return contract.RegisterExportResult{}, err
		}
		if req.Method != contract.MethodExport {
			return contract.RegisterExportResult{}, errcode.New(errcode.Conflict, "task %s exports nothing", t.ID)
		}
		out := contract.RegisterExportResult{Request: req.Export(), Finished: t.Status.Finished()}
		if out.Finished {
			end := contract.RegisterResult{}
			err := ended(t, &end)
			out.Result, out.Error = end.Result, end.Error
			return out, err
		}
		out.Control = controlOf(t)
		if err := a.d.Catalogue.StartCopy(ctx, t.ID); err != nil {
			return contract.RegisterExportResult{}, err
		}
		return a.describe(ctx, out)
	})
}

// task finds or makes the row.
func (a *RegisterExportActivity) task(ctx context.Context, p contract.RegisterExportParams) (metadata.Task, error) {
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
		Export: true,
		Task: metadata.Task{ID: r.TaskID, Type: contract.TypeExport, Owner: r.Owner, UserID: r.UserID, RequestID: r.RequestID,
			ImageID: r.ImageID, WorkflowID: p.WorkflowID, IdempotencyKey: r.IdempotencyKey, Request: raw, Priority: r.Urgency()},
	})
	return got.Task, err
}

// describe says what is sent, and where it can be read.
func (a *RegisterExportActivity) describe(ctx context.Context, out contract.RegisterExportResult) (contract.RegisterExportResult, error) {
	img, err := a.d.Catalogue.Image(ctx, out.Request.ImageID)
	if err != nil {
		return out, err
	}
	out.Image = contract.ImageResult{
		ImageID: img.ID, Name: img.Name, DiskFormat: img.DiskFormat, ContentDigest: img.ContentDigest,
		HashAlgo: img.HashAlgo, HashValue: img.HashValue, Checksum: img.Checksum,
	}
	if img.Size != nil {
		out.Image.Size = *img.Size
	}
	if img.VirtualSize != nil {
		out.Image.VirtualSize = *img.VirtualSize
	}
	for _, loc := range img.Locations() {
		out.From = append(out.From, contract.Stored{Store: loc.Store, Key: loc.Key, Location: location(img, loc)})
	}
	if len(out.From) == 0 {
		return out, errcode.New(errcode.Conflict, "image %s lies in no store", img.ID)
	}
	out.Image.Location = out.From[0].Location
	return out, nil
}
