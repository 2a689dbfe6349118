// Package contract holds what workflows, activities and those who start them
// have in common: names, and the structs that travel through Temporal. Fields
// are only added, never renamed. Nothing large or secret stands in them.
package contract

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"ingest/internal/bandwidth"
)

// Names that Temporal knows. They are stable for ever.
const (
	ImportWorkflow = "ImportImage"

	// ImportQueue takes workflows and light activities.
	ImportQueue = "ingest"
	// TransferQueue takes fetches, on whatever host answers first.
	TransferQueue = "ingest-transfer"

	// ProgressQuery asks a running import how far it is; see Progress.
	ProgressQuery = "progress"
	// ProgressSignal is how a long activity tells its workflow; see Progress.
	ProgressSignal = "progress"

	RegisterActivity = "Register"
	ReportActivity   = "Report"
	FetchActivity    = "Fetch"
	DetectActivity   = "Detect"
	ValidateActivity = "Validate"
	ConvertActivity  = "Convert"
	ChecksumActivity = "Checksum"
	StoreActivity    = "Store"
	ActivateActivity = "Activate"
	CleanupActivity  = "Cleanup"
	FailActivity     = "Fail"
)

// Names of the search attributes, with their Temporal types in SearchAttributes.
const (
	AttrTaskStatus   = "IngestTaskStatus"
	AttrStage        = "IngestStage"
	AttrImageID      = "IngestImageID"
	AttrOwner        = "IngestOwner"
	AttrSourceFormat = "IngestSourceFormat"
	AttrTargetFormat = "IngestTargetFormat"
)

// SearchAttributes lists the keyword search attributes that the namespace needs.
func SearchAttributes() []string {
	return []string{AttrTaskStatus, AttrStage, AttrImageID, AttrOwner, AttrSourceFormat, AttrTargetFormat}
}

// A Stage is a step of an import, in the order in which they run.
type Stage string

// The stages.
const (
	StageRegister Stage = "register"
	StageFetch    Stage = "fetch"
	StageDetect   Stage = "detect"
	StageValidate Stage = "validate"
	StageConvert  Stage = "convert"
	StageChecksum Stage = "checksum"
	StageStore    Stage = "store"
	StageActivate Stage = "activate"
	StageCleanup  Stage = "cleanup"
	StageDone     Stage = "done"
)

// Stages lists the stages of a successful import.
func Stages() []Stage {
	return []Stage{StageRegister, StageFetch, StageDetect, StageValidate, StageConvert, StageChecksum, StageStore, StageActivate}
}

// HostQueue is the task queue of the host that holds staged files.
func HostQueue(hostID string) string { return "ingest-host-" + hostID }

