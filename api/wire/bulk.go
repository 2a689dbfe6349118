package wire

import (
	"time"

	"ingest/internal/contract"
	"ingest/metadata"
)

// A Bulk is an import of many sources.
type Bulk struct {
	ID         string                `json:"id"`
	Name       string                `json:"name,omitempty"`
	Status     string                `json:"status"`
	Message    string                `json:"message,omitempty"`
	Owner      string                `json:"owner"`
	UserID     string                `json:"user_id,omitempty"`
	WorkflowID string                `json:"workflow_id"`
	Digest     string                `json:"digest"`
	Settings   metadata.BulkSettings `json:"settings"`
	Total      int                   `json:"total"` // items
	// Items and Bytes are how many items are in each state, and the bytes that were stored
	// for those that are active. They are left out of lists.
	Items map[string]int `json:"items,omitempty"`
	Bytes int64          `json:"bytes,omitempty"`
	// ItemsPerSecond and BytesPerSecond are those of the bulk so far, and ETA is when it
	// would end at this pace, seconds; -1 if that is not known.
	ItemsPerSecond float64 `json:"items_per_second,omitempty"`
	BytesPerSecond float64 `json:"bytes_per_second,omitempty"`
	ETA            float64 `json:"eta_seconds,omitempty"`
	// Hosts are the sources' hosts that do not answer.
	Hosts     []BulkHost `json:"hosts,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	// Existed says that the same bulk runs already, and Notice why its work has not begun.
	Existed bool   `json:"existed,omitempty"`
	Notice  string `json:"notice,omitempty"`
}

// A BulkHost is a source host that does not answer.
type BulkHost struct {
	Host     string     `json:"host"`
	Failures int        `json:"failures"` // attempts in a row
	Code     string     `json:"code"`
	Since    *time.Time `json:"since,omitempty"` // when nothing more was begun from it, absent if items still are
	Until    *time.Time `json:"until,omitempty"` // when the next item may try
	GivenUp  bool       `json:"given_up"`        // its items have failed
}

// A BulkItem is one source of a bulk.
type BulkItem struct {
	N         int        `json:"n"`
	Key       string     `json:"key"`
	State     string     `json:"state"`
	Source    string     `json:"source"` // without what may be secret
	Name      string     `json:"name,omitempty"`
	Host      string     `json:"host"`
	Store     string     `json:"store,omitempty"`
	Priority  int        `json:"priority"`
	SameAs    int        `json:"same_as,omitempty"` // number of the item whose bytes it shares
	TaskID    string     `json:"task_id,omitempty"`
	ImageID   string     `json:"image_id,omitempty"`
	Attempt   int        `json:"attempt,omitempty"`
	Stage     string     `json:"stage,omitempty"` // of one that runs
	Code      string     `json:"code,omitempty"`
	Message   string     `json:"message,omitempty"`
	Bytes     int64      `json:"bytes,omitempty"` // stored
	StartedAt *time.Time `json:"started_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

// A BulkList answers GET /v1/bulk.
type BulkList struct {
	Bulks []Bulk `json:"bulks"`
	Next  string `json:"next,omitempty"` // path of the next page
}

// A BulkItemList answers GET /v1/bulk/{id}/items.
type BulkItemList struct {
	Items []BulkItem `json:"items"`
	Next  string     `json:"next,omitempty"` // path of the next page
}

// A BulkReport is everything that is known of a bulk.
type BulkReport struct {
	Bulk  Bulk       `json:"bulk"`
	Items []BulkItem `json:"items"`
}

// A BulkPlanLine is one line of a bulk's dry run: an item with what would become of it, or
// why that cannot be said; or the summary, which is the last line.
type BulkPlanLine struct {
	N        int                `json:"n,omitempty"`
	Key      string             `json:"key,omitempty"`
	Source   string             `json:"source,omitempty"`
	SameAs   int                `json:"same_as,omitempty"` // it would share that item's bytes
	Forecast *contract.Forecast `json:"forecast,omitempty"`
	Error    *ErrorDetail       `json:"error,omitempty"`
	Summary  *BulkPlan          `json:"summary,omitempty"`
}

// A BulkPlan sums a bulk's dry run up.
type BulkPlan struct {
	Items      int   `json:"items"`
	Accepted   int   `json:"accepted"`
	Refused    int   `json:"refused"`
	Unknown    int   `json:"unknown"`    // what would become of them cannot be said
	Duplicates int   `json:"duplicates"` // they share the bytes of another item
	Bytes      int64 `json:"bytes"`      // of the sources that are fetched, where known
	Virtual    int64 `json:"virtual_size"`
	Stored     int64 `json:"stored"` // estimate of what the stores take
	// Seconds is how long the imports would take one after the other, divided by how many
	// run at once; -1 if nothing is known.
	Seconds float64        `json:"seconds"`
	Codes   map[string]int `json:"codes"` // of refusals
	// Free is the room of the default store, bytes, -1 if it is not known.
	Free int64 `json:"free"`
}
