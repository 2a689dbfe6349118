package activities

import (
	"context"

	"ingest/internal/contract"
)

// MarkStoresActivityName is the activity's name.
const MarkStoresActivityName = contract.MarkStoresActivity

// A MarkStoresActivity shows on an image which stores it is brought into.
type MarkStoresActivity struct{ d Deps }

// NewMarkStoresActivity returns the activity.
func NewMarkStoresActivity(d Deps) *MarkStoresActivity { return &MarkStoresActivity{d} }

// Execute marks.
func (a *MarkStoresActivity) Execute(ctx context.Context, p contract.MarkStoresParams) error {
	w := work{stage: contract.StageCopy, taskID: p.TaskID, imageID: p.ImageID}
	_, err := row(ctx, a.d, w, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.d.Catalogue.MarkStores(ctx, p.TaskID, p.ImageID, p.Importing, p.Failed)
	})
	return err
}
