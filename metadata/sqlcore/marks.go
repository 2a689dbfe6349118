package sqlcore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"ingest/metadata"
)

// tagRow and propertyRow are what lists find an image by. The truth stands in the
// image's own row, whose version guards these too.
type tagRow struct {
	bun.BaseModel `bun:"table:image_tags"`

	ImageID string `bun:"image_id,pk"`
	Tag     string `bun:"tag,pk"`
}

type propertyRow struct {
	bun.BaseModel `bun:"table:image_properties"`

	ImageID   string `bun:"image_id,pk"`
	Name      string `bun:"name,pk"`
	ValueHash string `bun:"value_hash"`
}

// valueHash stands for a property's value, of any length.
func valueHash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// A marked is what an image's rows in image_tags and image_properties are made of: its
// columns as text.
type marked struct{ tags, properties string }

// putMarks makes the rows by which lists find an image those of its tags and
// properties. What this run has read and stays as it is costs nothing.
func (t *tx) putMarks(ctx context.Context, img metadata.Image, now marked) error {
	was, seen := t.marks[img.ID]
	if !seen || was.tags != now.tags {
		if err := replaceTags(ctx, t.db, img.ID, img.Tags, !seen || was.tags != ""); err != nil {
			return unavailable(ctx, err, "write tags")
		}
	}
	if !seen || was.properties != now.properties {
		if err := replaceProperties(ctx, t.db, img.ID, img.Properties, !seen || was.properties != ""); err != nil {
			return unavailable(ctx, err, "write properties")
		}
	}
	t.marks[img.ID] = now
	return nil
}

func replaceTags(ctx context.Context, db bun.IDB, imageID string, tags []string, old bool) error {
	if old {
		if _, err := db.NewDelete().Model((*tagRow)(nil)).Where("image_id = ?", imageID).Exec(ctx); err != nil {
			return err
		}
	}
	rows := make([]tagRow, 0, len(tags))
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(tags))) {
		rows = append(rows, tagRow{ImageID: imageID, Tag: tag})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := db.NewInsert().Model(&rows).Exec(ctx)
	return err
}

func replaceProperties(ctx context.Context, db bun.IDB, imageID string, properties map[string]string, old bool) error {
	if old {
		if _, err := db.NewDelete().Model((*propertyRow)(nil)).Where("image_id = ?", imageID).Exec(ctx); err != nil {
			return err
		}
	}
	rows := make([]propertyRow, 0, len(properties))
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		rows = append(rows, propertyRow{ImageID: imageID, Name: name, ValueHash: valueHash(properties[name])})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := db.NewInsert().Model(&rows).Exec(ctx)
	return err
}

// imageListsVersion is that of the migration which makes the tables of marks.
const imageListsVersion = 6

// fillAtOnce bounds how many images are in memory while the tables are filled.
const fillAtOnce = 500

// fillImageLists writes the marks of all images that are there. What a run before has
// written is replaced.
func fillImageLists(ctx context.Context, s Session) error {
	for last := ""; ; {
		var rows []struct {
			ID         string `bun:"id"`
			Tags       string `bun:"tags"`
			Properties string `bun:"properties"`
		}
		err := s.NewSelect().Table("images").Column("id", "tags", "properties").
			Where("id > ?", last).Order("id").Limit(fillAtOnce).Scan(ctx, &rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			var tags []string
			var properties map[string]string
			if err := decode("image "+row.ID, "tags", row.Tags, &tags); err != nil {
				return err
			}
			if err := decode("image "+row.ID, "properties", row.Properties, &properties); err != nil {
				return err
			}
			if err := replaceTags(ctx, s, row.ID, tags, true); err != nil {
				return err
			}
			if err := replaceProperties(ctx, s, row.ID, properties, true); err != nil {
				return err
			}
		}
		last = rows[len(rows)-1].ID
	}
}
