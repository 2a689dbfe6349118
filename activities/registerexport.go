package activities

import (
	"context"

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
		reg, err := a.d.onActive(ctx, p.Request.Import(), p.WorkflowID, func(in *metadata.NewImport) { in.Export = true })
		out := contract.RegisterExportResult{Request: reg.Request.Export(), Finished: reg.Finished, Result: reg.Result, Error: reg.Error, Control: reg.Control}
		if err != nil || out.Finished {
			return out, err
		}
		return a.describe(ctx, out)
	})
}

// describe says what is sent, and where it can be read.
func (a *RegisterExportActivity) describe(ctx context.Context, out contract.RegisterExportResult) (contract.RegisterExportResult, error) {
	img, err := a.d.Catalogue.Image(ctx, out.Request.ImageID)
	if err != nil {
		return out, err
	}
	out.Image, out.From = resultOf(img), readable(img)
	out.Image.Name = img.Name
	if len(out.From) == 0 {
		return out, errcode.New(errcode.Conflict, "image %s lies in no store", img.ID)
	}
	out.Image.Location = out.From[0].Location
	return out, nil
}
