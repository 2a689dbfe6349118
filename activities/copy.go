package activities

import (
	"context"

	"ingest/internal/contract"
)

// CopyActivityName is the activity's name.
const CopyActivityName = contract.CopyActivity

// A CopyActivity brings stored bytes into another store.
type CopyActivity struct{ d Deps }

// NewCopyActivity returns the activity.
func NewCopyActivity(d Deps) *CopyActivity { return &CopyActivity{d} }

// Execute copies; another attempt goes on at the note of the upload, and a copy
// that was committed before is found again.
func (a *CopyActivity) Execute(ctx context.Context, p contract.CopyParams) (contract.Stored, error) {
	w := work{stage: contract.StageCopy, taskID: p.TaskID, imageID: p.ImageID, disk: p.Disk, store: p.Store, moves: true, heavy: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Stored, error) {
		return a.d.Steps.Copy(ctx, p, b.observe)
	})
}
