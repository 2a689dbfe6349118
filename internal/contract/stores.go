package contract

import (
	"slices"
	"strings"
)

// Names that Temporal knows, of what has to do with several stores.
const (
	// CopyWorkflow copies an active image to further stores; see CopyRequest.
	CopyWorkflow = "CopyImage"

	RegisterCopyActivity = "RegisterCopy"
	CopyActivity         = "Copy"
	MarkStoresActivity   = "MarkStores"
	AddCopiesActivity    = "AddCopies"
)

// StageCopy brings stored bytes into a further store. Only tasks with several
// stores, and copies, come to it.
const StageCopy Stage = "copy"

// MethodCopy is Glance's name for copying an image to further stores.
const MethodCopy = "copy-image"

// MaxStores is how many stores a request may name.
const MaxStores = 32

// maxStoreName bounds a store's name, bytes.
const maxStoreName = 255

// StoresSpec says into which stores an image shall be brought, in Glance's words.
type StoresSpec struct {
	// Stores are their names. The first takes what an import converts; the others
	// get copies of its bytes.
	Stores []string `json:"stores,omitempty"`
	// AllStores means every store that can be written to, and takes the place of
	// Stores.
	AllStores bool `json:"all_stores,omitempty"`
	// AllStoresMustSucceed says that one store's failure is that of the task, and
	// undoes the others; nil means true. Otherwise a task succeeds with one store,
	// and tells which have failed.
	AllStoresMustSucceed *bool `json:"all_stores_must_succeed,omitempty"`
}

// MustSucceed reports whether all stores must.
func (s StoresSpec) MustSucceed() bool {
	return s.AllStoresMustSucceed == nil || *s.AllStoresMustSucceed
}

// Several reports whether more than the one store of the target may be meant.
func (s StoresSpec) Several() bool { return s.AllStores || len(s.Stores) > 1 }

// check returns errcode.BadRequest for what no set of stores can be.
func (s StoresSpec) check() error {
	if len(s.Stores) > MaxStores {
		return badField("stores", "has too many names")
	}
	if s.AllStores && len(s.Stores) > 0 {
		return badField("stores", "stands beside all_stores")
	}
	for i, name := range s.Stores {
		switch {
		case name == "" || len(name) > maxStoreName || strings.Contains(name, ","):
			return badField("stores", "has a name that is empty, too long or has a comma")
		case slices.Contains(s.Stores[:i], name):
			return badField("stores", "names a store twice")
		}
	}
	return nil
}

