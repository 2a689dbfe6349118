package contract

import (
	"time"

	"ingest/internal/errcode"
)

// Names that Temporal knows; see those of package contract.
const (
	ReapWorkflow = "Reap"
	ReapActivity = "Reap"
	// ReapSchedule is the id of the schedule that runs ReapWorkflow.
	ReapSchedule = "ingest-reap"
)

// ReapID returns the id of the workflow of one Reap that was asked for by hand.
func ReapID(id string) string { return "gc/" + id }

// Kinds of what is reaped.
const (
	ReapedUpload      = "upload"      // uncommitted, and nobody's
	ReapedObject      = "object"      // stored, and no image's
	ReapedStaged      = "staged"      // files of a task that has ended
	ReapedTask        = "task"        // a record that has expired
	ReapedReservation = "reservation" // of a task that has ended
	ReapedImage       = "image"       // pending_delete, and its time is over
)

// DefaultReapAge is how long something must lie untouched before it is reaped,
// and LeastReapAge the least that may be asked for: clocks of stores differ from
// ours.
const (
	DefaultReapAge = time.Hour
	LeastReapAge   = time.Second
)

// MaxReapItems is how many items a result names; all are counted.
const MaxReapItems = 500

// ReapParams is the one argument of the Reap workflow.
type ReapParams struct {
	// DryRun only says what would be removed.
	DryRun bool `json:"dry_run,omitempty"`
	// AgeSeconds is how long something must lie untouched; 0 means
	// DefaultReapAge.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	// Kind is the only kind that is removed; "" means all.
	Kind string `json:"kind,omitempty"`
}

// Age is AgeSeconds with its default.
func (p ReapParams) Age() time.Duration {
	if p.AgeSeconds == 0 {
		return DefaultReapAge
	}
	return time.Duration(p.AgeSeconds * float64(time.Second))
}

// Check returns errcode.BadRequest for an age that may not be asked for.
func (p ReapParams) Check() error {
	if p.Kind != "" && p.Kind != ReapedImage {
		return errcode.New(errcode.BadRequest, "the only kind that can be removed by itself is %q", ReapedImage).
			With(errcode.Evidence{Structure: "request", Field: "kind", Value: p.Kind})
	}
	if p.AgeSeconds == 0 || p.AgeSeconds >= LeastReapAge.Seconds() && p.AgeSeconds <= 100*365*86400 {
		return nil
	}
	return errcode.New(errcode.BadRequest, "an age is at least %v", LeastReapAge).
		With(errcode.Evidence{Structure: "request", Field: "age_seconds"})
}

// A ReapItem is one thing that was removed, or would be.
type ReapItem struct {
	Kind  string    `json:"kind"`            // one of those above
	Store string    `json:"store,omitempty"` // that holds it
	Name  string    `json:"name"`            // id or key
	Bytes int64     `json:"bytes"`           // that come free
	Since time.Time `json:"since,omitzero"`  // when it was touched last, or ended
	Why   string    `json:"why"`
}

// ReapResult says what was removed, or would be.
type ReapResult struct {
	DryRun bool           `json:"dry_run,omitempty"`
	Items  []ReapItem     `json:"items"`  // the first MaxReapItems
	Counts map[string]int `json:"counts"` // of all, by kind
	Bytes  int64          `json:"bytes"`  // of all
	// Errors say what could not be looked at or removed, without text from outside.
	Errors []ErrorValue `json:"errors,omitempty"`
}

// NewReapResult returns an empty result.
func NewReapResult(p ReapParams) ReapResult {
	return ReapResult{DryRun: p.DryRun, Items: []ReapItem{}, Counts: map[string]int{}}
}

// Add counts an item, and names it if there is room.
func (r *ReapResult) Add(it ReapItem) {
	r.Counts[it.Kind]++
	r.Bytes += it.Bytes
	if len(r.Items) < MaxReapItems {
		r.Items = append(r.Items, it)
	}
}

// maxReapErrors is how many errors a result names.
const maxReapErrors = 20

// Failed notes an error.
func (r *ReapResult) Failed(err error) {
	if err != nil && len(r.Errors) < maxReapErrors {
		r.Errors = append(r.Errors, ValueOf(err))
	}
}
