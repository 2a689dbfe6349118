package wire

import (
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A Schedule imports a source again and again, and lets a name point at its newest
// version.
type Schedule struct {
	ID     string                `json:"id"`
	Name   string                `json:"name"`
	Owner  string                `json:"owner"`
	Spec   contract.ScheduleSpec `json:"spec"` // with the defaults
	Paused bool                  `json:"paused"`
	Note   string                `json:"note,omitempty"` // why it was paused
	// Pending says that the workflow service has not been told of the last change yet; the
	// server goes on telling it.
	Pending      bool                    `json:"pending,omitempty"`
	CurrentImage string                  `json:"current_image,omitempty"`
	Held         *contract.SourceVersion `json:"held,omitempty"` // was rolled back, and is not switched to again
	CreatedAt    time.Time               `json:"created_at"`
	UpdatedAt    time.Time               `json:"updated_at"`
	// Next are the times of the next runs, without jitter, Versions and Runs the last
	// ones, the newest first, where a single schedule is shown.
	Next     []time.Time       `json:"next,omitempty"`
	Versions []ScheduleVersion `json:"versions,omitempty"`
	Runs     []ScheduleRun     `json:"runs,omitempty"`
	Notice   string            `json:"notice,omitempty"`
}

// A ScheduleVersion is one version of a schedule's source, as images.
type ScheduleVersion struct {
	ImageID    string                 `json:"image_id"`
	Images     []string               `json:"images"`
	Status     string                 `json:"status"` // "current", "old", "rolled_back"
	TaskID     string                 `json:"task_id"`
	Source     contract.SourceVersion `json:"source"`
	SwitchedAt time.Time              `json:"switched_at"` // first
}

// A ScheduleRun is one run of a schedule.
type ScheduleRun struct {
	TaskID    string       `json:"task_id"`
	Outcome   string       `json:"outcome"` // "waiting", "running", "unchanged", "switched", "held", "skipped", "failed"
	ByHand    bool         `json:"by_hand,omitempty"`
	ImageID   string       `json:"image_id,omitempty"` // current behind the run
	Code      errcode.Code `json:"code,omitempty"`     // of a failure
	Message   string       `json:"message,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// A ScheduleList answers GET /v1/schedules.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules"`
}

// SchedulePause is the body of POST /v1/schedules/{id}/pause.
type SchedulePause struct {
	Note string `json:"note,omitempty"`
}

// Backfill is the body of POST /v1/schedules/{id}/backfill: both ends belong to it.
type Backfill struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Backfilled answers it.
type Backfilled struct {
	Runs int `json:"runs"` // that were asked for
}

// Rollback is the body of POST /v1/schedules/{id}/rollback.
type Rollback struct {
	To string `json:"to,omitempty"` // image of a version; left out: the one before
}

// RolledBack answers it.
type RolledBack struct {
	CurrentImage  string `json:"current_image"`
	PreviousImage string `json:"previous_image"`
}
