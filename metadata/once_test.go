package metadata_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/metadata"
	"ingest/metadata/sqlite"
)

func TestCreateImageOnce(t *testing.T) {
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	cat := metadata.New(repo, metadata.WithClock(func() time.Time { return now }))
	create := func(id, key string) (metadata.Image, bool) {
		t.Helper()
		img, again, err := cat.CreateImageOnce(t.Context(), metadata.Image{ID: id, Owner: "red", Name: "n", Tags: []string{"t"}}, metadata.Once{Owner: "red", Key: key, Request: "r"})
		if err != nil {
			t.Fatal(err)
		}
		return img, again
	}
	first, again := create("1", "k")
	if again || first.ID != "1" {
		t.Fatalf("%v %+v", again, first)
	}
	// What became of the image does not change the answer.
	if _, err := cat.UpdateImage(t.Context(), "1", func(m *metadata.Image) error { m.Name = "later"; return nil }); err != nil {
		t.Fatal(err)
	}
	now = now.Add(metadata.OnceTTL - time.Second)
	second, again := create("2", "k")
	if diff := cmp.Diff(first, second); !again || diff != "" {
		t.Errorf("again %v: %s", again, diff)
	}
	now = now.Add(2 * time.Second)
	if third, again := create("3", "k"); again || third.ID != "3" {
		t.Errorf("a day later: again %v, %s", again, third.ID)
	}
	for _, id := range []string{"4", "5"} {
		if img, again := create(id, ""); again || img.ID != id {
			t.Errorf("without a key: again %v, %s", again, img.ID)
		}
	}
}
