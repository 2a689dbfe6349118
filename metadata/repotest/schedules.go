package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// fullSchedule has every field set.
func fullSchedule(id string) metadata.Schedule {
	return metadata.Schedule{
		ID: id, Owner: "project", UserID: "user", Name: "name of " + id, Spec: json.RawMessage(`{"b": 1,  "a":"<&>é"}`), Paused: true, Note: "why", Deleted: true,
		Revision: 7, Told: 5, Current: "image-1", Held: json.RawMessage(`{"etag":"\"1\""}`), CreatedAt: noon, UpdatedAt: noon.Add(time.Minute),
	}
}

func fullVersion(id, schedule string) metadata.Version {
	return metadata.Version{
		ID: id, ScheduleID: schedule, TaskID: "task-1", Images: []string{id, "image-2"}, Source: json.RawMessage(`{"digest":"sha256:00"}`),
		Status: metadata.VersionOld, CreatedAt: noon, UpdatedAt: noon.Add(time.Second),
	}
}

func fullRun(id, schedule string) metadata.Run {
	return metadata.Run{
		ID: id, ScheduleID: schedule, ImageID: "image-1", ByHand: true, Outcome: "failed", Code: errcode.SourceNotFound, Message: "é",
		CreatedAt: noon, UpdatedAt: noon.Add(time.Second),
	}
}

func scheduleRoundTrip(t *testing.T, repo metadata.Repository) {
	plain := metadata.Schedule{ID: "b", Owner: "project", Name: "b", Spec: json.RawMessage(`{}`), CreatedAt: noon.Add(time.Second), UpdatedAt: noon}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		other := fullSchedule("c")
		other.Owner = "another"
		return errors.Join(tx.PutSchedule(ctx, plain), tx.PutSchedule(ctx, fullSchedule("a")), tx.PutSchedule(ctx, other),
			tx.PutVersion(ctx, fullVersion("v1", "a")), tx.PutRun(ctx, fullRun("r1", "a")),
			tx.PutVersion(ctx, metadata.Version{ID: "v2", ScheduleID: "b", CreatedAt: noon, UpdatedAt: noon}), tx.PutRun(ctx, fullRun("r2", "b")))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		all, err1 := tx.Schedules(ctx, metadata.ScheduleFilter{Owner: "project"})
		same(t, all, []metadata.Schedule{fullSchedule("a"), plain})
		named, err2 := tx.Schedules(ctx, metadata.ScheduleFilter{Name: "b"})
		same(t, named, []metadata.Schedule{plain})
		one, err3 := tx.Schedule(ctx, "a")
		same(t, one, fullSchedule("a"))
		v, err4 := tx.Version(ctx, "v1")
		same(t, v, fullVersion("v1", "a"))
		r, err5 := tx.Run(ctx, "r1")
		same(t, r, fullRun("r1", "a"))
		for _, id := range []string{"z", "\x00", "é\xff"} {
			_, none := tx.Schedule(ctx, id)
			coded(t, none, errcode.NotFound)
		}
		_, none := tx.Version(ctx, "z")
		coded(t, none, errcode.NotFound)
		_, none = tx.Run(ctx, "z")
		coded(t, none, errcode.NotFound)
		long := fullSchedule("l")
		long.Name = string(make([]byte, 256))
		coded(t, tx.PutSchedule(ctx, long), errcode.BadRequest)
		return errors.Join(err1, err2, err3, err4, err5)
	})
	// What is known of a schedule goes with it.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.DeleteSchedule(ctx, "a"), tx.DeleteSchedule(ctx, "nobody"), tx.DeleteVersion(ctx, "v2"))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, gone1 := tx.Version(ctx, "v1")
		_, gone2 := tx.Run(ctx, "r1")
		_, gone3 := tx.Version(ctx, "v2")
		for _, err := range []error{gone1, gone2, gone3} {
			coded(t, err, errcode.NotFound)
		}
		_, err := tx.Run(ctx, "r2")
		return err
	})
}

