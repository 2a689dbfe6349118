package activities

import (
	"context"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// CleanupActivityName is the activity's name.
const CleanupActivityName = contract.CleanupActivity

// A CleanupActivity removes what an import left behind in one place.
type CleanupActivity struct{ d Deps }

// NewCleanupActivity returns the activity.
func NewCleanupActivity(d Deps) *CleanupActivity { return &CleanupActivity{d} }

// Execute removes. An object that the catalogue's image names is kept, whatever
// the workflow believes: the catalogue is the authority.
func (a *CleanupActivity) Execute(ctx context.Context, p contract.CleanupParams) error {
	w := work{stage: contract.StageCleanup, taskID: p.TaskID, imageID: p.ImageID}
	_, err := row(ctx, a.d, w, func(ctx context.Context) (struct{}, error) {
		named, err := a.named(ctx, p)
		if err != nil {
			return struct{}{}, err
		}
		p.Success = p.Success || named
		if err := a.d.Steps.Cleanup(ctx, p); err != nil {
			return struct{}{}, err
		}
		a.d.line(ctx, w, 0, 0, nil)
		return struct{}{}, nil
	})
	return err
}

// named reports whether the catalogue's image is made of the object.
func (a *CleanupActivity) named(ctx context.Context, p contract.CleanupParams) (bool, error) {
	if p.Key == "" || p.ImageID == "" {
		return false, nil
	}
	img, err := a.d.Catalogue.Image(ctx, p.ImageID)
	if errcode.Of(err) == errcode.NotFound {
		return false, nil
	}
	return err == nil && img.Key == p.Key, err
}
