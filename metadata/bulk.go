package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ingest/internal/bandwidth"
)

// A BulkStatus says how far an import in bulk is.
type BulkStatus string

// The statuses of bulks.
const (
	BulkLoading    BulkStatus = "loading"    // its items are being written down
	BulkRunning    BulkStatus = "running"    // items begin as the limits allow
	BulkPaused     BulkStatus = "paused"     // what runs goes on, and nothing begins
	BulkCancelling BulkStatus = "cancelling" // what runs goes on to its end, and then the rest is given up
	BulkAborting   BulkStatus = "aborting"   // what runs is cancelled too
	BulkSuccess    BulkStatus = "success"    // every item is active or was skipped
	BulkPartial    BulkStatus = "partial"    // some items have failed
	BulkFailure    BulkStatus = "failure"    // no item is active, or one failed and the rest was given up
	BulkCancelled  BulkStatus = "cancelled"  // somebody ended it
)

// Finished reports whether nothing happens to a bulk by itself any more. It can be
// tried again.
func (s BulkStatus) Finished() bool {
	switch s {
	case BulkSuccess, BulkPartial, BulkFailure, BulkCancelled:
		return true
	}
	return false
}

// An ItemState says how far an item of a bulk is.
type ItemState string

// The states of items.
const (
	ItemPending   ItemState = "pending"   // it begins when its turn comes
	ItemWaiting   ItemState = "waiting"   // for an earlier item of the same source, whose bytes it shares
	ItemRunning   ItemState = "running"   // a task works on it
	ItemActive    ItemState = "active"    // its image is
	ItemFailed    ItemState = "failed"    // with a code
	ItemSkipped   ItemState = "skipped"   // an earlier bulk has done it already
	ItemCancelled ItemState = "cancelled" // somebody ended it, or it was given up with its bulk
)

// ItemStates lists the states of items.
func ItemStates() []ItemState {
	return []ItemState{ItemPending, ItemWaiting, ItemRunning, ItemActive, ItemFailed, ItemSkipped, ItemCancelled}
}

// What becomes of a bulk when an item of it fails.
const (
	OnFailureContinue = "continue"
	OnFailureStop     = "stop" // what runs goes on to its end, and the rest is given up
)

// BulkLimits say how many items of a bulk run at once, and how many bytes a second they
// move; 0 means no limit but the other ones.
type BulkLimits struct {
	Concurrency int `json:"concurrency,omitempty"` // of the bulk
	PerHost     int `json:"per_host,omitempty"`    // from one host
	PerStore    int `json:"per_store,omitempty"`   // into one store
	PerProject  int `json:"per_project,omitempty"` // of the project, over all its bulks

	Bandwidth           bandwidth.Rate `json:"bandwidth,omitempty"`             // read from the sources of the bulk
	BandwidthPerHost    bandwidth.Rate `json:"bandwidth_per_host,omitempty"`    // of it from one host
	BandwidthPerStore   bandwidth.Rate `json:"bandwidth_per_store,omitempty"`   // written into one store
	BandwidthPerProject bandwidth.Rate `json:"bandwidth_per_project,omitempty"` // read by all bulks of the project; of several, the least
}

