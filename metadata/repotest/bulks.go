package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// fullBulk has every field set.
func fullBulk(id string) metadata.Bulk {
	return metadata.Bulk{
		ID: id, Owner: "project", UserID: "user", Name: "weekly é", Digest: "sha256:00", Status: metadata.BulkRunning, WorkflowID: "bulk/project/" + id,
		Settings: metadata.BulkSettings{Limits: metadata.BulkLimits{Concurrency: 9, PerHost: 3, PerStore: 2, PerProject: 5,
			Bandwidth: 1 << 30, BandwidthPerHost: 1025, BandwidthPerStore: 3 << 20, BandwidthPerProject: 1 << 50}, Windows: []string{"22:00-06:00 Europe/Berlin"},
			OnFailure: metadata.OnFailureStop, Breaker: metadata.Breaker{Failures: 5, Pause: 1.5, MaxPause: 60, GiveUp: 3600}},
		Gates:   map[string]metadata.Gate{"h:80": {Failures: 7, Opened: noon, Until: noon.Add(time.Minute), Tries: 2, Probe: 3, Code: "IMG_SOURCE_UNREACHABLE", Given: true}},
		Message: "what happened", Total: 4, SeenEvent: 77, Revision: 3, Told: 2, CreatedAt: noon, UpdatedAt: noon.Add(time.Second), EndedAt: ptr(noon.Add(time.Hour)),
	}
}

// fullItem has every field set.
func fullItem(bulk string, n int) metadata.BulkItem {
	return metadata.BulkItem{
		BulkID: bulk, N: n, Key: fmt.Sprint("key", n), Host: "h:80", Store: "main", Urgency: 4, State: metadata.ItemFailed, SameAs: 1,
		TaskID: fmt.Sprint("task", n), ImageID: fmt.Sprint("image", n), Attempt: 2, Code: "IMG_EMPTY", Message: "empty é", Bytes: 1 << 40,
		StartedAt: ptr(noon), EndedAt: ptr(noon.Add(time.Second)), Digest: fmt.Sprint("digest", n), Request: json.RawMessage(`{"source": {"url":"http://h/<a>"}}`),
	}
}

func bulkRoundTrip(t *testing.T, repo metadata.Repository) {
	plain := metadata.Bulk{ID: "b", Owner: "project", Status: metadata.BulkLoading, CreatedAt: noon.Add(time.Second), UpdatedAt: noon}
	bare := metadata.BulkItem{BulkID: "a", N: 2, State: metadata.ItemPending}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutBulk(ctx, fullBulk("a")), tx.PutBulk(ctx, plain), tx.AddBulkItems(ctx, []metadata.BulkItem{bare, fullItem("a", 1), fullItem("b", 1)}))
	})
	changed := fullItem("a", 1)
	changed.State, changed.Code, changed.Attempt, changed.EndedAt, changed.SameAs = metadata.ItemRunning, "", 3, nil, 0
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		one, err1 := tx.Bulk(ctx, "a")
		same(t, one, fullBulk("a"))
		all, err2 := tx.Bulks(ctx, metadata.BulkFilter{Owner: "project"})
		same(t, all, []metadata.Bulk{plain, fullBulk("a")})
		open, err3 := tx.Bulks(ctx, metadata.BulkFilter{Unfinished: true, Name: "weekly é"})
		same(t, open, []metadata.Bulk{fullBulk("a")})
		items, err4 := tx.BulkItems(ctx, "a", metadata.ItemFilter{})
		same(t, items, []metadata.BulkItem{fullItem("a", 1), bare})
		_, none := tx.Bulk(ctx, "z")
		coded(t, none, errcode.NotFound)
		_, none = tx.BulkItem(ctx, "a", 9)
		coded(t, none, errcode.NotFound)
		return errors.Join(err1, err2, err3, err4, tx.PutBulkItem(ctx, changed))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		one, err := tx.BulkItem(ctx, "a", 1)
		same(t, one, changed)
		return errors.Join(err, tx.DeleteBulk(ctx, "a"), tx.DeleteBulk(ctx, "nobody"))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		gone, err1 := tx.BulkItems(ctx, "a", metadata.ItemFilter{})
		left, err2 := tx.BulkItems(ctx, "b", metadata.ItemFilter{})
		if len(gone) != 0 || len(left) != 1 {
			t.Errorf("items of a bulk that was removed: %v; of another: %v", gone, left)
		}
		return errors.Join(err1, err2)
	})
}

