package contract

import (
	"slices"

	"ingest/internal/errcode"
)

// Names that Temporal knows, of images that are made of objects which are there already.
const (
	// LocateWorkflow makes a queued image of an object in a store; see ImportRequest,
	// whose method is MethodLocate.
	LocateWorkflow = "LocateImage"

	LocateActivity = "Locate"
)

// StageLocate finds the object, checks it whole and takes its digests. Only tasks that
// are given a location come to it.
const StageLocate Stage = "locate"

// MethodLocate is the method of a request whose source is the URL of an object in a store.
// Of the rest only the ids, the target's store, the source's format and checksum, and the
// image's container format are read.
const MethodLocate = "location"

// LocationTaskType is Glance's type of such a task.
const LocationTaskType = "location_import"

// CheckLocate is Check for a request whose method is MethodLocate.
func (r ImportRequest) CheckLocate() error {
	switch {
	case r.Method != MethodLocate:
		return badField("method", "is not "+MethodLocate)
	case r.ImageID == "" || !idOrEmpty(r.ImageID):
		return badField("image_id", "is missing, or no UUID")
	case !idOrEmpty(r.TaskID):
		return badField("task_id", "is no UUID")
	case r.Source.URL == "":
		return badField("source.url", "is missing")
	case len(r.Source.URL) > MaxURLBytes:
		return badField("source.url", "is too long")
	case r.Target.Store == "":
		return badField("target.store", "is missing")
	case r.Source.Format == "":
		return badField("source.format", "is missing: what the object is has to be said")
	case len(r.Source.Members) > 0:
		return badField("source.members", "are not for a location")
	case !slices.Contains([]string{"", LocationTaskType}, r.TaskType):
		return badField("task_type", "is not "+LocationTaskType)
	}
	return checkPriority(r.Priority)
}

// LocateParams asks for all that is to be known of the object at a location.
type LocateParams struct {
	TaskID  string `json:"task_id"`
	ImageID string `json:"image_id"`
	// Source is the object's URL, and what its bytes are said to be.
	Source          SourceSpec `json:"source"`
	Store           string     `json:"store"`
	ContainerFormat string     `json:"container_format,omitempty"`
	// Soft lists codes that warn instead of refusing. The activity fills it in from
	// the operator's policy.
	Soft []errcode.Code `json:"soft,omitempty"`
}

// Located is what was found at a location.
type Located struct {
	Fetched     Fetched     `json:"fetched"`
	Detected    Detected    `json:"detected"`
	Target      TargetSpec  `json:"target"`
	Converted   Converted   `json:"converted"`
	Checksummed Checksummed `json:"checksummed"`
	Stored      Stored      `json:"stored"`
}