// CopyRequest is the one argument of the CopyImage workflow. The API, the command
// line and `temporal workflow start` all send this.
type CopyRequest struct {
	// ImageID is the image that is copied. TaskID is a UUID; an empty one is
	// derived from the workflow's id.
	ImageID        string `json:"image_id"`
	TaskID         string `json:"task_id,omitempty"`
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Owner is the project that owns the image.
	Owner     string `json:"owner,omitempty"`
	UserID    string `json:"user_id,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	Priority  *int   `json:"priority,omitempty"` // 0 to 9, DefaultPriority if it is not said
	StoresSpec
}

// Check returns errcode.BadRequest for a request that no stage could work with.
func (r CopyRequest) Check() error {
	switch {
	case r.ImageID == "":
		return badField("image_id", "is missing")
	case !idOrEmpty(r.ImageID):
		return badField("image_id", "is no UUID")
	case !idOrEmpty(r.TaskID):
		return badField("task_id", "is no UUID")
	case len(r.Stores) == 0 && !r.AllStores:
		return badField("stores", "is missing: name the stores to copy to, or set all_stores")
	}
	if err := checkPriority(r.Priority); err != nil {
		return err
	}
	return r.StoresSpec.check()
}

// Import is the request as the catalogue keeps it, like that of any other task.
func (r CopyRequest) Import() ImportRequest {
	return ImportRequest{
		Method: MethodCopy, TaskID: r.TaskID, ImageID: r.ImageID, IdempotencyKey: r.IdempotencyKey, Owner: r.Owner,
		UserID: r.UserID, RequestID: r.RequestID, StoresSpec: r.StoresSpec, Priority: r.Priority,
	}
}

// Copy is the request of a task whose method is MethodCopy.
func (r ImportRequest) Copy() CopyRequest {
	return CopyRequest{
		ImageID: r.ImageID, TaskID: r.TaskID, IdempotencyKey: r.IdempotencyKey, Owner: r.Owner,
		UserID: r.UserID, RequestID: r.RequestID, StoresSpec: r.StoresSpec, Priority: r.Priority,
	}
}

// RegisterCopyParams asks for the catalogue's row of a copy.
type RegisterCopyParams struct {
	Request    CopyRequest `json:"request"` // with TaskID set
	WorkflowID string      `json:"workflow_id"`
}

// RegisterCopyResult is what is copied, and to where.
type RegisterCopyResult struct {
	// Request is the catalogue's, which wins over what was asked for.
	Request CopyRequest `json:"request"`
	// Finished is set if the task had ended before: there is nothing to do.
	Finished bool          `json:"finished"`
	Result   *ImportResult `json:"result,omitempty"` // of a task that succeeded
	Error    *ErrorValue   `json:"error,omitempty"`  // of a task that failed
	// Control is how the task is worked on, nil if nobody has said anything of it.
	Control *Control `json:"control,omitempty"`
	// Image is what the image is, with the stores that have it.
	Image ImageResult `json:"image"`
	// From is where it can be read, the best place first.
	From []Stored `json:"from,omitempty"`
	// Stores are those that it must be copied to; those that have it are left out.
	Stores []string `json:"to,omitempty"`
}

// CopyParams asks for a copy of stored bytes in another store.
type CopyParams struct {
	TaskID  string `json:"task_id"`
	ImageID string `json:"image_id,omitempty"`
	// From is where the bytes are; the next place is read where one fails.
	From  []Stored `json:"from"`
	Store string   `json:"store"`
	Key   string   `json:"key"`
	Size  int64    `json:"size"` // stored bytes
	// HashAlgo and HashValue are the stored digest that the copy must have.
	HashAlgo  string `json:"os_hash_algo,omitempty"`
	HashValue string `json:"os_hash_value,omitempty"`
	// Disk is the number of the disk of a source that holds several, from 1; 0 is
	// the only one.
	Disk int `json:"disk,omitempty"`
}

// MarkStoresParams records which stores a task is bringing an image into, and
// which have failed.
type MarkStoresParams struct {
	TaskID    string   `json:"task_id"`
	ImageID   string   `json:"image_id"`
	Importing []string `json:"importing,omitempty"`
	Failed    []string `json:"failed,omitempty"`
}

// AddCopiesParams ends a copy with success.
type AddCopiesParams struct {
	TaskID string      `json:"task_id"`
	Image  ImageResult `json:"image"`
	Copies []Stored    `json:"copies,omitempty"`
	Failed []string    `json:"failed,omitempty"` // stores
}

// StoreKey names the object of a copy: each task has its own, so that what one
// removes is never what another one has stored.
func (r CopyRequest) StoreKey(store string) string {
	return ObjectKey(r.ImageID, DerivedUploadID(r.TaskID, 0, "copy\n"+store))
}

// Copies lists what is to be done for a copy that was registered.
func (r CopyRequest) Copies(reg RegisterCopyResult) []CopyParams {
	var out []CopyParams
	for _, store := range reg.Stores {
		out = append(out, CopyParams{
			TaskID: r.TaskID, ImageID: r.ImageID, From: reg.From, Store: store, Key: r.StoreKey(store),
			Size: reg.Image.Size, HashAlgo: reg.Image.HashAlgo, HashValue: reg.Image.HashValue,
		})
	}
	return out
}

// Workflow returns the workflow that runs the request, and its argument.
func (r ImportRequest) Workflow() (name string, arg any) {
	switch r.Method {
	case MethodCopy:
		return CopyWorkflow, r.Copy()
	case MethodLocate:
		return LocateWorkflow, r
	case MethodClone:
		return CloneWorkflow, r
	case MethodReimport:
		return ReimportWorkflow, ReimportRequest{ScheduleID: r.ScheduleID, TaskID: r.TaskID}
	case MethodExport:
		return ExportWorkflow, r.Export()
	}
	return ImportWorkflow, r
}
