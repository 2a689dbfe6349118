package repotest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// crowd is how many goroutines the tests of concurrency start.
const crowd = 50

// together runs fn in a crowd and returns the errors.
func together(fn func(i int) error) []error {
	errs := make([]error, crowd)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range crowd {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// idempotencyKeys checks what is unique: a key within its owner, none at all.
func idempotencyKeys(t *testing.T, repo metadata.Repository) {
	put := func(id, owner, key string) error {
		return repo.InTx(t.Context(), func(tx metadata.Tx) error {
			return tx.PutTask(t.Context(), metadata.Task{ID: id, Owner: owner, IdempotencyKey: key, CreatedAt: noon, UpdatedAt: noon})
		})
	}
	for _, row := range [][3]string{{"1", "p", "k"}, {"2", "q", "k"}, {"3", "p", ""}, {"4", "p", ""}, {"1", "p", "k"}, {"5", "", "k"}} {
		if err := put(row[0], row[1], row[2]); err != nil {
			t.Errorf("put %v: %v", row, err)
		}
	}
	coded(t, put("6", "p", "k"), errcode.Conflict)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for owner, id := range map[string]string{"p": "1", "q": "2", "": "5"} {
			got, err := tx.TaskByKey(ctx, owner, "k")
			if err != nil {
				return err
			}
			if got.ID != id {
				t.Errorf("key of owner %q finds task %s, want %s", owner, got.ID, id)
			}
		}
		return nil
	})
}

func manyAcceptOneKey(t *testing.T, repo metadata.Repository) {
	cat := metadata.New(repo)
	accepted := make([]metadata.Accepted, crowd)
	errs := together(func(i int) (err error) {
		accepted[i], err = cat.Accept(t.Context(), metadata.NewImport{
			Task: metadata.Task{ID: numbered("t", i), Owner: "p", IdempotencyKey: "one",
				Request: json.RawMessage(fmt.Sprintf(`{"task_id":"t-%03d","source":{"url":"u"}}`, i))},
			Image: metadata.Image{ID: numbered("i", i)},
		})
		return err
	})
	created := 0
	for i, err := range errs {
		if err != nil {
			t.Fatalf("accept %d: %v", i, err)
		}
		if accepted[i].Created {
			created++
		}
		if accepted[i].Task.ID != accepted[0].Task.ID || accepted[i].Image.ID != accepted[0].Image.ID {
			t.Errorf("accept %d gave task %s, another one %s", i, accepted[i].Task.ID, accepted[0].Task.ID)
		}
	}
	if created != 1 {
		t.Errorf("%d of %d have created the task, want 1", created, crowd)
	}
	if tasks, images := listTasks(t, repo, metadata.TaskFilter{}), listImages(t, repo, metadata.ImageFilter{}); len(tasks) != 1 || len(images) != 1 {
		t.Errorf("%d tasks and %d images, want one of each", len(tasks), len(images))
	}
}

// manyIncrement reads and writes one task and one image from all sides.
func manyIncrement(t *testing.T, repo metadata.Repository) {
	const each = 4
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		if err := tx.PutTask(ctx, metadata.Task{ID: "t", CreatedAt: noon, UpdatedAt: noon}); err != nil {
			return err
		}
		return tx.PutImage(ctx, metadata.Image{ID: "i", CreatedAt: noon, UpdatedAt: noon})
	})
	errs := together(func(int) error {
		for range each {
			err := repo.InTx(t.Context(), func(tx metadata.Tx) error {
				task, err := tx.Task(t.Context(), "t")
				if err != nil {
					return err
				}
				img, err := tx.Image(t.Context(), "i")
				if err != nil {
					return err
				}
				task.Restarts++
				img.MinDisk++
				if err := tx.PutTask(t.Context(), task); err != nil {
					return err
				}
				return tx.PutImage(t.Context(), img)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for i, err := range errs {
		if err != nil {
			t.Fatalf("goroutine %d: %v", i, err)
		}
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		task, err := tx.Task(ctx, "t")
		if err != nil {
			return err
		}
		img, err := tx.Image(ctx, "i")
		if task.Restarts != crowd*each || img.MinDisk != crowd*each {
			t.Errorf("counted %d and %d, want %d", task.Restarts, img.MinDisk, crowd*each)
		}
		return err
	})
}

// manyInsertOneID lets a crowd insert the same row unless it is there.
func manyInsertOneID(t *testing.T, repo metadata.Repository) {
	errs := together(func(i int) error {
		_, err := metadata.New(repo).CreateImage(t.Context(), metadata.Image{ID: "one", Name: numbered("n", i)})
		return err
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		coded(t, err, errcode.Conflict)
	}
	if won != 1 {
		t.Errorf("%d have made the image, want 1", won)
	}
}

// readersBesideWriters moves one unit between two rows while others sum them:
// a transaction sees all of another one or nothing.
func readersBesideWriters(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for _, id := range []string{"a", "b"} {
			if err := tx.PutImage(ctx, metadata.Image{ID: id, MinDisk: 100, CreatedAt: noon, UpdatedAt: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	cat := metadata.New(repo)
	errs := together(func(i int) error {
		if i%2 == 0 {
			images, err := cat.Images(t.Context(), metadata.ImageFilter{})
			if err == nil && (len(images) != 2 || images[0].MinDisk+images[1].MinDisk != 200) {
				return fmt.Errorf("saw half a transaction: %+v", images)
			}
			return err
		}
		return repo.InTx(t.Context(), func(tx metadata.Tx) error {
			for id, step := range map[string]int64{"a": 1, "b": -1} {
				img, err := tx.Image(t.Context(), id)
				if err != nil {
					return err
				}
				img.MinDisk += step
				if err := tx.PutImage(t.Context(), img); err != nil {
					return err
				}
			}
			return nil
		})
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("goroutine %d: %v", i, err)
		}
	}
}
