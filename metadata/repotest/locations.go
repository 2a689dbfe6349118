package repotest

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func copyIn(store string, n int) metadata.Copy {
	return metadata.Copy{Location: metadata.Location{Store: store, Key: "key-" + store}, Status: metadata.CopyActive, CreatedAt: noon.Add(time.Duration(n) * time.Second)}
}

// locations changes an image's copies in every way, and reads them singly and in
// lists that are longer than one query takes ids.
func locations(t *testing.T, repo metadata.Repository) {
	for _, copies := range [][]metadata.Copy{
		{copyIn("a", 1), copyIn("b", 2)}, {copyIn("b", 2)}, {copyIn("b", 2), copyIn("a", 3)}, nil, {copyIn("c", 1)},
	} {
		want := fullImage("i")
		want.Copies = copies
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, want) })
		// Once more, by a run that has read it.
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.Image(ctx, "i")
			same(t, got, want)
			return errors.Join(err, tx.PutImage(ctx, got))
		})
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.Images(ctx, metadata.ImageFilter{Deleted: true})
			same(t, got, []metadata.Image{want})
			return err
		})
	}
	twice := fullImage("i")
	twice.Copies = []metadata.Copy{copyIn(twice.Store, 1)}
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutImage(t.Context(), twice) })
	coded(t, err, errcode.Conflict)
	long := fullImage("i")
	long.Copies = []metadata.Copy{copyIn("a\x00", 1)}
	err = repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutImage(t.Context(), long) })
	coded(t, err, errcode.BadRequest)

	const many = 1100
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i := range many {
			img := metadata.Image{ID: numbered("many", i), Owner: "many", Status: metadata.ImageActive, Store: "x", Key: "k",
				Copies: []metadata.Copy{copyIn(numbered("store", i), i)}, CreatedAt: noon, UpdatedAt: noon}
			if err := tx.PutImage(ctx, img); err != nil {
				return err
			}
		}
		return nil
	})
	// Each store that has an image counts.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i, copies := range [][]metadata.Copy{nil, {copyIn("a", 1), copyIn("b", 2)}} {
			img := metadata.Image{ID: numbered("sized", i), Owner: "sized", Status: metadata.ImageActive, Size: ptr(int64(100)), Store: "x", Key: "k",
				Copies: copies, CreatedAt: noon, UpdatedAt: noon}
			if err := tx.PutImage(ctx, img); err != nil {
				return err
			}
		}
		u, err := tx.Usage(ctx, "sized")
		if u.ImageBytes != 400 {
			t.Errorf("%d bytes are used, want 400", u.ImageBytes)
		}
		return err
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.Images(ctx, metadata.ImageFilter{Owner: "many"})
		if len(got) != many {
			t.Errorf("%d images, want %d", len(got), many)
		}
		for i, img := range got {
			if len(img.Copies) != 1 || img.Copies[0].Store != "store"+img.ID[len("many"):] {
				t.Fatalf("image %d, %s, has the copies %+v", i, img.ID, img.Copies)
			}
		}
		return err
	})
}
