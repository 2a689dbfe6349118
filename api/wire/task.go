package wire

import (
	"encoding/json"
	"time"

	"ingest/internal/contract"
)

// Submitted answers POST /v1/imports.
type Submitted struct {
	TaskID     string `json:"task_id"`
	ImageID    string `json:"image_id"`
	WorkflowID string `json:"workflow_id"`
	Status     string `json:"status"`
	Existed    bool   `json:"existed"` // the same request had been accepted before
	Started    bool   `json:"started"` // false: accepted, the server starts it later by itself
	Notice     string `json:"notice,omitempty"`
}

// A Task is a whole task, as GET /v1/tasks/{id} shows it.
type Task struct {
	ID             string                 `json:"id"`
	Type           string                 `json:"type"`
	Status         string                 `json:"status"`
	Stage          string                 `json:"stage,omitempty"`
	Owner          string                 `json:"owner"`
	UserID         string                 `json:"user_id,omitempty"`
	RequestID      string                 `json:"request_id,omitempty"`
	ImageID        string                 `json:"image_id"`
	WorkflowID     string                 `json:"workflow_id,omitempty"`
	IdempotencyKey string                 `json:"idempotency_key,omitempty"`
	Message        string                 `json:"message,omitempty"`
	Restarts       int                    `json:"restarts"`
	Paused         bool                   `json:"paused"`             // its work stands still until it is resumed
	Priority       int                    `json:"priority"`           // 0 to 9
	RetryOf        string                 `json:"retry_of,omitempty"` // id of the failed task that it repeats
	CreatedAt      time.Time              `json:"created_at"`
	UpdatedAt      time.Time              `json:"updated_at"`
	ExpiresAt      *time.Time             `json:"expires_at"`
	Request        json.RawMessage        `json:"request,omitempty"` // contract.ImportRequest
	Result         *contract.ImportResult `json:"result,omitempty"`
	Error          *ErrorDetail           `json:"error,omitempty"`
	Events         []Event                `json:"events,omitempty"`
}

// Finished reports whether the task's status is final.
func (t Task) Finished() bool { return t.Status == "success" || t.Status == "failure" }

// An Event is one line of a task's history.
type Event struct {
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Kind    string          `json:"kind"`
	Status  string          `json:"status,omitempty"`
	Stage   string          `json:"stage,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"`
	Seconds float64         `json:"seconds,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

// A TaskList is one page of whole tasks, without events.
type TaskList struct {
	Tasks []Task `json:"tasks"`
	Next  string `json:"next,omitempty"`
}

// Events answers GET /v1/tasks/{id}/events.
type Events struct {
	Events []Event `json:"events"`
}

// TaskPolicy answers GET /v1/tasks/{id}/policy: what the operator's policy said at
// each point that the task came to, and the verdict that ended it, if one did.
type TaskPolicy struct {
	TaskID   string                  `json:"task_id"`
	DeniedBy *contract.PolicyVerdict `json:"denied_by,omitempty"`
	Reports  []contract.PolicyReport `json:"reports"`
}

// Server answers GET /v1/server.
type Server struct {
	Name              string   `json:"name"`
	Version           string   `json:"version"`
	OutputFormat      string   `json:"output_format"`
	OutputCompression string   `json:"output_compression,omitempty"`
	Stores            []string `json:"stores"`
	DefaultStore      string   `json:"default_store,omitempty"`
	SourceSchemes     []string `json:"source_schemes"`
	SourceFormats     []string `json:"source_formats"`
	Targets           []Target `json:"targets"` // what can be written
	Presets           []Preset `json:"presets"`
	Verify            string   `json:"verify"`         // level of imports that ask for none
	VerifyMinimum     string   `json:"verify_minimum"` // least strict level that an import may ask for
	Checksums         []string `json:"checksums"`      // algorithms of digests that an import may be held against
	Keyrings          []string `json:"keyrings"`       // names of those whose signatures an import may demand
}

// A Target is a format or container that the server writes, by its name in a
// request's target.format.
type Target struct {
	Name            string         `json:"name"`
	Help            string         `json:"help"`
	DiskFormat      string         `json:"disk_format"`      // as the image will be called
	ContainerFormat string         `json:"container_format"` // as the image will be called
	Options         []TargetOption `json:"options"`
}

// A TargetOption is a setting that a target takes in target.options.
type TargetOption struct {
	Name    string `json:"name"`
	Help    string `json:"help"`
	Default string `json:"default,omitempty"`
	Takes   string `json:"takes"` // what is right, in words
}

// A Preset is what a cloud or hypervisor wants, by its name in target.format.
type Preset struct {
	Name    string            `json:"name"`
	Format  string            `json:"format"` // a target's name
	Options map[string]string `json:"options,omitempty"`
	Why     string            `json:"why"`
	Source  string            `json:"source"` // where that is said
}

// Health answers GET /v1/healthz.
type Health struct {
	Status string `json:"status"` // "ok"
}