// ImportRequest is the one argument of the ImportImage workflow. The API, the
// command line and `temporal workflow start` all send this.
type ImportRequest struct {
	// TaskID and ImageID are UUIDs. Empty ones are derived from the workflow
	// id, so that a workflow started by hand needs neither.
	TaskID  string `json:"task_id,omitempty"`
	ImageID string `json:"image_id,omitempty"`
	// IdempotencyKey names the request: the same key of the same owner is one
	// import, however often it is submitted.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Owner is the project that will own the image.
	Owner     string `json:"owner,omitempty"`
	UserID    string `json:"user_id,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	// Roles are those of the user within the project. The API fills them in from
	// whom it has authenticated, and takes none from a request's body.
	Roles []string `json:"roles,omitempty"`
	// TaskType is Glance's type of the task; "" means api_image_import.
	TaskType string `json:"task_type,omitempty"`

	// Method says what is done: "" imports, MethodCopy copies the image to further
	// stores, of which nothing but the ids and the stores is read, and MethodExport sends
	// it to a destination. See Copy and Export. MethodLocate makes the image of an object
	// that is in a store already. MethodReimport is a run of the schedule ScheduleID.
	// MethodClone copies an image of another image service.
	Method     string `json:"method,omitempty"`
	ScheduleID string `json:"schedule_id,omitempty"`

	Source SourceSpec `json:"source"`
	Target TargetSpec `json:"target"`
	Image  ImageSpec  `json:"image"`

	// Verify is one of VerifyLevels; "" means the server's default.
	Verify string `json:"verify,omitempty"`

	// Priority is MinPriority to MaxPriority; nil means DefaultPriority. It can be
	// changed while the task waits.
	Priority *int `json:"priority,omitempty"`

	// Bandwidth is how many bytes a second are read from the source at most; 0 is no
	// limit. It changes nothing of what is made.
	Bandwidth bandwidth.Rate `json:"bandwidth,omitempty"`

	// Destination is where an export is sent, nil for everything else. See Export.
	Destination *DestinationSpec `json:"destination,omitempty"`

	// StoresSpec names several stores; Target.Store may be left out then, and is
	// otherwise the first of them.
	StoresSpec
}

// SourceSpec says where the bytes are and what they are said to be.
type SourceSpec struct {
	URL        string `json:"url"`                  // http(s) URL, file URL, or path below a file root
	Format     string `json:"format,omitempty"`     // declared disk format; "" means detect
	Checksum   string `json:"checksum,omitempty"`   // "sha256:HEX", "sha512:HEX" or, where admitted, "md5:HEX" of the source's bytes
	Credential string `json:"credential,omitempty"` // name of a credential, never the secret
	// Mirrors are other http(s) URLs of the file at URL: it is read from all of them.
	Mirrors []string `json:"mirrors,omitempty"`
	// ChecksumFile is the URL or path of a file that lists the digests of the
	// image's files, or "auto" for one with a usual name in the source's folder.
	ChecksumFile string `json:"checksum_file,omitempty"`
	// Signature is the URL or path of a detached OpenPGP signature, or "auto" for
	// one with a usual name: over the checksum file if there is one, else over the
	// source's bytes. It is demanded if it or Keyring is given; a checksum file may
	// hold its signature itself.
	Signature string `json:"signature,omitempty"`
	// Keyring is the name of the operator's keyring that the signature's key must be
	// in; "" means any of them.
	Keyring string `json:"keyring,omitempty"`
	// Members are the image's other files, if its disk is spread over several.
	// Format and Checksum are those of the file at URL.
	Members []MemberSpec `json:"members,omitempty"`
}

// TargetSpec says what to store.
type TargetSpec struct {
	Format      string            `json:"format,omitempty"`      // format or preset; "" means: raw stays raw, all others the configured format
	Compression string            `json:"compression,omitempty"` // short for the option of that name
	Options     map[string]string `json:"options,omitempty"`
	Store       string            `json:"store,omitempty"` // "" means the default store
	// AsIs stores the bytes of the source as they are. The workflow of a clone sets it; a
	// request leaves it out.
	AsIs bool `json:"as_is,omitempty"`
	// DiskFormat and ContainerFormat are what the image will be called. Validate
	// fills them in; a request leaves them empty.
	DiskFormat      string `json:"disk_format,omitempty"`
	ContainerFormat string `json:"container_format,omitempty"`
}

// Named returns the target with its format as people know it: what is stored as it is is
// written like a raw disk, whatever it is.
func (t TargetSpec) Named() TargetSpec {
	if t.AsIs {
		t.Format = t.DiskFormat
	}
	return t
}

// StoredAs returns the disk format that the image will have.
func (t TargetSpec) StoredAs() string {
	if t.DiskFormat != "" {
		return t.DiskFormat
	}
	return t.Format
}

// ImageSpec holds the image's own fields, as Glance has them.
type ImageSpec struct {
	Name            string            `json:"name,omitempty"`
	Visibility      string            `json:"visibility,omitempty"`
	ContainerFormat string            `json:"container_format,omitempty"`
	Tags            []string          `json:"tags,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	MinDisk         int64             `json:"min_disk,omitempty"` // GiB
	MinRAM          int64             `json:"min_ram,omitempty"`  // MiB
	Protected       bool              `json:"protected,omitempty"`
	Hidden          bool              `json:"os_hidden,omitempty"` // left out of lists that do not ask for it
}

