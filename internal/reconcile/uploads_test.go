package reconcile

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/metadata"
)

func TestSilentUploadsAreGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		staged bool
		whole  bool
		after  time.Duration
		all    bool
		given  bool
	}{
		{"received a moment ago", false, false, 30 * time.Second, false, false},
		{"silent", false, false, 2 * time.Minute, false, true},
		{"silent while it is staged", true, false, 2 * time.Minute, false, true},
		{"of a server that was killed", false, false, time.Second, true, true},
		{"waits for its import", true, true, time.Hour, true, false},
		{"waits too long", true, true, 25 * time.Hour, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cat := catalogue(t)
			img, err := cat.CreateImage(t.Context(), metadata.Image{ID: uuid.NewString(), Owner: "p", DiskFormat: "raw", ContainerFormat: "bare"})
			if err != nil {
				t.Fatal(err)
			}
			u := metadata.Upload{ID: uuid.NewString(), ImageID: img.ID, Staged: c.staged, Place: "main"}
			if _, err := cat.BeginUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			if c.whole {
				if err := cat.FinishStaging(t.Context(), u, 1); err != nil {
					t.Fatal(err)
				}
			}
			list, err := cat.Uploads(t.Context())
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			var gone []contract.Upload
			s := &Uploads{Catalogue: cat, Log: zerolog.Nop(), Now: func() time.Time { return list[0].Touched.Add(c.after) },
				Discard: func(_ context.Context, u contract.Upload) error { gone = append(gone, u); return nil }}
			if err := s.Once(t.Context(), c.all); err != nil {
				t.Fatal(err)
			}
			img, err = cat.Image(t.Context(), img.ID)
			if err != nil || (img.Status == metadata.ImageQueued) != c.given || (len(gone) == 1) != c.given {
				t.Errorf("the image is %s, removed %v, %v", img.Status, gone, err)
			}
		})
	}
}
