package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// fullProvenance has every field set, and bytes that no JSON library would write.
func fullProvenance(imageID string) metadata.Provenance {
	return metadata.Provenance{ImageID: imageID, Document: json.RawMessage(`{"b": 1,  "a":["<&>é` + strings.Repeat("x", 100_000) + `"]}`), CreatedAt: noon}
}

func provenanceRoundTrip(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, fullImage("a")), tx.PutImage(ctx, fullImage("b")), tx.PutProvenance(ctx, fullProvenance("a")))
	})
	for _, want := range []metadata.Provenance{fullProvenance("a"), {ImageID: "a", Document: json.RawMessage(`{}`), CreatedAt: noon}} {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutProvenance(ctx, want) })
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.Provenance(ctx, "a")
			same(t, got, want)
			_, none := tx.Provenance(ctx, "b")
			coded(t, none, errcode.NotFound)
			return err
		})
	}
	// An image that changes, or is marked as deleted, keeps its record.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		img, err := tx.Image(ctx, "a")
		img.Status = metadata.ImageDeleted
		return errors.Join(err, tx.PutImage(ctx, img))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Provenance(ctx, "a")
		return err
	})
}

func provenanceNeedsItsImage(t *testing.T, repo metadata.Repository) {
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutProvenance(t.Context(), fullProvenance("nobody")) })
	coded(t, err, errcode.NotFound)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, fullImage("a")) })
	bad := fullProvenance("a")
	bad.Document = json.RawMessage("\"\x00\"")
	err = repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutProvenance(t.Context(), bad) })
	coded(t, err, errcode.BadRequest)
	// A transaction that fails later leaves nothing.
	stop := errors.New("stop")
	err = repo.InTx(t.Context(), func(tx metadata.Tx) error {
		return errors.Join(tx.PutProvenance(t.Context(), fullProvenance("a")), stop)
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Provenance(ctx, "a")
		coded(t, err, errcode.NotFound)
		return nil
	})
}
