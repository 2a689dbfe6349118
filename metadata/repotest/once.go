package repotest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func onceRoundTrip(t *testing.T, repo metadata.Repository) {
	put := func(owner, key string, at time.Time) metadata.Once {
		o := metadata.Once{Owner: owner, Key: key, Request: "digest", Answer: json.RawMessage(`{"a":"ü"}`), CreatedAt: at}
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutOnce(ctx, o) })
		return o
	}
	there := func(owner, key string) bool {
		var err error
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			_, err = tx.Once(ctx, owner, key)
			return nil
		})
		if err != nil {
			coded(t, err, errcode.NotFound)
		}
		return err == nil
	}
	want := put("red", "k", noon)
	put("blue", "k", noon)
	put("red", "K", noon.Add(time.Second))
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.Once(ctx, "red", "k")
		same(t, got, want)
		return err
	})
	if there("green", "k") || there("red", "missing") || there("red", "k ") {
		t.Error("a key was found that nobody has used")
	}
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutOnce(t.Context(), want) })
	coded(t, err, errcode.Conflict)

	trim := func(before time.Time, keep int) {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.TrimOnce(ctx, before, "red", keep) })
	}
	trim(noon, 2)
	if !there("red", "k") || !there("red", "K") || !there("blue", "k") {
		t.Error("a key was removed that is neither old nor one too many")
	}
	trim(noon, 1)
	if there("red", "k") || !there("red", "K") || !there("blue", "k") {
		t.Error("the oldest key of the project was to be removed, and no other")
	}
	trim(noon.Add(time.Millisecond), 1)
	if !there("red", "K") || there("blue", "k") {
		t.Error("what is older was to be removed, whosever it is")
	}
}

// manyCreateOneKey lets many make an image under one key at once: one is made.
func manyCreateOneKey(t *testing.T, repo metadata.Repository) {
	const n = 16
	cat := metadata.New(repo)
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			img := metadata.Image{ID: fmt.Sprint("image-", i), Owner: "red", Properties: map[string]string{"a": "b"}}
			made, _, err := cat.CreateImageOnce(t.Context(), img, metadata.Once{Owner: "red", Key: "one", Request: "r"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = made.ID
		})
	}
	all.Wait()
	images, err := cat.Images(t.Context(), metadata.ImageFilter{})
	if err != nil || len(images) != 1 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for i, id := range ids {
		if id != images[0].ID {
			t.Errorf("request %d was told of %q, made was %q", i, id, images[0].ID)
		}
	}
	_, _, err = cat.CreateImageOnce(t.Context(), metadata.Image{ID: "other", Owner: "red"}, metadata.Once{Owner: "red", Key: "one", Request: "s"})
	coded(t, err, errcode.IdempotencyReuse)
}
