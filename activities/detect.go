package activities

import (
	"context"
	"errors"

	"ingest/internal/contract"
)

// DetectActivityName is the activity's name.
const DetectActivityName = contract.DetectActivity

// A DetectActivity finds out what a source is, and whether it is safe.
type DetectActivity struct{ d Deps }

// NewDetectActivity returns the activity.
func NewDetectActivity(d Deps) *DetectActivity { return &DetectActivity{d} }

// Execute detects. The report is kept also of an image that is refused.
func (a *DetectActivity) Execute(ctx context.Context, p contract.DetectParams) (contract.Detected, error) {
	w := work{stage: contract.StageDetect, taskID: p.TaskID, imageID: p.ImageID, parses: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, _ *beat) (contract.Detected, error) {
		var err error
		if p.Soft, err = a.d.soft(ctx, p.TaskID); err != nil {
			return contract.Detected{}, err
		}
		out, report, err := a.d.Steps.Detect(ctx, p)
		if ctx.Err() != nil {
			return out, errors.Join(err, ctx.Err())
		}
		if kept := a.d.Catalogue.AddReport(ctx, p.TaskID, "", string(w.stage), report); err == nil {
			err = kept
		}
		return out, err
	})
}
