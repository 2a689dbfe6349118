package contract

import "time"

// Kinds of differences between the catalogue and what is there.
const (
	DiffObjectMissing = "missing_object"     // an image's object is not in its store
	DiffObjectSize    = "wrong_size"         // an object is not as long as its image says
	DiffObjectDigest  = "wrong_digest"       // an object's bytes are not those that were stored
	DiffStoreUnknown  = "unknown_store"      // an image lies in a store that is not declared
	DiffUnreadable    = "unreadable"         // an object could not be looked at or read
	DiffObjectOrphan  = "orphan_object"      // an object is no image's
	DiffUpload        = "dangling_upload"    // an upload is no task's
	DiffStaged        = "stray_staging"      // staged files of a task that has ended
	DiffTask          = "stuck_task"         // a task is not finished, and nothing works on it
	DiffImage         = "image_without_task" // an image is being imported by no task
	DiffReservation   = "stray_reservation"  // space is promised to a task that has ended
)

// CheckParams says what `ingest fsck` does.
type CheckParams struct {
	Read   bool `json:"read,omitempty"`   // read all bytes, and compare their digests
	Repair bool `json:"repair,omitempty"` // mend what can be mended
	// AgeSeconds spares what was touched within it; 0 means DefaultReapAge.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
}

// Reap returns the terms of reaping that are those of the check.
func (p CheckParams) Reap() ReapParams {
	return ReapParams{DryRun: !p.Repair, AgeSeconds: p.AgeSeconds}
}

// Age is AgeSeconds with its default.
func (p CheckParams) Age() time.Duration { return p.Reap().Age() }

// A Difference is one thing that is not as it should be.
type Difference struct {
	Kind     string `json:"kind"` // one of those above
	Store    string `json:"store,omitempty"`
	Name     string `json:"name"` // id or key
	ImageID  string `json:"image_id,omitempty"`
	Message  string `json:"message"`          // what is, and what should be
	Bytes    int64  `json:"bytes,omitempty"`  // that it takes
	Repaired bool   `json:"repaired"`         // it is mended
	Remedy   string `json:"remedy,omitempty"` // what was done or can be
}

// A CheckLine is one line of what a check says while it runs: one of its members
// is set.
type CheckLine struct {
	Difference *Difference   `json:"difference,omitempty"`
	Progress   *CheckFigures `json:"progress,omitempty"`
	End        *CheckFigures `json:"end,omitempty"`   // the last line
	Error      *ErrorValue   `json:"error,omitempty"` // instead of End: the check broke off
}

// CheckFigures say how far a check is, or what it came to.
type CheckFigures struct {
	Images      int   `json:"images"` // looked at
	ImagesTotal int   `json:"images_total"`
	Bytes       int64 `json:"bytes"`       // read back, or found to be out of reach
	BytesTotal  int64 `json:"bytes_total"` // to be read back
	Differences int   `json:"differences"`
	Repaired    int   `json:"repaired"`
}
