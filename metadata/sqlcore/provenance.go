package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type provenanceRow struct {
	bun.BaseModel `bun:"table:provenance"`

	ImageID   string `bun:"image_id,pk"`
	Document  string `bun:"document"`
	CreatedUS int64  `bun:"created_us"`
}

func (t *tx) Provenance(ctx context.Context, imageID string) (metadata.Provenance, error) {
	var row provenanceRow
	q := t.db.NewSelect().Model(&row).Where("image_id = ?", imageID)
	if err := t.one(ctx, q, "provenance of image", imageID); err != nil {
		return metadata.Provenance{}, err
	}
	return metadata.Provenance{ImageID: row.ImageID, Document: raw(row.Document), CreatedAt: moment(row.CreatedUS)}, nil
}

// PutProvenance implements metadata.Tx. The image is looked for first: databases say
// differently that a row which another one refers to is missing.
func (t *tx) PutProvenance(ctx context.Context, p metadata.Provenance) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := checkProvenance(p); err != nil {
		return err
	}
	known, err := t.db.NewSelect().Table("images").Where("id = ?", p.ImageID).Exists(ctx)
	if err != nil {
		return unavailable(ctx, err, "read image of provenance")
	}
	if !known {
		return errcode.New(errcode.NotFound, "image %q does not exist", p.ImageID)
	}
	row := provenanceRow{ImageID: p.ImageID, Document: string(p.Document), CreatedUS: micros(p.CreatedAt)}
	if _, err := t.db.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return unavailable(ctx, err, "replace provenance")
	}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write provenance")
}
