package repotest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// racers is how many do the same at once.
const racers = 8

// uploads has many begin an upload for one image, and then one finish it while another
// gives it up: of each, one wins.
func uploads(t *testing.T, repo metadata.Repository) {
	cat := metadata.New(repo)
	for range 5 {
		img, err := cat.CreateImage(t.Context(), metadata.Image{ID: uuid.NewString(), Owner: "p", DiskFormat: "raw", ContainerFormat: "bare"})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var winners atomic.Int64
		var won metadata.Upload
		for range racers {
			all.Go(func() {
				u := metadata.Upload{ID: uuid.NewString(), ImageID: img.ID, Place: "local", Key: img.ID + "/x", Bytes: 10}
				_, err := cat.BeginUpload(t.Context(), u)
				switch {
				case err == nil:
					winners.Add(1)
					won = u
				case errcode.Of(err) != errcode.Conflict:
					t.Error(err)
				}
			})
		}
		if all.Wait(); winners.Load() != 1 {
			t.Fatalf("%d uploads were begun for one image", winners.Load())
		}
		finishOrAbandon(t, cat, img.ID, won)
	}
	if left, err := cat.Reservations(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func finishOrAbandon(t *testing.T, cat *metadata.Catalogue, id string, u metadata.Upload) {
	t.Helper()
	var both sync.WaitGroup
	var finished error
	var given bool
	both.Go(func() {
		_, finished = cat.FinishUpload(t.Context(), u, metadata.ImageActivation{ImageID: id, Size: 10, VirtualSize: 10, HashAlgo: "sha256", HashValue: "x", Store: "local", Key: u.Key})
	})
	both.Go(func() {
		var err error
		if given, err = cat.AbandonUpload(t.Context(), u); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
	img, err := cat.Image(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	active := finished == nil && !given && img.Status == metadata.ImageActive && *img.Size == 10
	queued := errcode.Of(finished) == errcode.Conflict && given && img.Status == metadata.ImageQueued && img.Size == nil
	if !active && !queued {
		t.Errorf("finished %v, given up %v, the image is %s", errors.Unwrap(finished), given, img.Status)
	}
}
