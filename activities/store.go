package activities

import (
	"context"

	"ingest/internal/contract"
)

// StoreActivityName is the activity's name.
const StoreActivityName = contract.StoreActivity

// A StoreActivity commits a sealed upload.
type StoreActivity struct{ d Deps }

// NewStoreActivity returns the activity.
func NewStoreActivity(d Deps) *StoreActivity { return &StoreActivity{d} }

// Execute commits; a commit that was made before is found again.
func (a *StoreActivity) Execute(ctx context.Context, p contract.StoreParams) (contract.Stored, error) {
	w := work{stage: contract.StageStore, taskID: p.TaskID, imageID: p.ImageID, disk: p.Disk}
	return attempt(ctx, a.d, w, func(ctx context.Context, _ *beat) (contract.Stored, error) {
		return a.d.Steps.Commit(ctx, p)
	})
}
