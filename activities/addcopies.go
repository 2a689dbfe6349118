package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// AddCopiesActivityName is the activity's name.
const AddCopiesActivityName = contract.AddCopiesActivity

// An AddCopiesActivity gives an image its copies and ends the task that made them,
// in one transaction.
type AddCopiesActivity struct{ d Deps }

// NewAddCopiesActivity returns the activity.
func NewAddCopiesActivity(d Deps) *AddCopiesActivity { return &AddCopiesActivity{d} }

// Execute adds, and returns the result that it has recorded.
func (a *AddCopiesActivity) Execute(ctx context.Context, p contract.AddCopiesParams) (contract.ImportResult, error) {
	w := work{stage: contract.StageActivate, taskID: p.TaskID, imageID: p.Image.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ImportResult, error) {
		img := p.Image
		for _, c := range p.Copies {
			img.Stores = append(img.Stores, c.Store)
		}
		img.FailedStores = p.Failed
		out := contract.ImportResult{TaskID: p.TaskID, Images: []contract.ImageResult{img}}
		raw, err := json.Marshal(out)
		if err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "write result of task %s", p.TaskID)
		}
		done := metadata.CopiesDone{TaskID: p.TaskID, Copies: locations(p.Copies), Failed: p.Failed, Result: raw}
		if err = a.d.Catalogue.AddCopies(ctx, done); err == nil {
			a.d.line(ctx, w, img.Size, 0, nil)
		}
		return out, err
	})
}

// locations writes places as the catalogue has them.
func locations(stored []contract.Stored) []metadata.Location {
	var out []metadata.Location
	for _, s := range stored {
		out = append(out, metadata.Location{Store: s.Store, Key: s.Key})
	}
	return out
}

// storeNames lists the stores of an image, the first one first.
func storeNames(first contract.Stored, copies []contract.Stored) []string {
	out := []string{first.Store}
	for _, c := range copies {
		out = append(out, c.Store)
	}
	return out
}
