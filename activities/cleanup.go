package activities

import (
	"context"
	"errors"

	"ingest/internal/contract"
	"ingest/metadata"
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
		all := []contract.CleanupParams{p}
		all[0].Further = nil
		for _, l := range p.Further {
			all = append(all, contract.CleanupParams{TaskID: p.TaskID, ImageID: l.ImageID, Store: l.Store, Key: l.Key, Success: p.Success})
		}
		var errs []error
		for _, one := range all {
			errs = append(errs, a.one(ctx, one))
		}
		if err := errors.Join(errs...); err != nil {
			return struct{}{}, err
		}
		a.d.line(ctx, w, 0, 0, nil)
		return struct{}{}, nil
	})
	return err
}

// one removes what is left of one disk. What another one's removal comes to is no
// reason to leave it.
func (a *CleanupActivity) one(ctx context.Context, p contract.CleanupParams) error {
	named, err := a.named(ctx, p)
	if err != nil {
		return err
	}
	if p.Key != "" && p.ImageID != "" {
		// What a successful import has stored is nobody's, too, if its image was made
		// of an object that had the same bytes.
		p.Success = named
	}
	return a.d.Steps.Cleanup(ctx, p)
}

// named reports whether an image of the catalogue is made of the object, be it that of
// another task, which shares it.
func (a *CleanupActivity) named(ctx context.Context, p contract.CleanupParams) (bool, error) {
	if p.Key == "" || p.ImageID == "" {
		return false, nil
	}
	return a.d.Catalogue.Named(ctx, metadata.Location{Store: p.Store, Key: p.Key})
}
