package activities

import (
	"context"

	"ingest/internal/contract"
)

// FetchActivityName is the activity's name.
const FetchActivityName = contract.FetchActivity

// A FetchActivity pins a source, and stages it if it cannot be read where it
// lies.
type FetchActivity struct{ d Deps }

// NewFetchActivity returns the activity.
func NewFetchActivity(d Deps) *FetchActivity { return &FetchActivity{d} }

// Execute fetches; another attempt goes on with what is staged.
func (a *FetchActivity) Execute(ctx context.Context, p contract.FetchParams) (contract.Fetched, error) {
	w := work{stage: contract.StageFetch, taskID: p.TaskID, imageID: p.ImageID, moves: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Fetched, error) {
		return a.d.Steps.Fetch(ctx, p, b.observe)
	})
}
