package contract

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Names of imports in bulk, as Temporal knows them.
const (
	BulkWorkflow = "BulkImport"

	// BulkSignal does something with a running bulk; see BulkSignalled.
	BulkSignal = "bulk"
	// BulkQuery asks a running bulk how far it is; see BulkProgress.
	BulkQuery = "progress"

	LoadBulkActivity = "LoadBulk"
	StepBulkActivity = "StepBulk"
)

// BulkRequest is the one argument of the BulkImport workflow. The API writes a manifest
// down and names the bulk; who starts the workflow by hand names a bulk, or sends a
// manifest that is as small as what the workflow service takes.
type BulkRequest struct {
	BulkID string `json:"bulk_id,omitempty"` // that is written down already, or shall be
	Owner  string `json:"owner,omitempty"`   // project
	UserID string `json:"user_id,omitempty"`
	// Manifest is what POST /v1/bulk takes, "" of a bulk that is written down.
	Manifest json.RawMessage `json:"manifest,omitempty"`
	// RunItems is how many items one run of the workflow begins before it continues as new;
	// 0 is as many as its history takes.
	RunItems int `json:"run_items,omitempty"`
	// Carried is what a run hands on to the next one, and nobody else sets.
	Carried *BulkCarried `json:"carried,omitempty"`
}

// BulkCarried is what a run of BulkImport hands on.
type BulkCarried struct {
	Runs int `json:"runs"` // so many before
}

// BulkSignalled is the body of BulkSignal. Without Do it says that the catalogue knows of
// a change.
type BulkSignalled struct {
	Do       string          `json:"do,omitempty"` // pause, resume, cancel, abort, retry, set
	Settings json.RawMessage `json:"settings,omitempty"`
}

// LoadBulkParams asks to write a manifest down.
type LoadBulkParams struct {
	Request    BulkRequest `json:"request"`
	WorkflowID string      `json:"workflow_id"`
}

// StepBulkParams asks to take a bulk a step further.
type StepBulkParams struct {
	BulkID string    `json:"bulk_id"`
	Now    time.Time `json:"now"`
	// Again asks for what was begun and of which no workflow has been heard.
	Again bool `json:"again,omitempty"`
	// Do is what signals have asked for, in their order.
	Do []BulkSignalled `json:"do,omitempty"`
	// Only asks for nothing else.
	Only bool `json:"only,omitempty"`
}

// BulkStart is an import whose task waits for its workflow.
type BulkStart struct {
	N          int    `json:"n"`
	TaskID     string `json:"task_id"`
	ImageID    string `json:"image_id"`
	Owner      string `json:"owner,omitempty"`
	URL        string `json:"url"` // without what may be secret; the task has the request
	WorkflowID string `json:"workflow_id"`
}

// StepBulkResult is what came of a step. It is small: it stands in the history.
type StepBulkResult struct {
	Status  string      `json:"status"`
	Start   []BulkStart `json:"start,omitempty"`
	Stop    []string    `json:"stop,omitempty"` // workflows to be cancelled
	Running int         `json:"running"`
	Wake    time.Time   `json:"wake,omitzero"` // when something changes by itself
	Ended   bool        `json:"ended,omitempty"`
	// Watch says that attempts at running items are worth a look: there is a breaker.
	Watch bool `json:"watch,omitempty"`
}

// BulkProgress is the answer of BulkQuery, and what BulkImport returns. The items stand
// in the catalogue.
type BulkProgress struct {
	BulkID  string    `json:"bulk_id"`
	Status  string    `json:"status"`
	Running int       `json:"running"`
	Wake    time.Time `json:"wake,omitzero"`
	Runs    int       `json:"runs"`  // of the workflow, continued as new
	Begun   int       `json:"begun"` // items, in this run
}

// BulkID returns the id of the workflow that runs a bulk.
func BulkID(owner, bulkID string) string {
	if owner == "" {
		owner = "default"
	}
	return "bulk/" + owner + "/" + bulkID
}

// DerivedBulkID returns the id of a bulk whose workflow was started by hand.
func DerivedBulkID(workflowID string) string {
	return uuid.NewSHA1(namespaceTask, []byte("bulk/"+workflowID)).String()
}

// BulkTaskID returns the id of the task of an attempt at an item. Whoever begins it a
// second time finds the first one.
func BulkTaskID(bulkID string, n, attempt int) string {
	return uuid.NewSHA1(namespaceTask, []byte("bulk/"+bulkID+"/"+strconv.Itoa(n)+"/"+strconv.Itoa(attempt))).String()
}

// Check returns errcode.BadRequest for a request that names no bulk.
func (r BulkRequest) Check() error {
	switch {
	case !idOrEmpty(r.BulkID):
		return badField("bulk_id", "is no UUID")
	case r.RunItems < 0:
		return badField("run_items", "is less than 0")
	case r.BulkID == "" && len(r.Manifest) == 0:
		return badField("manifest", "is missing, and so is bulk_id")
	}
	return nil
}
