package metadata

import (
	"context"
	"fmt"
	"slices"

	"ingest/internal/errcode"
)

// A Steering is a change in how an unfinished task is worked on. nil leaves a thing as
// it is.
type Steering struct {
	Paused   *bool
	Priority *int
}

// Steer changes how an unfinished task is worked on, and returns the task. A change that
// changes nothing is none. A finished task is errcode.Conflict.
//
// Each change has a number, Task.Steered. Whoever tells the workflow says so with
// SteerTold, so that a change which was written down and told to nobody is found.
func (c *Catalogue) Steer(ctx context.Context, taskID string, s Steering) (Task, error) {
	return update(ctx, c, func(tx Tx) (Task, error) {
		t, err := unfinished(ctx, tx, taskID)
		if err != nil {
			return Task{}, err
		}
		var said []Event
		if s.Paused != nil && *s.Paused != t.Paused {
			t.Paused = *s.Paused
			what := TaskResumed
			if t.Paused {
				what = TaskPaused
			}
			said = append(said, Event{Message: wordOf(what)})
			if err := c.notify(ctx, tx, t, what); err != nil {
				return Task{}, err
			}
		}
		if s.Priority != nil && *s.Priority != t.Priority {
			t.Priority = *s.Priority
			said = append(said, Event{Message: fmt.Sprintf("priority %d", t.Priority)})
		}
		if len(said) == 0 {
			return t, nil
		}
		t.Steered++
		if err := c.storeTask(ctx, tx, t.Status, t); err != nil {
			return Task{}, err
		}
		for _, e := range said {
			e.Kind, e.Status, e.Stage = EventControl, string(t.Status), t.Stage
			if err := c.event(ctx, tx, t, e); err != nil {
				return Task{}, err
			}
		}
		return tx.Task(ctx, t.ID)
	})
}

// SteerTold notes that a task's workflow knows of all changes up to the numbered one. A
// task that has ended needs no note.
func (c *Catalogue) SteerTold(ctx context.Context, taskID string, n int64) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil || t.Status.Finished() || t.SteerTold >= n {
			return err
		}
		t.SteerTold = min(n, t.Steered)
		return tx.PutTask(ctx, t)
	})
}

// Retry records a task that repeats the request of a failed one, for the same image: a
// queued one is imported into, an active one is copied. in needs what Accept needs, and
// Task.RetryOf. A task that has not failed, or whose image cannot be worked on, is
// errcode.Conflict.
func (c *Catalogue) Retry(ctx context.Context, in NewImport) (Accepted, error) {
	if err := normalise(&in); err != nil {
		return Accepted{}, err
	}
	return update(ctx, c, func(tx Tx) (Accepted, error) {
		old, err := tx.Task(ctx, in.Task.RetryOf)
		if err != nil {
			return Accepted{}, err
		}
		if old.Status != TaskFailure {
			return Accepted{}, errcode.New(errcode.Conflict, "task %s is %s, and only a failed one can be tried again", old.ID, string(old.Status)).
				With(errcode.Evidence{Structure: "task", Field: "status", Value: string(old.Status)})
		}
		_, err = liveImage(ctx, tx, old.ImageID)
		if isNotFound(err) {
			return Accepted{}, errcode.New(errcode.Conflict, "image %s of task %s is gone: submit the import anew", old.ImageID, old.ID).
				With(errcode.Evidence{Structure: "image", Field: "id", Value: old.ImageID})
		}
		if err != nil {
			return Accepted{}, err
		}
		in.ExistingImage = !in.Copy && !in.Export
		return c.accept(ctx, tx, in)
	})
}

// Priorities returns those of the unfinished tasks among ids.
func (c *Catalogue) Priorities(ctx context.Context, ids []string) (map[string]int, error) {
	return view(ctx, c, func(tx Tx) (map[string]int, error) {
		tasks, err := tx.Tasks(ctx, TaskFilter{Unfinished: true})
		out := make(map[string]int, len(ids))
		for _, t := range tasks {
			if slices.Contains(ids, t.ID) {
				out[t.ID] = t.Priority
			}
		}
		return out, err
	})
}
