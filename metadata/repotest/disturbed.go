package repotest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// Disturbed accepts and starts tasks from several sides while disturb kills the database
// server, which comes back, and cuts connections. What was acknowledged is there, nothing
// is there by halves, and all that is ever said is errcode.CatalogueBusy.
func Disturbed(t *testing.T, repo metadata.Repository, disturb func()) {
	cat := metadata.New(repo)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var mu sync.Mutex
	var acknowledged []string
	busy := 0
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := uuid.NewString()
				_, err := cat.Accept(ctx, metadata.NewImport{Task: metadata.Task{ID: id, Owner: "p", IdempotencyKey: id}, Image: metadata.Image{ID: id}})
				if err == nil {
					err = cat.Start(ctx, id)
				}
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, id)
				case ctx.Err() == nil && errcode.Of(err) == errcode.CatalogueBusy:
					busy++
				case ctx.Err() == nil:
					t.Errorf("error %v", err)
				}
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	for range 3 {
		// In the middle of work, and not before it has gone on.
		for from, end := count(), time.Now().Add(time.Minute); count() < from+10; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is acknowledged any more")
			}
		}
		disturb()
	}
	for from, end := count(), time.Now().Add(time.Minute); count() < from+10 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	wg.Wait()
	t.Logf("%d acknowledged, %d told that the catalogue is busy", len(acknowledged), busy)
	for _, id := range acknowledged {
		if task, err := cat.Task(t.Context(), id); err != nil || task.Status != metadata.TaskProcessing {
			t.Fatalf("acknowledged task %s is lost: %+v, %v", id, task, err)
		}
	}
	tasks, err := cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		img, err := cat.Image(t.Context(), task.ImageID)
		want, n := metadata.ImageQueued, 1
		if task.Status == metadata.TaskProcessing {
			want, n = metadata.ImageImporting, 2
		}
		events, err2 := cat.Events(t.Context(), task.ID)
		if err != nil || err2 != nil || img.Status != want || len(events) != n {
			t.Fatalf("task %s is %s, its image %s, with %d events (%v, %v)", task.ID, task.Status, img.Status, len(events), err, err2)
		}
	}
}
