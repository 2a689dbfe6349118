package metadata

import (
	"context"
	"encoding/json"
	"time"

	"ingest/internal/errcode"
)

// Bounds of schedules.
const (
	// MaxSchedules is how many schedules a project may have.
	MaxSchedules = 200
	// KeptRuns is how many runs of a schedule are remembered; their tasks expire as others
	// do.
	KeptRuns = 100
)

// A Schedule imports a source again and again, and lets a name point at its newest
// version. Its row is the authority: what the workflow service knows is made of it.
type Schedule struct {
	ID     string
	Owner  string // project
	UserID string
	Name   string          // unique for an owner
	Spec   json.RawMessage // the whole contract.ScheduleSpec
	Paused bool
	Note   string // why it was paused
	// Deleted says that only the workflow service has still to forget it.
	Deleted bool
	// Revision counts the changes, and Told is the last one that the workflow service
	// knows of.
	Revision, Told int64
	Current        string          // the current version's image, "" for none
	Held           json.RawMessage // the version that was rolled back, nil for none
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Statuses of versions.
const (
	VersionCurrent    = "current"
	VersionOld        = "old"
	VersionRolledBack = "rolled_back"
)

// A Version is one version of a schedule's source, as images.
type Version struct {
	ID         string // of its first image
	ScheduleID string
	TaskID     string // of its import
	Images     []string
	Source     json.RawMessage // the contract.SourceVersion
	Status     string
	CreatedAt  time.Time // when it was switched to first
	UpdatedAt  time.Time
}

// A Run is one run of a schedule. It outlives its task.
type Run struct {
	ID         string // of its task
	ScheduleID string
	ImageID    string // that it made current, or found current; "" for none
	ByHand     bool
	Outcome    string // contract.RunRunning and so on
	Code       errcode.Code
	Message    string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// A ScheduleTx is the part of a transaction that deals with schedules.
type ScheduleTx interface {
	Schedule(ctx context.Context, id string) (Schedule, error)
	Schedules(ctx context.Context, f ScheduleFilter) ([]Schedule, error)
	PutSchedule(ctx context.Context, s Schedule) error
	// DeleteSchedule removes a schedule with its versions and runs, if there is one.
	DeleteSchedule(ctx context.Context, id string) error
	Version(ctx context.Context, imageID string) (Version, error)
	// Versions lists those of a schedule, the newest first.
	Versions(ctx context.Context, scheduleID string) ([]Version, error)
	PutVersion(ctx context.Context, v Version) error
	DeleteVersion(ctx context.Context, imageID string) error
	Run(ctx context.Context, taskID string) (Run, error)
	// Runs lists those of a schedule, the newest first; limit 0 means all.
	Runs(ctx context.Context, scheduleID string, limit int) ([]Run, error)
	PutRun(ctx context.Context, r Run) error
	// TrimRuns removes all but the keep youngest of a schedule.
	TrimRuns(ctx context.Context, scheduleID string, keep int) error
}

// A ScheduleFilter selects schedules, the oldest first. Zero fields select all.
type ScheduleFilter struct {
	Owner string
	Name  string
}

// AddSchedule keeps a new schedule, in revision 1, which nobody has been told of. Its id
// makes the call safe to repeat. A name that the project has given already is
// errcode.Conflict, and more than MaxSchedules are errcode.QuotaExceeded.
func (c *Catalogue) AddSchedule(ctx context.Context, s Schedule) (Schedule, error) {
	return update(ctx, c, func(tx Tx) (Schedule, error) {
		switch old, err := tx.Schedule(ctx, s.ID); {
		case err == nil && old.Owner == s.Owner && sameRequest(old.Spec, s.Spec):
			return old, nil
		case err == nil:
			return Schedule{}, errcode.New(errcode.Conflict, "schedule %s exists already", s.ID)
		case !isNotFound(err):
			return Schedule{}, err
		}
		all, err := tx.Schedules(ctx, ScheduleFilter{Owner: s.Owner})
		if err != nil {
			return Schedule{}, err
		}
		if len(all) >= MaxSchedules {
			return Schedule{}, errcode.New(errcode.QuotaExceeded, "the project has %d schedules, and may not have more", len(all))
		}
		for _, other := range all {
			if other.Name == s.Name && !other.Deleted {
				return Schedule{}, errcode.New(errcode.Conflict, "schedule %s has the name %q", other.ID, s.Name).
					With(errcode.Evidence{Structure: "schedule", Field: "name", Value: s.Name})
			}
		}
		s.Revision, s.Told, s.Deleted, s.Current, s.Held = 1, 0, false, "", nil
		s.CreatedAt = c.moment()
		s.UpdatedAt = s.CreatedAt
		return s, tx.PutSchedule(ctx, s)
	})
}

// Schedule returns a schedule that is not deleted.
func (c *Catalogue) Schedule(ctx context.Context, id string) (Schedule, error) {
	return view(ctx, c, func(tx Tx) (Schedule, error) { return liveSchedule(ctx, tx, id) })
}

// Schedules lists schedules that are not deleted, the oldest first; of all projects if
// owner is "".
func (c *Catalogue) Schedules(ctx context.Context, owner string) ([]Schedule, error) {
	return view(ctx, c, func(tx Tx) ([]Schedule, error) {
		all, err := tx.Schedules(ctx, ScheduleFilter{Owner: owner})
		out := make([]Schedule, 0, len(all))
		for _, s := range all {
			if !s.Deleted {
				out = append(out, s)
			}
		}
		return out, err
	})
}

// EverySchedule lists all schedules, also those that the workflow service has still to
// forget.
func (c *Catalogue) EverySchedule(ctx context.Context) ([]Schedule, error) {
	return view(ctx, c, func(tx Tx) ([]Schedule, error) { return tx.Schedules(ctx, ScheduleFilter{}) })
}

// AnySchedule returns a schedule, also one that is deleted.
func (c *Catalogue) AnySchedule(ctx context.Context, id string) (Schedule, error) {
	return view(ctx, c, func(tx Tx) (Schedule, error) { return tx.Schedule(ctx, id) })
}

// A ScheduleHistory is what a schedule has come to, the newest first.
type ScheduleHistory struct {
	Versions []Version
	Runs     []Run
}

// ScheduleHistory returns a schedule's versions and its last runs.
func (c *Catalogue) ScheduleHistory(ctx context.Context, id string, limit int) (ScheduleHistory, error) {
	return view(ctx, c, func(tx Tx) (ScheduleHistory, error) {
		var h ScheduleHistory
		var err error
		if h.Versions, err = tx.Versions(ctx, id); err == nil {
			h.Runs, err = tx.Runs(ctx, id, limit)
		}
		return h, err
	})
}

// PauseSchedule pauses a schedule, or lets it go on. A change that changes nothing is
// none.
func (c *Catalogue) PauseSchedule(ctx context.Context, id string, paused bool, note string) (Schedule, error) {
	return update(ctx, c, func(tx Tx) (Schedule, error) {
		s, err := liveSchedule(ctx, tx, id)
		if err != nil || s.Paused == paused && s.Note == note {
			return s, err
		}
		s.Paused, s.Note = paused, plain(note)
		s.Revision++
		s.UpdatedAt = c.moment()
		return s, tx.PutSchedule(ctx, s)
	})
}

// DeleteSchedule marks a schedule as deleted. Its images stay as they are. ForgetSchedule
// removes it once the workflow service does not know it any more.
func (c *Catalogue) DeleteSchedule(ctx context.Context, id string) (Schedule, error) {
	return update(ctx, c, func(tx Tx) (Schedule, error) {
		s, err := liveSchedule(ctx, tx, id)
		if err != nil {
			return s, err
		}
		s.Deleted = true
		s.Revision++
		s.UpdatedAt = c.moment()
		return s, tx.PutSchedule(ctx, s)
	})
}

// ForgetSchedule removes a schedule that is deleted, with its history.
func (c *Catalogue) ForgetSchedule(ctx context.Context, id string) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		s, err := tx.Schedule(ctx, id)
		if isNotFound(err) || err == nil && !s.Deleted {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.DeleteSchedule(ctx, id)
	})
}

// ScheduleTold notes that the workflow service knows of all changes up to the numbered
// one. A schedule that is gone needs no note.
func (c *Catalogue) ScheduleTold(ctx context.Context, id string, n int64) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		s, err := tx.Schedule(ctx, id)
		if isNotFound(err) || err == nil && s.Told >= n {
			return nil
		}
		if err != nil {
			return err
		}
		s.Told = min(n, s.Revision)
		return tx.PutSchedule(ctx, s)
	})
}

// liveSchedule returns a schedule that is not deleted.
func liveSchedule(ctx context.Context, tx Tx, id string) (Schedule, error) {
	s, err := tx.Schedule(ctx, id)
	if err == nil && s.Deleted {
		return Schedule{}, errcode.New(errcode.NotFound, "schedule %q does not exist", id)
	}
	return s, err
}
