package sqlcore

import (
	"context"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// idsAtOnce bounds how many ids stand in one query: SQLite takes a million
// characters.
const idsAtOnce = 1000

// locationRow is one copy of an image. Where its bytes lie first stands in the
// image's own row; the row version of that guards these too.
type locationRow struct {
	bun.BaseModel `bun:"table:image_locations"`

	ImageID   string `bun:"image_id,pk"`
	Store     string `bun:"store,pk"`
	ObjectKey string `bun:"object_key"`
	Status    string `bun:"status"`
	Metadata  string `bun:"metadata"`
	CreatedUS int64  `bun:"created_us"`
}

func (r locationRow) copied() (metadata.Copy, error) {
	c := metadata.Copy{
		Location: metadata.Location{Store: r.Store, Key: r.ObjectKey}, Status: metadata.CopyStatus(r.Status), CreatedAt: moment(r.CreatedUS),
	}
	return c, decode("image "+r.ImageID, "metadata of a location", r.Metadata, &c.Metadata)
}

func newLocationRow(imageID string, c metadata.Copy) (locationRow, error) {
	text, err := encode("image", "metadata of a location", c.Metadata, len(c.Metadata) == 0)
	return locationRow{ImageID: imageID, Store: c.Store, ObjectKey: c.Key, Status: string(c.Status), Metadata: text, CreatedUS: micros(c.CreatedAt)}, err
}

// addCopies reads the copies of images that were read.
func (t *tx) addCopies(ctx context.Context, images []metadata.Image) error {
	at := make(map[string]int, len(images))
	for i, img := range images {
		at[img.ID] = i
		t.copies[img.ID] = nil
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(at)), idsAtOnce) {
		var rows []locationRow
		err := t.db.NewSelect().Model(&rows).Where("image_id IN (?)", bun.In(ids)).Order("created_us", "store").Scan(ctx)
		if err != nil {
			return unavailable(ctx, err, "read locations")
		}
		for _, row := range rows {
			c, err := row.copied()
			if err != nil {
				return err
			}
			img := &images[at[row.ImageID]]
			img.Copies = append(img.Copies, c)
		}
	}
	for _, img := range images {
		t.copies[img.ID] = slices.Clone(img.Copies)
	}
	return nil
}

// putCopies makes the rows of an image's copies those that are given. What this
// run has read and stays as it is costs nothing.
func (t *tx) putCopies(ctx context.Context, img metadata.Image) error {
	known, seen := t.copies[img.ID]
	if seen && slices.EqualFunc(known, img.Copies, sameCopy) {
		return nil
	}
	taken := map[string]bool{img.Store: img.Key != ""}
	rows := make([]locationRow, 0, len(img.Copies))
	for _, c := range img.Copies {
		if taken[c.Store] {
			return errcode.New(errcode.Conflict, "image %s is in store %q twice", img.ID, c.Store)
		}
		taken[c.Store] = true
		row, err := newLocationRow(img.ID, c)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if !seen || len(known) > 0 {
		if _, err := t.db.NewDelete().Model((*locationRow)(nil)).Where("image_id = ?", img.ID).Exec(ctx); err != nil {
			return unavailable(ctx, err, "replace locations")
		}
	}
	if len(rows) > 0 {
		if _, err := t.db.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return unavailable(ctx, err, "write locations")
		}
	}
	t.copies[img.ID] = slices.Clone(img.Copies)
	return nil
}

func sameCopy(a, b metadata.Copy) bool {
	return a.Location == b.Location && a.Status == b.Status && a.CreatedAt.Equal(b.CreatedAt) && maps.Equal(a.Metadata, b.Metadata)
}

// at narrows a query of images to those that have a place: the first one, or a copy.
func (t *tx) at(q *bun.SelectQuery, loc metadata.Location) {
	copies := t.db.NewSelect().Table("image_locations").Column("image_id").Where("object_key = ?", loc.Key)
	equal(copies, "store", loc.Store)
	q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.WhereGroup(" OR ", func(q *bun.SelectQuery) *bun.SelectQuery {
			equal(q.Where("object_key = ?", loc.Key), "store", loc.Store)
			return q
		}).WhereOr("id IN (?)", copies)
	})
}