// Words says what the limits are, for people; "" if there are none.
func (l BulkLimits) Words() string {
	var out []string
	for _, c := range []struct {
		n    int
		what string
	}{{l.Concurrency, "at once"}, {l.PerHost, "a host"}, {l.PerStore, "a store"}, {l.PerProject, "a project"}} {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	for _, c := range []struct {
		rate bandwidth.Rate
		what string
	}{{l.Bandwidth, ""}, {l.BandwidthPerHost, " a host"}, {l.BandwidthPerStore, " a store"}, {l.BandwidthPerProject, " a project"}} {
		if c.rate > 0 {
			out = append(out, c.rate.String()+"/s"+c.what)
		}
	}
	return strings.Join(out, ", ")
}

// A Breaker says when nothing more is begun from a host that does not answer. Seconds.
type Breaker struct {
	Failures int     `json:"failures,omitempty"`          // in a row open it; 0 is never
	Pause    float64 `json:"pause_seconds,omitempty"`     // before the first try; it doubles with each further one
	MaxPause float64 `json:"max_pause_seconds,omitempty"` // between two tries
	GiveUp   float64 `json:"give_up_seconds,omitempty"`   // after which all items of the host fail; 0 is never
}

// BulkSettings say how a bulk is worked on. They can be changed while it runs.
type BulkSettings struct {
	Limits    BulkLimits `json:"limits,omitzero"`
	Windows   []string   `json:"windows,omitempty"`    // in which items begin; see package timewindow
	OnFailure string     `json:"on_failure,omitempty"` // OnFailureContinue unless set
	Breaker   Breaker    `json:"breaker,omitzero"`
}

// A Gate is what is known of a source host.
type Gate struct {
	Failures int       `json:"failures"`           // attempts that did not reach it, in a row
	Opened   time.Time `json:"opened,omitzero"`    // since when nothing begins, zero if items do
	Until    time.Time `json:"until,omitzero"`     // when the next one may try
	Tries    int       `json:"tries,omitempty"`    // made since it opened
	Probe    int       `json:"probe,omitempty"`    // number of the item that tries, 0 for none
	Code     string    `json:"code,omitempty"`     // of the last failure
	Given    bool      `json:"given_up,omitempty"` // its items have failed
}

// shut reports whether no more items of the host run than a try.
func (g Gate) shut() bool { return !g.Opened.IsZero() }

// A Bulk is an import of many sources.
type Bulk struct {
	ID         string
	Owner      string // project
	UserID     string
	Name       string // by which people and later submissions know it, "" for none
	Digest     string // of what was asked for
	Status     BulkStatus
	WorkflowID string
	Settings   BulkSettings
	Gates      map[string]Gate // by host; only those of which anything is to be said
	Message    string          // for people
	Total      int             // items
	SeenEvent  int64           // the last event that the gates know of
	Revision   int64           // counts the changes that its workflow must hear of
	Told       int64           // the last of these that it has heard of
	CreatedAt  time.Time
	UpdatedAt  time.Time
	EndedAt    *time.Time
}

// A BulkItem is one source of a bulk.
type BulkItem struct {
	BulkID    string
	N         int    // its place in the manifest, from 1
	Key       string // by which people know it, unique within the bulk
	Host      string // of the source
	Store     string // that it goes into, "" for the default
	Urgency   int    // items of a lower one begin first
	State     ItemState
	SameAs    int    // number of the item of the same source that goes before it, 0 for none
	TaskID    string // of the last attempt
	ImageID   string // that is made, or shall be
	Attempt   int
	Code      string // why it failed
	Message   string
	Bytes     int64 // stored
	StartedAt *time.Time
	EndedAt   *time.Time
	Digest    string          // of what was asked for, with the owner: an item that was done is known by it
	Request   json.RawMessage // the whole contract.ImportRequest, without ids of tasks
}

// A BulkFilter selects bulks, newest first. Zero fields select all.
type BulkFilter struct {
	Owner      string
	Name       string
	Digest     string
	Unfinished bool
	Marker     string
	Limit      int
}

// An ItemFilter selects items of a bulk.
type ItemFilter struct {
	States []ItemState // any of them; none for all
	After  int         // number behind which to begin, of lists by number
	Host   string      // "" for all
	Turns  bool        // in the order in which they begin, and not by number
	// NotHosts and NotStores leave out what has no turn now.
	NotHosts, NotStores []string
	Limit               int // 0 means no limit
}

// A BulkCount is how many items of a bulk are in a state.
type BulkCount struct {
	State ItemState
	Items int
	Bytes int64
}

// An ItemMove gives many items of a bulk another state at once.
type ItemMove struct {
	From          []ItemState
	To            ItemState
	Host          string // only of that, "" for all
	SameAs        int    // only those of that source, 0 for all
	Code, Message string
	EndedAt       *time.Time
}

// A BulkTx is the part of a transaction that deals with bulks.
type BulkTx interface {
	Bulk(ctx context.Context, id string) (Bulk, error)
	Bulks(ctx context.Context, f BulkFilter) ([]Bulk, error)
	PutBulk(ctx context.Context, b Bulk) error
	// DeleteBulk removes a bulk and its items, if there is one. Images and tasks stay.
	DeleteBulk(ctx context.Context, id string) error
	// AddBulkItems inserts items.
	AddBulkItems(ctx context.Context, items []BulkItem) error
	BulkItem(ctx context.Context, bulkID string, n int) (BulkItem, error)
	BulkItems(ctx context.Context, bulkID string, f ItemFilter) ([]BulkItem, error)
	// PutBulkItem replaces what changes of an item: all but key, host, store, urgency,
	// digest and request.
	PutBulkItem(ctx context.Context, it BulkItem) error
	MoveBulkItems(ctx context.Context, bulkID string, m ItemMove) error
	// BulkCounts counts a bulk's items by state.
	BulkCounts(ctx context.Context, bulkID string) ([]BulkCount, error)
	// RunningBulkItems counts the running items of a project's bulks.
	RunningBulkItems(ctx context.Context, owner string) (int, error)
	// DoneBulkItems returns one item that is active for each of the digests that has
	// one whose image is active.
	DoneBulkItems(ctx context.Context, digests []string) (map[string]BulkItem, error)
	// StatusesOfTasks returns those of the tasks that there are.
	StatusesOfTasks(ctx context.Context, ids []string) (map[string]TaskStatus, error)
	// StageEvents lists how attempts at stages of the tasks have ended, behind an event,
	// the oldest first.
	StageEvents(ctx context.Context, after int64, taskIDs []string) ([]Event, error)
}