// bulkTurns asks for the items that begin next, for counts, and moves many at once.
func bulkTurns(t *testing.T, repo metadata.Repository) {
	b := fullBulk("a")
	b.EndedAt = nil
	var items []metadata.BulkItem
	for n := 1; n <= 1200; n++ {
		it := fullItem("a", n)
		it.State, it.Host, it.Urgency, it.SameAs, it.Bytes = metadata.ItemPending, fmt.Sprint("h", n%3), 5, 0, 10
		switch {
		case n == 700:
			it.Urgency = 0
		case n == 5 || n == 6:
			it.State = metadata.ItemRunning
		case n > 1100:
			it.State, it.SameAs = metadata.ItemWaiting, 5
		}
		items = append(items, it)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutBulk(ctx, b), tx.AddBulkItems(ctx, items))
	})
	numbers := func(items []metadata.BulkItem) (out []int) {
		for _, it := range items {
			out = append(out, it.N)
		}
		return out
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		turns, err1 := tx.BulkItems(ctx, "a", metadata.ItemFilter{States: []metadata.ItemState{metadata.ItemPending}, Turns: true, Limit: 4, NotHosts: []string{"h2", "h0"}})
		same(t, numbers(turns), []int{700, 1, 4, 7})
		only := metadata.ItemFilter{States: []metadata.ItemState{metadata.ItemPending}, Turns: true, Limit: 4, NotStores: []string{"second"}}
		others, err8 := tx.BulkItems(ctx, "a", only)
		same(t, numbers(others), []int{700, 1, 2, 3})
		only.NotHosts, only.NotStores = []string{"h0", "h1", "h2"}, nil
		left, err9 := tx.BulkItems(ctx, "a", only)
		same(t, len(left), 0)
		err1 = errors.Join(err1, err8, err9)
		none, err2 := tx.BulkItems(ctx, "a", metadata.ItemFilter{Turns: true, Limit: 4, NotStores: []string{"main"}})
		same(t, len(none), 0)
		page, err3 := tx.BulkItems(ctx, "a", metadata.ItemFilter{After: 4, Limit: 2, States: []metadata.ItemState{metadata.ItemRunning, metadata.ItemWaiting}})
		same(t, numbers(page), []int{5, 6})
		n, err4 := tx.RunningBulkItems(ctx, "project")
		same(t, n, 2)
		err5 := tx.MoveBulkItems(ctx, "a", metadata.ItemMove{From: []metadata.ItemState{metadata.ItemWaiting}, To: metadata.ItemPending, SameAs: 5})
		err6 := tx.MoveBulkItems(ctx, "a", metadata.ItemMove{From: []metadata.ItemState{metadata.ItemPending}, To: metadata.ItemFailed, Host: "h1", Code: "IMG_EMPTY", Message: "m", EndedAt: &noon})
		counts, err7 := tx.BulkCounts(ctx, "a")
		same(t, counts, []metadata.BulkCount{{State: metadata.ItemFailed, Items: 400, Bytes: 4000}, {State: metadata.ItemPending, Items: 798, Bytes: 7980}, {State: metadata.ItemRunning, Items: 2, Bytes: 20}})
		return errors.Join(err1, err2, err3, err4, err5, err6, err7)
	})
}