func runsOfSchedules(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		errs := []error{tx.PutSchedule(ctx, fullSchedule("a")), tx.PutSchedule(ctx, fullSchedule("b")), tx.PutRun(ctx, fullRun("other", "b"))}
		for i := range 5 {
			r := fullRun(fmt.Sprint("r", i), "a")
			r.CreatedAt = noon.Add(time.Duration(i) * time.Second)
			errs = append(errs, tx.PutRun(ctx, r))
			v := fullVersion(fmt.Sprint("v", i), "a")
			v.CreatedAt = noon.Add(-time.Duration(i) * time.Second)
			errs = append(errs, tx.PutVersion(ctx, v))
		}
		return errors.Join(errs...)
	})
	names := func(limit int) (runs, versions []string) {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			runs, versions = nil, nil
			all, err1 := tx.Runs(ctx, "a", limit)
			for _, r := range all {
				runs = append(runs, r.ID)
			}
			vs, err2 := tx.Versions(ctx, "a")
			for _, v := range vs {
				versions = append(versions, v.ID)
			}
			return errors.Join(err1, err2)
		})
		return runs, versions
	}
	runs, versions := names(2)
	same(t, runs, []string{"r4", "r3"})
	same(t, versions, []string{"v0", "v1", "v2", "v3", "v4"})
	for range 2 {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.TrimRuns(ctx, "a", 3) })
	}
	runs, _ = names(0)
	same(t, runs, []string{"r4", "r3", "r2"})
}

// manyBeginRuns lets several runs of one schedule begin at once: one of them does, and the
// others find it under way.
func manyBeginRuns(t *testing.T, repo metadata.Repository) {
	cat := metadata.New(repo)
	s, err := cat.AddSchedule(t.Context(), metadata.Schedule{ID: "s", Owner: "p", Name: "n", Spec: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	const runs = 8
	var mu sync.Mutex
	var begun, busy int
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			id := fmt.Sprint("task-", i)
			st, err := cat.BeginRun(t.Context(), metadata.RunStart{ScheduleID: s.ID, Task: metadata.Task{ID: id, WorkflowID: "w/" + id, ImageID: "image-" + id, Request: json.RawMessage(`{}`)}})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case st.Busy == "":
				begun++
			default:
				busy++
			}
		})
	}
	all.Wait()
	if begun != 1 || busy != runs-1 {
		t.Errorf("%d have begun, %d are told of another one", begun, busy)
	}
}

// manySwitch lets a rollback and a switch of one schedule happen at once, again and again:
// there is always one version that is shown.
func manySwitch(t *testing.T, repo metadata.Repository) {
	cat := metadata.New(repo)
	if _, err := cat.AddSchedule(t.Context(), metadata.Schedule{ID: "s", Owner: "p", Name: "n", Spec: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	const versions = 6
	for i := range versions {
		id := fmt.Sprint("image-", i)
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			img := fullImage(id)
			img.Status, img.Hidden, img.DeletedAt, img.Protected, img.Name = metadata.ImageActive, true, nil, false, "golden"
			return tx.PutImage(ctx, img)
		})
		task := fmt.Sprint("task-", i)
		if _, err := cat.BeginRun(t.Context(), metadata.RunStart{ScheduleID: "s", Task: metadata.Task{ID: task, WorkflowID: task, ImageID: id, Request: json.RawMessage(`{}`)}}); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() {
			_, err := cat.Switch(t.Context(), metadata.Switch{End: metadata.RunEnd{TaskID: task, Outcome: "switched"}, ImportTask: "i" + task, Images: []string{id}, Source: json.RawMessage(`{}`)})
			if err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			_, err := cat.Rollback(t.Context(), "s", "", false)
			if err != nil && errcode.Of(err) != errcode.Conflict {
				t.Error(err)
			}
		})
		both.Wait()
		images, err := cat.Images(t.Context(), metadata.ImageFilter{Name: "golden"})
		shown := 0
		for _, img := range images {
			if !img.Hidden {
				shown++
			}
		}
		s, err2 := cat.Schedule(t.Context(), "s")
		if err != nil || err2 != nil || shown != 1 {
			t.Fatalf("%d of %d images are shown, current is %s: %v, %v", shown, len(images), s.Current, err, err2)
		}
	}
}
