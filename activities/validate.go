package activities

import (
	"context"
	"errors"

	"ingest/formats"
	"ingest/internal/contract"
	"ingest/pipeline"
)

// ValidateActivityName is the activity's name.
const ValidateActivityName = contract.ValidateActivity

// A ValidateActivity checks a source's whole structure, looks at what is inside, and
// fixes the target.
type ValidateActivity struct{ d Deps }

// NewValidateActivity returns the activity.
func NewValidateActivity(d Deps) *ValidateActivity { return &ValidateActivity{d} }

// validation is the stage's report in the catalogue.
type validation struct {
	Disk     int                 `json:"disk,omitempty"` // number of the disk, of a source that holds several
	Target   contract.TargetSpec `json:"target"`
	Verify   string              `json:"verify,omitempty"` // level of verification
	Findings []formats.Finding   `json:"findings"`
	Guest    *pipeline.Inside    `json:"guest,omitempty"` // what is inside, of a disk that is not refused
}

// Execute validates, and looks inside what it does not refuse. The findings are kept
// also of an image that is refused.
func (a *ValidateActivity) Execute(ctx context.Context, p contract.ValidateParams) (contract.Validated, error) {
	w := work{stage: contract.StageValidate, taskID: p.TaskID, imageID: p.ImageID, disk: p.Disk, heavy: true, parses: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, _ *beat) (contract.Validated, error) {
		var err error
		if p.Soft, err = a.d.soft(ctx, p.TaskID); err != nil {
			return contract.Validated{}, err
		}
		out, findings, err := a.d.Steps.Validate(ctx, p)
		if ctx.Err() != nil {
			return out, errors.Join(err, ctx.Err())
		}
		report := validation{Disk: p.Disk, Target: out.Target, Verify: out.Verify, Findings: findings}
		if err == nil {
			inside, unread := a.d.Steps.LookInside(ctx, p)
			if ctx.Err() != nil {
				return out, errors.Join(unread, ctx.Err())
			}
			out.Guest, report.Guest, err = inside.Contract(), &inside, unread
		}
		if kept := a.d.Catalogue.AddReport(ctx, p.TaskID, "", string(w.stage), report); err == nil {
			err = kept
		}
		if err == nil {
			err = a.d.judgeValidation(ctx, p, out, findings)
		}
		return out, err
	})
}