// bulkHosts asks for the items that begin next while some hosts are left out, of bulks of a
// few hosts and of very many, each with two stores.
func bulkHosts(t *testing.T, repo metadata.Repository) {
	for _, hosts := range []int{3, 200} {
		id := fmt.Sprint("of ", hosts)
		var items []metadata.BulkItem
		for n := range 2 * hosts {
			it := fullItem(id, n+1)
			it.State, it.SameAs, it.Host, it.Store, it.Urgency = metadata.ItemPending, 0, fmt.Sprintf("h%03d", n/2), fmt.Sprint("s", n%2), 5
			items = append(items, it)
		}
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			return errors.Join(tx.PutBulk(ctx, fullBulk(id)), tx.AddBulkItems(ctx, items))
		})
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			f := metadata.ItemFilter{States: []metadata.ItemState{metadata.ItemPending}, Turns: true, Limit: 3, NotHosts: []string{"h000"}, NotStores: []string{"s1"}}
			got, err := tx.BulkItems(ctx, id, f)
			var numbers []int
			for _, it := range got {
				numbers = append(numbers, it.N)
			}
			same(t, numbers, []int{3, 5, 7}[:min(3, hosts-1)])
			return err
		})
	}
}

// bulkDone finds what was done before, by its digest, while its image is there.
func bulkDone(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		there, gone := fullImage("image1"), fullImage("image2")
		there.Status, gone.Status = metadata.ImageActive, metadata.ImageDeleted
		one, two, three := fullItem("a", 1), fullItem("a", 2), fullItem("a", 3)
		one.State, two.State = metadata.ItemActive, metadata.ItemActive
		return errors.Join(tx.PutImage(ctx, there), tx.PutImage(ctx, gone), tx.PutBulk(ctx, fullBulk("a")), tx.AddBulkItems(ctx, []metadata.BulkItem{one, two, three}))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		done, err := tx.DoneBulkItems(ctx, []string{"digest1", "digest2", "digest3", "digest4"})
		want := fullItem("a", 1)
		want.State = metadata.ItemActive
		same(t, done, map[string]metadata.BulkItem{"digest1": want})
		return err
	})
}

// bulkTasks asks for what has become of tasks.
func bulkTasks(t *testing.T, repo metadata.Repository) {
	event := func(task string, kind, code string, attempt int) metadata.Event {
		return metadata.Event{TaskID: task, At: noon, Kind: kind, Stage: "fetch", Attempt: attempt, Code: code}
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		a, b := fullTask("task1"), fullTask("task2")
		a.IdempotencyKey, b.IdempotencyKey = "k1", "k2"
		a.Status, b.Status = metadata.TaskPending, metadata.TaskFailure
		return errors.Join(tx.PutTask(ctx, a), tx.PutTask(ctx, b),
			tx.AddEvent(ctx, event("task1", metadata.EventStage, "", 0)), tx.AddEvent(ctx, event("task1", metadata.EventStage, "IMG_SOURCE_UNREACHABLE", 1)),
			tx.AddEvent(ctx, event("task2", metadata.EventStage, "", 1)), tx.AddEvent(ctx, event("task1", metadata.EventReport, "", 1)),
			tx.AddEvent(ctx, event("task1", metadata.EventStage, "", 2)))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		statuses, err1 := tx.StatusesOfTasks(ctx, []string{"task1", "task2", "task3"})
		same(t, statuses, map[string]metadata.TaskStatus{"task1": metadata.TaskPending, "task2": metadata.TaskFailure})
		events, err2 := tx.StageEvents(ctx, 0, []string{"task1"})
		if len(events) != 2 || events[0].Code != "IMG_SOURCE_UNREACHABLE" || events[1].Attempt != 2 {
			t.Fatalf("events %+v", events)
		}
		later, err3 := tx.StageEvents(ctx, events[0].Seq, []string{"task1", "task2"})
		same(t, len(later), 2)
		nothing, err4 := tx.StageEvents(ctx, 0, nil)
		same(t, len(nothing), 0)
		return errors.Join(err1, err2, err3, err4)
	})
}
