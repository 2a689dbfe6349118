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
		var out contract.ImportResult
		var spare []contract.Stored
		err := choosing(func() (err error) {
			out, spare, err = a.add(ctx, p)
			return err
		})
		if err == nil {
			a.d.line(ctx, w, p.Image.Size, 0, nil)
			a.drop(ctx, p, spare)
		}
		return out, err
	})
}

// add records the copies, and returns those in whose stead others were taken that
// have the same bytes.
func (a *AddCopiesActivity) add(ctx context.Context, p contract.AddCopiesParams) (contract.ImportResult, []contract.Stored, error) {
	img := p.Image
	out := contract.ImportResult{TaskID: p.TaskID}
	own, err := a.d.Catalogue.Image(ctx, img.ImageID)
	if err != nil && errcode.Of(err) != errcode.NotFound {
		return out, nil, err
	}
	b := metadata.Bytes{HashAlgo: img.HashAlgo, HashValue: img.HashValue, Size: img.Size}
	places, choice, err := a.d.share(ctx, own.Owner, b, p.Copies, []string{img.ImageID})
	if err != nil {
		return out, nil, err
	}
	var spare []contract.Stored
	for i, c := range places {
		img.Stores = append(img.Stores, c.Store)
		if c.Key != p.Copies[i].Key {
			spare = append(spare, p.Copies[i])
		}
	}
	img.FailedStores = p.Failed
	out.Images = []contract.ImageResult{img}
	raw, err := json.Marshal(out)
	if err != nil {
		return out, nil, errcode.Wrap(err, errcode.Internal, "write result of task %s", p.TaskID)
	}
	done := metadata.CopiesDone{TaskID: p.TaskID, Copies: locations(places), Twins: choice, Failed: p.Failed, Result: raw}
	return out, spare, a.d.Catalogue.AddCopies(ctx, done)
}

// drop removes copies that nobody needs. What it cannot remove is swept. The run before
// whose answer was lost may have recorded the very copy that this one has no use for, so
// that the catalogue is asked, as in every cleanup.
func (a *AddCopiesActivity) drop(ctx context.Context, p contract.AddCopiesParams, spare []contract.Stored) {
	for _, c := range spare {
		one := contract.CleanupParams{TaskID: p.TaskID, ImageID: p.Image.ImageID, Store: c.Store, Key: c.Key}
		if err := NewCleanupActivity(a.d).one(ctx, one); err != nil {
			a.d.Log.Warn().Err(err).Str("store", c.Store).Str("key", c.Key).Msg("remove a copy that is there already")
		}
	}
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
