package activities

import (
	"context"
	"errors"
	"path"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/stores"
)

// choices is how often an image's twins are chosen before the attempt is given up:
// each time others have come or gone meanwhile.
const choices = 20

// lookTime bounds the look at all twins of one choice. A store that does not answer
// must not hold up the activation, which is made within the time of one transaction.
const lookTime = 5 * time.Second

// share chooses for each place where bytes were stored an object that has the same
// ones already, if there is one that can be found. mine are the task's own images.
func (d Deps) share(ctx context.Context, owner string, b metadata.Bytes, placed []contract.Stored, mine []string) ([]contract.Stored, metadata.Choice, error) {
	var out []contract.Stored
	var ch metadata.Choice
	look, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, own := range placed {
		twins, err := d.Catalogue.Twins(ctx, owner, b, own.Store, mine...)
		if err != nil {
			return nil, ch, err
		}
		at := own
		for _, t := range twins {
			twin := contract.Stored{Store: t.Store, Key: t.Key, Location: pipeline.Location(t.Store, t.Key)}
			if twin.Key == own.Key {
				continue
			}
			if look.Err() != nil || !d.holds(look, twin, b) {
				ch.Unfit = append(ch.Unfit, t.Location)
				continue
			}
			if t.Owner != owner || path.Dir(t.Key) != t.Image {
				// The key holds the id of an image that is not the owner's to know, or
				// that is gone, so that nobody can tell whose it was.
				twin.Location = "store://" + t.Store
			}
			ch.Shared = append(ch.Shared, t.Location)
			at = twin
			break
		}
		out = append(out, at)
	}
	return out, ch, nil
}

// holds reports whether a twin's object can be found. If it cannot, or its store does
// not answer, the image keeps its own.
func (d Deps) holds(ctx context.Context, at contract.Stored, b metadata.Bytes) bool {
	ok, err := d.Steps.Holds(ctx, at, stores.Digest{Algo: b.HashAlgo, Hex: b.HashValue, Size: b.Size})
	if err != nil || !ok {
		d.Log.Warn().Err(err).Str("store", at.Store).Str("key", at.Key).Msg("an object that could be shared is not as it should be: see ingest fsck")
	}
	return err == nil && ok
}

// choosing runs an activation until the twins that were chosen for it are those that
// there are.
func choosing(activate func() error) error {
	var err error
	for range choices {
		if err = activate(); !errors.Is(err, metadata.ErrTwins) {
			return err
		}
	}
	return errcode.Wrap(err, errcode.CatalogueBusy, "choose an object to share")
}
