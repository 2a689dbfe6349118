package activities

import (
	"context"
	"errors"

	"ingest/internal/contract"
)

// LocateActivityName is the activity's name.
const LocateActivityName = contract.LocateActivity

// A LocateActivity looks at an object that is in a store already.
type LocateActivity struct{ d Deps }

// NewLocateActivity returns the activity.
func NewLocateActivity(d Deps) *LocateActivity { return &LocateActivity{d} }

// Execute checks the object and takes its digests; another attempt goes on behind the last
// hint of this one. The findings are kept also of an object that is refused.
func (a *LocateActivity) Execute(ctx context.Context, p contract.LocateParams) (contract.Located, error) {
	w := work{stage: contract.StageLocate, taskID: p.TaskID, imageID: p.ImageID, moves: true, heavy: true, parses: true}
	w.resume = earlier(ctx).Resume
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Located, error) {
		var err error
		if p.Soft, err = a.d.soft(ctx, p.TaskID); err != nil {
			return contract.Located{}, err
		}
		out, found, err := a.d.Steps.Locate(ctx, p, w.resume, b.observe)
		if ctx.Err() != nil {
			return out, errors.Join(err, ctx.Err())
		}
		report := validation{Target: out.Target, Findings: found}
		if kept := a.d.Catalogue.AddReport(ctx, p.TaskID, "", string(w.stage), report); err == nil {
			err = kept
		}
		if err == nil {
			judged := contract.ValidateParams{TaskID: p.TaskID, ImageID: p.ImageID, Fetched: out.Fetched, Detected: out.Detected, Target: out.Target}
			err = a.d.judgeValidation(ctx, judged, contract.Validated{Target: out.Target}, found)
		}
		return out, err
	})
}
