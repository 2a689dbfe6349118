package contract

// Names that Temporal knows, of what has to do with exports.
const (
	// ExportWorkflow sends an active image to a destination; see ExportRequest.
	ExportWorkflow = "ExportImage"

	RegisterExportActivity = "RegisterExport"
	ExportActivity         = "Export"
	EndExportActivity      = "EndExport"
)

// StageExport converts, sends and reads back. Only exports come to it.
const StageExport Stage = "export"

// MethodExport marks the request of an export in the catalogue.
const MethodExport = "export"

// TypeExport is the type of an export's task, as in Glance's schema of tasks.
const TypeExport = "export"

// DestinationSpec says where an image is sent.
type DestinationSpec struct {
	URL        string `json:"url"`                  // file URL or absolute path, s3 URL, or http(s) URL for PUT
	Credential string `json:"credential,omitempty"` // name of a credential, never the secret
	Overwrite  bool   `json:"overwrite,omitempty"`  // replaces what is there
}

// ExportRequest is the one argument of the ExportImage workflow. The API, the command
// line and `temporal workflow start` all send this.
type ExportRequest struct {
	ImageID string `json:"image_id"`
	// TaskID is a UUID; an empty one is derived from the workflow's id.
	TaskID         string   `json:"task_id,omitempty"`
	IdempotencyKey string   `json:"idempotency_key,omitempty"`
	Owner          string   `json:"owner,omitempty"` // the project that owns the image
	UserID         string   `json:"user_id,omitempty"`
	RequestID      string   `json:"request_id,omitempty"`
	Roles          []string `json:"roles,omitempty"`
	// Target is what is sent: a format or preset with its options. Without a format the
	// stored bytes are sent as they are.
	Target      TargetSpec      `json:"target"`
	Destination DestinationSpec `json:"destination"`
	Priority    *int            `json:"priority,omitempty"`
}

// Check returns errcode.BadRequest for a request that no stage could work with.
func (r ExportRequest) Check() error {
	switch {
	case r.ImageID == "":
		return badField("image_id", "is missing")
	case !idOrEmpty(r.ImageID):
		return badField("image_id", "is no UUID")
	case !idOrEmpty(r.TaskID):
		return badField("task_id", "is no UUID")
	case r.Destination.URL == "":
		return badField("destination.url", "is missing")
	case len(r.Destination.URL) > MaxURLBytes:
		return badField("destination.url", "is too long")
	case r.Target.Store != "":
		return badField("target.store", "is not for exports")
	}
	return checkPriority(r.Priority)
}

// Import is the request as the catalogue keeps it, like that of any other task.
func (r ExportRequest) Import() ImportRequest {
	to := r.Destination
	return ImportRequest{
		Method: MethodExport, TaskType: TypeExport, TaskID: r.TaskID, ImageID: r.ImageID, IdempotencyKey: r.IdempotencyKey, Owner: r.Owner,
		UserID: r.UserID, RequestID: r.RequestID, Roles: r.Roles, Target: r.Target, Destination: &to, Priority: r.Priority,
	}
}

// Export is the request of a task whose method is MethodExport.
func (r ImportRequest) Export() ExportRequest {
	out := ExportRequest{
		ImageID: r.ImageID, TaskID: r.TaskID, IdempotencyKey: r.IdempotencyKey, Owner: r.Owner,
		UserID: r.UserID, RequestID: r.RequestID, Roles: r.Roles, Target: r.Target, Priority: r.Priority,
	}
	if r.Destination != nil {
		out.Destination = *r.Destination
	}
	return out
}

// RegisterExportParams asks for the catalogue's row of an export.
type RegisterExportParams struct {
	Request    ExportRequest `json:"request"` // with TaskID set
	WorkflowID string        `json:"workflow_id"`
}

// RegisterExportResult is what is sent.
type RegisterExportResult struct {
	// Request is the catalogue's, which wins over what was asked for.
	Request ExportRequest `json:"request"`
	// Finished is set if the task had ended before: there is nothing to do.
	Finished bool          `json:"finished"`
	Result   *ImportResult `json:"result,omitempty"`
	Error    *ErrorValue   `json:"error,omitempty"`
	Control  *Control      `json:"control,omitempty"`
	// Image is what the image is, From where it can be read, the best place first.
	Image ImageResult `json:"image"`
	From  []Stored    `json:"from,omitempty"`
}

// ExportParams ask for one export.
type ExportParams struct {
	TaskID      string          `json:"task_id"`
	Project     string          `json:"project,omitempty"` // who names the credential
	Image       ImageResult     `json:"image"`
	From        []Stored        `json:"from"`
	Target      TargetSpec      `json:"target"`
	Destination DestinationSpec `json:"destination"`
}

// Exported is what lies at the destination.
type Exported struct {
	Destination   string `json:"destination"` // without what may be secret in it
	DiskFormat    string `json:"disk_format"`
	Size          int64  `json:"size"`         // of the file, bytes
	VirtualSize   int64  `json:"virtual_size"` // bytes
	HashAlgo      string `json:"os_hash_algo"`
	HashValue     string `json:"os_hash_value"` // of the file
	Checksum      string `json:"checksum,omitempty"`
	ContentDigest string `json:"content_digest,omitempty"`
	// Verified says that the destination was read back, and holds the image's content. What
	// a PUT has sent cannot be read back.
	Verified bool `json:"verified"`
	// Host is the task queue of the host that sent it, on which a file lies.
	Host string `json:"host,omitempty"`
}

// EndExportParams end an export's task with success.
type EndExportParams struct {
	TaskID   string      `json:"task_id"`
	Image    ImageResult `json:"image"`
	Exported Exported    `json:"exported"`
}
