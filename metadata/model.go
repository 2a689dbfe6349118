// Package metadata is the catalogue: images and tasks as OpenStack Glance knows
// them, their legal status changes, and each task's history as events. It is
// the authority: workflows can be lost and started again from it.
//
// A Repository is a database; the rules live once, in Catalogue, over the small
// Tx interface that every database driver gives. One truth is one transaction.
package metadata

import (
	"context"
	"encoding/json"
	"time"

	"ingest/internal/errcode"
)

// An Image is one disk image of the catalogue, with Glance's fields.
type Image struct {
	ID              string
	Name            string
	Owner           string // project
	Status          ImageStatus
	Visibility      string // "private", "shared", "community", "public"
	Protected       bool
	Hidden          bool
	DiskFormat      string
	ContainerFormat string
	Size            *int64 // stored bytes; nil until known
	VirtualSize     *int64 // bytes; nil until known
	Checksum        string // MD5 of the stored bytes in hex, "" unless switched on
	HashAlgo        string // "sha256" or "sha512"
	HashValue       string // of the stored bytes, hex
	ContentDigest   string // of the guest bytes, see docs/content-digest.md
	Store           string // name of the store that holds the bytes
	Key             string // the object's key in the store
	Copies          []Copy // further places that hold the same bytes, at most one a store, oldest first
	MinDisk         int64  // GiB
	MinRAM          int64  // MiB
	Tags            []string
	Properties      map[string]string
	CreatedAt       time.Time
	UpdatedAt       time.Time
	DeletedAt       *time.Time
}

// A Copy is a further place that holds an image's stored bytes, byte by byte.
type Copy struct {
	Location
	Status    CopyStatus
	Metadata  map[string]string
	CreatedAt time.Time
}

// Locations lists the places from which the image can be read: the first one,
// then the copies that are active. There are none before the image has bytes.
func (img Image) Locations() []Location {
	if img.Key == "" {
		return nil
	}
	out := []Location{{img.Store, img.Key}}
	for _, c := range img.Copies {
		if c.Status == CopyActive {
			out = append(out, c.Location)
		}
	}
	return out
}

// A Task is one import, with Glance's fields and ours.
type Task struct {
	ID             string
	Type           string // "import", "api_image_import"
	Status         TaskStatus
	Stage          string // the stage that runs or ran last
	Owner          string
	UserID         string
	RequestID      string
	ImageID        string
	WorkflowID     string
	IdempotencyKey string          // unique for an owner, "" for none
	Request        json.RawMessage // the whole contract.ImportRequest
	Result         json.RawMessage // the whole contract.ImportResult after success
	Message        string          // for people: what happened
	Error          *TaskError      // after failure
	Restarts       int             // how often the reconciler started it again
	Paused         bool            // its work stands still until it is resumed
	Priority       int             // of those that wait, the one with the highest goes first
	RetryOf        string          // id of the failed task whose request this one repeats, "" for none
	Steered        int64           // counts the changes of Paused and Priority
	SteerTold      int64           // the last of these changes that the workflow has been told of
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ExpiresAt      *time.Time
}

// A TaskError is why a task failed.
type TaskError struct {
	Code     errcode.Code      `json:"code"`
	Message  string            `json:"message"`
	Stage    string            `json:"stage,omitempty"`
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
}

// An Event is one line of a task's history.
type Event struct {
	Seq      int64           `json:"seq"` // ascends within the catalogue
	TaskID   string          `json:"task_id"`
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"` // "status", "stage", "report", "error", "restart", "control"
	Status   string          `json:"status,omitempty"`
	Stage    string          `json:"stage,omitempty"`
	Attempt  int             `json:"attempt,omitempty"`
	Bytes    int64           `json:"bytes,omitempty"`
	Duration time.Duration   `json:"duration_ns,omitempty"`
	Code     string          `json:"code,omitempty"`
	Message  string          `json:"message,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"` // a whole report
}

// A Repository is a database that holds the catalogue.
type Repository interface {
	// InTx runs fn in one serialisable transaction and commits it if fn
	// returns nil. fn may run more than once.
	InTx(ctx context.Context, fn func(Tx) error) error
	Close() error
}

// A Tx is what a transaction can do. Get methods return errcode.NotFound.
// Put methods insert or replace by id.
type Tx interface {
	Image(ctx context.Context, id string) (Image, error)
	PutImage(ctx context.Context, img Image) error
	Images(ctx context.Context, f ImageFilter) ([]Image, error)
	// RemoveImage removes an image's row and all that belongs to it, if there is one.
	RemoveImage(ctx context.Context, id string) error
	Task(ctx context.Context, id string) (Task, error)
	TaskByKey(ctx context.Context, owner, idempotencyKey string) (Task, error)
	PutTask(ctx context.Context, t Task) error
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)
	// DeleteTask removes a task and its events, if there is one.
	DeleteTask(ctx context.Context, id string) error
	AddEvent(ctx context.Context, e Event) error
	Events(ctx context.Context, taskID string) ([]Event, error)
	// LastEvent returns the last of a task's events of any of the kinds, errcode.NotFound if
	// there is none.
	LastEvent(ctx context.Context, taskID string, kinds ...string) (Event, error)
	Provenance(ctx context.Context, imageID string) (Provenance, error)
	// PutProvenance fails if there is no image of that id.
	PutProvenance(ctx context.Context, p Provenance) error
	// Members lists the members of an image, the oldest first.
	Members(ctx context.Context, imageID string) ([]Member, error)
	// PutMember fails if there is no image of that id.
	PutMember(ctx context.Context, m Member) error
	// DeleteMembers ends the memberships of the projects in an image, and of all if
	// none is named.
	DeleteMembers(ctx context.Context, imageID string, projects ...string) error
	// Reservations lists all, by task, kind and part.
	Reservations(ctx context.Context) ([]Reservation, error)
	PutReservation(ctx context.Context, r Reservation) error
	// DeleteReservations removes those of a task.
	DeleteReservations(ctx context.Context, taskID string) error
	// Usage sums up what a project uses.
	Usage(ctx context.Context, owner string) (Usage, error)

	MetadefTx
	WebhookTx
	OnceTx
	BulkTx
	BandwidthTx
	ScheduleTx
}

// An ImageFilter selects images, newest first unless it sorts them. Zero fields select
// all.
type ImageFilter struct {
	Seen       *Seen // only what somebody sees; nil for all
	Owner      string
	Name       string
	Status     ImageStatus
	DiskFormat string
	Visibility string
	HashValue  string
	Protected  *bool
	Hidden     *bool
	Matches    []Match
	Ranges     []Range
	Tags       []string          // has all of them
	Properties map[string]string // has all of them, with these values
	At         *Location         // is among the image's places; without a store, its key is
	Deleted    bool              // include deleted ones
	// DeletedBefore selects only those that were deleted before it.
	DeletedBefore *time.Time
	// Sort orders the images; what is equal by it goes by age and then by id, in the
	// direction of its only key, or else the last first.
	Sort   []Order
	Marker string // id after which to go on
	Limit  int    // 0 means no limit
}

// A TaskFilter selects tasks, newest first. Zero fields select all.
type TaskFilter struct {
	Owner      string
	Type       string
	Status     TaskStatus
	ImageID    string
	Result     string // id of an image that the task's result names: its own, or a further disk's
	Unfinished bool   // only pending and processing ones
	// ExpiredBefore selects finished tasks that have expired before it.
	ExpiredBefore *time.Time
	// LiveAt leaves out those that have expired by then.
	LiveAt *time.Time
	Marker string
	Limit  int
}
