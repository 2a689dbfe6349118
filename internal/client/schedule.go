package client

import (
	"context"
	"net/http"
	"net/url"

	"ingest/api/wire"
	"ingest/internal/contract"
)

// Schedules lists the project's schedules, the oldest first.
func (c *Client) Schedules(ctx context.Context) ([]wire.Schedule, error) {
	var out wire.ScheduleList
	_, err := c.call(ctx, http.MethodGet, "/v1/schedules", nil, nil, &out)
	return out.Schedules, err
}

// Schedule returns a schedule with its versions, its last runs and its next times.
func (c *Client) Schedule(ctx context.Context, id string) (wire.Schedule, error) {
	return schedule[wire.Schedule](ctx, c, http.MethodGet, id, "", nil)
}

// AddSchedule makes a schedule.
func (c *Client) AddSchedule(ctx context.Context, spec contract.ScheduleSpec) (wire.Schedule, error) {
	var out wire.Schedule
	_, err := c.call(ctx, http.MethodPost, "/v1/schedules", nil, spec, &out)
	return out, err
}

// DeleteSchedule ends a schedule; its images stay.
func (c *Client) DeleteSchedule(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v1/schedules/"+url.PathEscape(id), nil, nil, nil)
	return err
}

// PauseSchedule pauses a schedule; note says why.
func (c *Client) PauseSchedule(ctx context.Context, id, note string) (wire.Schedule, error) {
	return schedule[wire.Schedule](ctx, c, http.MethodPost, id, "/pause", wire.SchedulePause{Note: note})
}

// ResumeSchedule lets a schedule go on.
func (c *Client) ResumeSchedule(ctx context.Context, id string) (wire.Schedule, error) {
	return schedule[wire.Schedule](ctx, c, http.MethodPost, id, "/resume", nil)
}

// TriggerSchedule runs a schedule now.
func (c *Client) TriggerSchedule(ctx context.Context, id string) (wire.Submitted, error) {
	return schedule[wire.Submitted](ctx, c, http.MethodPost, id, "/trigger", nil)
}

// BackfillSchedule runs a schedule once for each time that it had.
func (c *Client) BackfillSchedule(ctx context.Context, id string, b wire.Backfill) (wire.Backfilled, error) {
	return schedule[wire.Backfilled](ctx, c, http.MethodPost, id, "/backfill", b)
}

// RollbackSchedule switches to an older version; to is its image, "" the one before.
func (c *Client) RollbackSchedule(ctx context.Context, id, to string) (wire.RolledBack, error) {
	return schedule[wire.RolledBack](ctx, c, http.MethodPost, id, "/rollback", wire.Rollback{To: to})
}

func schedule[T any](ctx context.Context, c *Client, method, id, what string, body any) (T, error) {
	var out T
	_, err := c.call(ctx, method, "/v1/schedules/"+url.PathEscape(id)+what, nil, body, &out)
	return out, err
}
