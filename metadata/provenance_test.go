package metadata_test

import (
	"encoding/json"
	"testing"

	"ingest/internal/errcode"
)

// TestActivateKeepsProvenance shows that the record comes with the activation, is
// not replaced by its repetition, and outlives the image's deletion.
func TestActivateKeepsProvenance(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	_, err := f.Provenance(ctx, "image-1")
	f.refused(err, errcode.NotFound)

	a := activation("1")
	second := disk("image-2")
	second.Provenance = json.RawMessage(`{"second":true}`)
	a.Images[0].Provenance = json.RawMessage(`{"made":"first"}`)
	a.Images = append(a.Images, second)
	f.ok(f.Activate(ctx, a))
	a.Images[0].Provenance = json.RawMessage(`{"made":"later"}`)
	f.ok(f.Activate(ctx, a))
	for id, want := range map[string]string{"image-1": `{"made":"first"}`, "image-2": `{"second":true}`} {
		got, err := f.Provenance(ctx, id)
		f.ok(err)
		if string(got.Document) != want || got.ImageID != id || got.CreatedAt.IsZero() {
			t.Errorf("record of %s: %+v", id, got)
		}
	}
	_, err = f.DeleteImage(ctx, "image-1")
	f.ok(err)
	_, err = f.Provenance(ctx, "image-1")
	f.ok(err)
}

// TestActivateRefusedKeepsNoProvenance fails an activation at its second image.
func TestActivateRefusedKeepsNoProvenance(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	f.started("2")
	a := activation("1")
	a.Images[0].Provenance = json.RawMessage(`{}`)
	a.Images = append(a.Images, disk("image-2")) // the row of another task
	f.refused(f.Activate(ctx, a), errcode.Conflict)
	_, err := f.Provenance(ctx, "image-1")
	f.refused(err, errcode.NotFound)
}