// ImportResult is what the workflow returns: one image for each disk.
type ImportResult struct {
	TaskID string        `json:"task_id"`
	Images []ImageResult `json:"images"`
	// Exported is what was made of the image elsewhere, nil if the task is no export.
	Exported *Exported `json:"exported,omitempty"`
}

// ImageResult describes one active image.
type ImageResult struct {
	ImageID       string `json:"image_id"`
	Name          string `json:"name,omitempty"` // of the image, if the source holds several disks
	DiskFormat    string `json:"disk_format"`
	Size          int64  `json:"size"`         // stored bytes
	VirtualSize   int64  `json:"virtual_size"` // bytes
	ContentDigest string `json:"content_digest"`
	HashAlgo      string `json:"os_hash_algo"`
	HashValue     string `json:"os_hash_value"`
	Checksum      string `json:"checksum,omitempty"` // MD5, if switched on
	Location      string `json:"location"`
	Verify        string `json:"verify,omitempty"` // level at which it was verified
	// Stores are those that have the image, if several were asked for, the first one
	// first; FailedStores are those that it could not be brought into.
	Stores       []string `json:"stores,omitempty"`
	FailedStores []string `json:"failed_stores,omitempty"`
}

// Progress says how far an import is. It is the answer of ProgressQuery, the
// heartbeat detail of long activities, and the body of ProgressSignal.
type Progress struct {
	TaskID     string    `json:"task_id,omitempty"`
	Stage      Stage     `json:"stage"`
	Status     string    `json:"status,omitempty"` // task status
	Bytes      int64     `json:"bytes"`
	Total      int64     `json:"total"`                 // -1 if unknown
	Rate       float64   `json:"rate"`                  // bytes a second, over the last seconds
	ETA        float64   `json:"eta_seconds"`           // -1 if unknown
	Attempt    int32     `json:"attempt"`               // of the stage's activity, from 1
	ObservedAt time.Time `json:"observed_at,omitempty"` // when the figures were taken
	Message    string    `json:"message,omitempty"`
	// Disk is the number of the disk that is worked on, from 1, of so many
	// Disks; both are 0 if the source holds one only.
	Disk  int `json:"disk,omitempty"`
	Disks int `json:"disks,omitempty"`
	// Store is that which is copied to, in what an activity says of itself; "" if it
	// is all of them.
	Store string `json:"store,omitempty"`
	// Paused says that nothing moves until the task is resumed.
	Paused bool `json:"paused,omitempty"`
}

// namespaceTask is the UUIDv5 name space of ids derived from workflow ids.
var namespaceTask = uuid.MustParse("6f1c3a52-3d5e-5b0e-9a55-0d7f6f1f8c11")

// DerivedTaskID returns the task id of a workflow that was started by hand.
func DerivedTaskID(workflowID string) string {
	return uuid.NewSHA1(namespaceTask, []byte("task/"+workflowID)).String()
}

// DerivedImageID returns the id of a task's n-th image.
func DerivedImageID(taskID string, n int) string {
	return uuid.NewSHA1(namespaceTask, []byte("image/"+taskID+"/"+strconv.Itoa(n))).String()
}

// DerivedUploadID returns the id of the upload that a task writes in the given
// round from a pinned source. Whoever comes back to the task finds it again; a
// source that changed meanwhile, or had to be fetched again, gets a fresh one,
// so that two versions are never spliced.
func DerivedUploadID(taskID string, round int, pin string) string {
	return uuid.NewSHA1(namespaceTask, []byte("upload/"+taskID+"/"+strconv.Itoa(round)+"/"+pin)).String()
}

// ObjectKey returns the key of one upload of an image, as stores.NewKey does.
func ObjectKey(imageID, uploadID string) string { return imageID + "/" + uploadID }

// WorkflowID returns the id of the workflow that runs a task: the same request
// has the same id, so submitting it twice is one import.
func WorkflowID(owner, taskID, idempotencyKey string) string {
	if owner == "" {
		owner = "default"
	}
	id := taskID
	if idempotencyKey != "" {
		id = "key-" + strings.ReplaceAll(idempotencyKey, "/", "_")
	}
	return "import/" + owner + "/" + id
}
