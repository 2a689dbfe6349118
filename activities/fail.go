package activities

import (
	"context"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// FailActivityName is the activity's name.
const FailActivityName = contract.FailActivity

// A FailActivity ends a task with failure and gives its image back as queued.
type FailActivity struct{ d Deps }

// NewFailActivity returns the activity.
func NewFailActivity(d Deps) *FailActivity { return &FailActivity{d} }

// Execute records the failure. A task that is not in the catalogue, or that
// another workflow runs, is none of this one's business.
func (a *FailActivity) Execute(ctx context.Context, p contract.FailParams) error {
	w := work{stage: p.Stage, taskID: p.TaskID, imageID: p.ImageID}
	_, err := row(ctx, a.d, w, func(ctx context.Context) (struct{}, error) {
		t, err := a.d.Catalogue.Task(ctx, p.TaskID)
		if errcode.Of(err) == errcode.NotFound {
			return struct{}{}, nil
		}
		if err != nil || t.WorkflowID != "" && t.WorkflowID != p.WorkflowID {
			return struct{}{}, err
		}
		a.d.Log.Warn().Str("task", p.TaskID).Str("image", t.ImageID).Str("stage", string(p.Stage)).
			Str("code", string(p.Error.Code)).Msg("import failed: " + p.Error.Message)
		return struct{}{}, a.d.Catalogue.Fail(ctx, p.TaskID, metadata.TaskError{
			Code: p.Error.Code, Message: p.Error.Message, Stage: string(p.Stage), Evidence: p.Error.Evidence, Remedy: p.Error.Remedy,
		})
	})
	return err
}
