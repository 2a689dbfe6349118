package activities

import (
	"context"
	"path"
	"slices"

	"ingest/internal/contract"
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
		reg, err := a.d.onActive(ctx, p.Request.Import(), p.WorkflowID, func(in *metadata.NewImport) {
			in.Copy, in.Task.Type = true, defaultTaskType
		})
		out := contract.RegisterCopyResult{Request: reg.Request.Copy(), Finished: reg.Finished, Result: reg.Result, Error: reg.Error, Control: reg.Control}
		if err != nil || out.Finished {
			return out, err
		}
		return a.plan(ctx, out)
	})
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
	out.Image, out.From = resultOf(img), readable(img)
	for _, at := range out.From {
		out.Image.Stores = append(out.Image.Stores, at.Store)
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
