package reconcile

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/stores"
	"ingest/stores/fs"
)

func TestScrubEndsImagesWhoseTimeIsOver(t *testing.T) {
	repoCat := catalogueWith(t, metadata.WithDelayedDelete(true))
	store, err := fs.Open(t.TempDir(), "main")
	if err != nil {
		t.Fatal(err)
	}
	task := accept(t, repoCat)
	if err := repoCat.Start(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	key := stores.NewKey(task.ImageID, uuid.NewString())
	commit(t, begin(t, store, key))
	if err := repoCat.Activate(t.Context(), metadata.Activation{TaskID: task.ID, Result: []byte(`{}`), Images: []metadata.ImageActivation{{
		ImageID: task.ImageID, DiskFormat: "raw", ContainerFormat: "bare", Size: 1, VirtualSize: 1, Store: "main", Key: key}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := repoCat.DeleteImage(t.Context(), task.ImageID); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	r := &Reaper{Catalogue: repoCat, ScrubTime: time.Hour, Now: func() time.Time { return now },
		Sweeper: &Sweeper{Catalogue: repoCat, Stores: map[string]stores.Store{"main": store}, StagingDir: t.TempDir(), Log: zerolog.Nop()}}
	for _, c := range []struct {
		after time.Duration
		dry   bool
		want  int
		there errcode.Code
	}{{59 * time.Minute, false, 0, ""}, {61 * time.Minute, true, 1, ""}, {61 * time.Minute, false, 1, errcode.NotFound}, {61 * time.Minute, false, 0, errcode.NotFound}} {
		now = time.Now().Add(c.after)
		got, err := r.Reap(t.Context(), contract.ReapParams{DryRun: c.dry, Kind: contract.ReapedImage})
		if err != nil || len(got.Errors) > 0 || got.Counts[contract.ReapedImage] != c.want {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
		if _, err := store.Stat(t.Context(), key); errcode.Of(err) != c.there {
			t.Errorf("%+v: the object: %v", c, err)
		}
	}
	if _, err := r.Reap(t.Context(), contract.ReapParams{Kind: "everything"}); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("a strange kind: %v", err)
	}
}
