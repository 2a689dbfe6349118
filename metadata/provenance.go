package metadata

import (
	"context"
	"encoding/json"
	"time"
)

// A Provenance is the record of where an image's bytes come from. It is written
// once, by the transaction that makes the image active, and lives as long as the
// image's row, also behind the image's deletion.
type Provenance struct {
	ImageID   string
	Document  json.RawMessage // as it was made, byte by byte: it may be signed
	CreatedAt time.Time
}

// Provenance returns an image's record. errcode.NotFound says that there is none.
func (c *Catalogue) Provenance(ctx context.Context, imageID string) (Provenance, error) {
	return view(ctx, c, func(tx Tx) (Provenance, error) { return tx.Provenance(ctx, imageID) })
}

// addProvenance keeps the record of an image that becomes active, if there is one.
func (c *Catalogue) addProvenance(ctx context.Context, tx Tx, ia ImageActivation) error {
	if len(ia.Provenance) == 0 {
		return nil
	}
	return tx.PutProvenance(ctx, Provenance{ImageID: ia.ImageID, Document: ia.Provenance, CreatedAt: c.moment()})
}
