package metadata

import (
	"context"
	"time"
)

// ExpireTasks removes the records of tasks that have expired before now, with
// their histories, oldest last, and returns them; limit 0 takes all. With dry it
// only lists them. The images that they made stay.
func (c *Catalogue) ExpireTasks(ctx context.Context, now time.Time, limit int, dry bool) ([]Task, error) {
	at := now.UTC()
	run := update[[]Task]
	if dry {
		run = view[[]Task]
	}
	return run(ctx, c, func(tx Tx) ([]Task, error) {
		tasks, err := tx.Tasks(ctx, TaskFilter{ExpiredBefore: &at, Limit: limit})
		if err != nil || dry {
			return tasks, err
		}
		for _, t := range tasks {
			if err := tx.DeleteTask(ctx, t.ID); err != nil {
				return nil, err
			}
		}
		return tasks, nil
	})
}

// Begun returns when the oldest record of the catalogue was made, ok false if
// there is none.
func (c *Catalogue) Begun(ctx context.Context) (at time.Time, ok bool, err error) {
	type found struct {
		at time.Time
		ok bool
	}
	f, err := view(ctx, c, func(tx Tx) (found, error) {
		var f found
		add := func(t time.Time) {
			if !f.ok || t.Before(f.at) {
				f = found{t, true}
			}
		}
		tasks, err := tx.Tasks(ctx, TaskFilter{})
		if err != nil {
			return f, err
		}
		if n := len(tasks); n > 0 {
			add(tasks[n-1].CreatedAt)
		}
		images, err := tx.Images(ctx, ImageFilter{Deleted: true})
		if n := len(images); n > 0 {
			add(images[n-1].CreatedAt)
		}
		return f, err
	})
	return f.at, f.ok, err
}
