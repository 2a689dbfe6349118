package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
)

// ExportActivityName is the activity's name.
const ExportActivityName = contract.ExportActivity

// An ExportActivity sends an image to a destination.
type ExportActivity struct{ d Deps }

// NewExportActivity returns the activity.
func NewExportActivity(d Deps) *ExportActivity { return &ExportActivity{d} }

// Execute sends; another attempt goes on where that can be done.
func (a *ExportActivity) Execute(ctx context.Context, p contract.ExportParams) (contract.Exported, error) {
	w := work{stage: contract.StageExport, taskID: p.TaskID, imageID: p.Image.ImageID, moves: true, heavy: true, parses: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Exported, error) {
		return a.d.Steps.Export(ctx, p, pipeline.Observe(b.observe))
	})
}

// EndExportActivityName is the activity's name.
const EndExportActivityName = contract.EndExportActivity

// An EndExportActivity ends an export's task with success.
type EndExportActivity struct{ d Deps }

// NewEndExportActivity returns the activity.
func NewEndExportActivity(d Deps) *EndExportActivity { return &EndExportActivity{d} }

// Execute ends the task, and returns the result that it has recorded.
func (a *EndExportActivity) Execute(ctx context.Context, p contract.EndExportParams) (contract.ImportResult, error) {
	w := work{stage: contract.StageDone, taskID: p.TaskID, imageID: p.Image.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ImportResult, error) {
		out := contract.ImportResult{TaskID: p.TaskID, Images: []contract.ImageResult{p.Image}, Exported: &p.Exported}
		raw, err := json.Marshal(out)
		if err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "write result of task %s", p.TaskID)
		}
		return out, a.d.Catalogue.FinishExport(ctx, p.TaskID, raw)
	})
}
