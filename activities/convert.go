package activities

import (
	"context"

	"ingest/internal/contract"
)

// ConvertActivityName is the activity's name.
const ConvertActivityName = contract.ConvertActivity

// A ConvertActivity writes the target into an uncommitted upload.
type ConvertActivity struct{ d Deps }

// NewConvertActivity returns the activity.
func NewConvertActivity(d Deps) *ConvertActivity { return &ConvertActivity{d} }

// Execute converts; another attempt goes on in the same upload.
func (a *ConvertActivity) Execute(ctx context.Context, p contract.ConvertParams) (contract.Converted, error) {
	w := work{stage: contract.StageConvert, taskID: p.TaskID, imageID: p.ImageID, disk: p.Disk, moves: true, heavy: true, parses: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Converted, error) {
		var err error
		if p.Soft, err = a.d.soft(ctx, p.TaskID); err != nil {
			return contract.Converted{}, err
		}
		return a.d.Steps.Convert(ctx, p, b.observe)
	})
}
