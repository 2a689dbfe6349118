package contract

import (
	"encoding/json"
	"strconv"

	"ingest/internal/errcode"
)

// RegisterParams asks for the catalogue's rows of an import. Register runs
// first in every import, however it was submitted, and may run again.
type RegisterParams struct {
	Request    ImportRequest `json:"request"` // with TaskID and ImageID set
	WorkflowID string        `json:"workflow_id"`
}

// RegisterResult is what Register found or made.
type RegisterResult struct {
	// Request is the whole request, with the server's defaults filled in. The
	// catalogue's ids win over those that were asked for.
	Request ImportRequest `json:"request"`
	// Finished is set if the task had ended before: there is nothing to do.
	Finished bool          `json:"finished"`
	Result   *ImportResult `json:"result,omitempty"` // of a task that succeeded
	Error    *ErrorValue   `json:"error,omitempty"`  // of a task that failed
	// Control is how the task is worked on, nil if nobody has said anything of it.
	Control *Control `json:"control,omitempty"`
}

// ReportParams records the begin or the end of a stage.
type ReportParams struct {
	TaskID     string `json:"task_id"`
	Stage      Stage  `json:"stage"`
	Done       bool   `json:"done"` // false: the stage begins
	Attempt    int32  `json:"attempt,omitempty"`
	Bytes      int64  `json:"bytes,omitempty"`
	DurationMS int64  `json:"duration_ms,omitempty"`
	Message    string `json:"message,omitempty"`
	Disk       int    `json:"disk,omitempty"` // as in ConvertParams
}

// FetchParams asks for a pinned source.
type FetchParams struct {
	TaskID  string     `json:"task_id"`
	ImageID string     `json:"image_id"`
	Source  SourceSpec `json:"source"`
	// Project is who imports: credentials may be bound to projects.
	Project string `json:"project,omitempty"`
	// Ahead, if set, lets the conversion begin while the source is staged.
	Ahead *Ahead `json:"ahead,omitempty"`
	// AsIs wants all that an image service says of the image, and the bytes that it keeps
	// the digest of: they are staged, and no compression is taken off.
	AsIs bool `json:"as_is,omitempty"`
}

// Ahead says what a conversion that begins before its turn writes.
type Ahead struct {
	Target TargetSpec `json:"target"` // as requested
	Round  int        `json:"round"`  // in which the result would be taken up
}

// Fetched is a pinned source, read where it lies or staged on one host.
type Fetched struct {
	URL        string `json:"url"`
	Credential string `json:"credential,omitempty"`
	Project    string `json:"project,omitempty"` // who may use the credential
	Driver     string `json:"driver"`
	Size       int64  `json:"size"` // bytes
	Validator  string `json:"validator,omitempty"`
	Strong     bool   `json:"strong,omitempty"`
	Random     bool   `json:"random,omitempty"`
	Local      bool   `json:"local,omitempty"`
	// Mirrors are the places of the pinned version, as the driver writes them; "" if
	// there is only the one.
	Mirrors string `json:"mirrors,omitempty"`
	// Notes say what of the source was left out, such as a mirror with other bytes.
	Notes  []string `json:"notes,omitempty"`
	Staged bool     `json:"staged,omitempty"` // read the staged copy of the task
	// Layer is the compression that was taken off while staging: "gzip", "xz",
	// "zstd", "bzip2", "zip"; "" if there was none. Size is then that of what came
	// out, and SourceSize that of the source, bytes.
	Layer        string `json:"layer,omitempty"`
	SourceSize   int64  `json:"source_size,omitempty"`
	SourceDigest string `json:"source_digest,omitempty"` // "sha256:HEX", if it was taken
	// Queue is the task queue on which the following activities must run,
	// because staged files and local stores belong to a host; "" for any.
	Queue string `json:"queue,omitempty"`
	// Members are the image's other files, in the request's order.
	Members []FetchedMember `json:"members,omitempty"`
	// Verifications are the proofs that the bytes are the publisher's, of this
	// file and of the members; those of a member do not list any of their own.
	Verifications []Verification `json:"verifications,omitempty"`
	// Beside is where redirects led that were followed for checksum files and
	// signatures, each URL without what may be secret in it.
	Beside []string `json:"beside,omitempty"`
	// Origin is where the bytes came from, nil if the driver does not know more than
	// the URL. It may differ from one fetch of the same version to the next.
	Origin *Origin `json:"origin,omitempty"`
	// About is what the source's own catalogue says of the image, nil if it stands in
	// none. Its owners may change it without a change of the version.
	About *About `json:"about,omitempty"`
}

// A FetchedMember is another file of an image, pinned as the first one is. It
// has no queue and no members of its own.
type FetchedMember struct {
	Name string `json:"name"` // by which the image knows it
	Fetched
}

// Pin tells two versions of a source apart, "" if that cannot be told: that of
// the first file, and of all members if there are any.
func (f Fetched) Pin() string {
	pin := f.filePin()
	for _, m := range f.Members {
		member := m.filePin()
		if pin == "" || member == "" {
			return ""
		}
		pin += "\n" + m.Name + "\n" + member
	}
	return pin
}

// filePin is the pin of one file.
func (f Fetched) filePin() string {
	switch {
	case f.Validator != "":
		return strconv.FormatInt(f.Size, 10) + "/" + f.Validator
	case f.SourceDigest != "":
		return f.SourceDigest
	}
	return ""
}

// SourceBytes is the size of the source itself.
func (f Fetched) SourceBytes() int64 {
	if f.Layer != "" {
		return f.SourceSize
	}
	return f.Size
}

// Same reports whether two fetches found the same, in the same place, and proved
// the same of it, whenever that was. Where servers behind the URL were
// is left out, and what was noted and said of them.
//
// It is called in workflows, where reflection is not admitted; a test holds it
// against every field.
func (f Fetched) Same(other Fetched) bool {
	if len(f.Members) != len(other.Members) {
		return false
	}
	for i, m := range f.Members {
		if m.Name != other.Members[i].Name || !m.Fetched.Same(other.Members[i].Fetched) {
			return false
		}
	}
	texts := [...]string{f.URL, f.Credential, f.Project, f.Driver, f.Validator, f.Layer, f.SourceDigest, f.Queue, f.Mirrors}
	others := [...]string{other.URL, other.Credential, other.Project, other.Driver, other.Validator, other.Layer, other.SourceDigest, other.Queue, other.Mirrors}
	return texts == others && f.Size == other.Size && f.SourceSize == other.SourceSize &&
		f.Strong == other.Strong && f.Random == other.Random && f.Local == other.Local && f.Staged == other.Staged &&
		sameVerifications(f.Verifications, other.Verifications)
}

// DetectParams asks what a source is.
type DetectParams struct {
	TaskID  string  `json:"task_id"`
	ImageID string  `json:"image_id,omitempty"`
	Fetched Fetched `json:"fetched"`
	Format  string  `json:"format,omitempty"` // declared
	// AsIs wants the bytes to be just what About says of them, container and disk.
	AsIs bool `json:"as_is,omitempty"`
	// Soft lists codes that warn instead of refusing. The activity fills it in from
	// the operator's policy.
	Soft []errcode.Code `json:"soft,omitempty"`
}

// Detected says what a source is. The whole report stands in the task's events.
type Detected struct {
	Format        string `json:"format"`
	Subformat     string `json:"subformat,omitempty"`
	VirtualSize   int64  `json:"virtual_size"`   // bytes
	AllocatedSize int64  `json:"allocated_size"` // bytes, -1 if unknown
	// Container is what is around the disk: "ova", "tar", "zip", "gce"; "" if it
	// is bare.
	Container string `json:"container,omitempty"`
	// Disks are those of a container, in its order; none for a bare disk. The
	// fields above are those of the first one.
	Disks []DetectedDisk `json:"disks,omitempty"`
}

// ValidateParams asks whether a source is whole and what will be made of it.
type ValidateParams struct {
	TaskID   string     `json:"task_id"`
	ImageID  string     `json:"image_id,omitempty"`
	Fetched  Fetched    `json:"fetched"`
	Detected Detected   `json:"detected"`
	Target   TargetSpec `json:"target"`
	Verify   string     `json:"verify,omitempty"` // level that is asked for, "" for the default
	// Stores are those that are asked for beside the target's.
	Stores *StoresSpec `json:"stores,omitempty"`
	// Disk is the number of the disk of a source that holds several, from 1; 0 is
	// the only one.
	Disk int `json:"disk,omitempty"`
	// Soft lists codes that warn instead of refusing. The activity fills it in from
	// the operator's policy.
	Soft []errcode.Code `json:"soft,omitempty"`
}

// Validated is the plan of the conversion: the target and the level of
// verification, with nothing left open.
type Validated struct {
	Target TargetSpec `json:"target"`
	Verify string     `json:"verify,omitempty"`
	// Guest is what is known of the disk's inside, nil for what is no disk.
	Guest *GuestFacts `json:"guest,omitempty"`
	// Stores are all stores that the image is brought into, the target's first, if
	// several were asked for.
	Stores []string `json:"stores,omitempty"`
}

// ConvertParams asks for the target's bytes in an uncommitted upload.
type ConvertParams struct {
	TaskID   string     `json:"task_id"`
	ImageID  string     `json:"image_id,omitempty"`
	Fetched  Fetched    `json:"fetched"`
	Detected Detected   `json:"detected"`
	Target   TargetSpec `json:"target"`
	// Key names the object. Its last part names the upload, so that any
	// attempt finds it again.
	Key string `json:"key"`
	// Disk is the number of the disk of a source that holds several, from 1; 0 is
	// the only one.
	Disk int `json:"disk,omitempty"`
	// Soft lists codes that warn instead of refusing. The activity fills it in from
	// the operator's policy.
	Soft []errcode.Code `json:"soft,omitempty"`
	// Verify is the level at which the bytes are verified behind it, "" if that is not
	// known.
	Verify string `json:"verify,omitempty"`
}

// Converted describes an unsealed upload that holds all bytes.
type Converted struct {
	Store         string `json:"store"`
	UploadID      string `json:"upload_id"`
	Size          int64  `json:"size"`           // stored bytes
	VirtualSize   int64  `json:"virtual_size"`   // of the target, bytes
	SourceSize    int64  `json:"source_size"`    // virtual size of the source, bytes
	ContentDigest string `json:"content_digest"` // of the source's guest bytes
	// Codec names what made the stored bytes: writer, options and version.
	Codec string `json:"codec,omitempty"`
	// Sums are the digests of the bytes that were stored, taken while they were
	// written, where they come in order; nil where they do not.
	Sums *StoredSums `json:"sums,omitempty"`
}

// StoredSums are digests of an image's stored bytes.
type StoredSums struct {
	HashAlgo  string `json:"os_hash_algo"`
	HashValue string `json:"os_hash_value"`
	Checksum  string `json:"checksum,omitempty"` // MD5, if switched on
	// Blocks is a checksum of the same bytes that costs little to take again, "" if it
	// is not known.
	Blocks string `json:"blocks,omitempty"`
	// ReadBack says that each block was read back behind its writing, and found to be
	// what Blocks is of.
	ReadBack bool `json:"read_back,omitempty"`
	// Resumed says that an attempt was stopped before: behind what it had noted it may
	// have written bytes that the source did not give a second time, and that nothing
	// has written over. Only what is stored says whether the digests are of it.
	Resumed bool `json:"resumed,omitempty"`
}

// ChecksumParams asks to seal an upload and to read it back.
type ChecksumParams struct {
	TaskID    string     `json:"task_id"`
	ImageID   string     `json:"image_id,omitempty"`
	Target    TargetSpec `json:"target"`
	Converted Converted  `json:"converted"`
	Verify    string     `json:"verify,omitempty"` // as validated
	// Disk is the number of the disk of a source that holds several, from 1; 0 is
	// the only one.
	Disk int `json:"disk,omitempty"`
	// Digest is that of the source's bytes, "ALGO:HEX", if they are stored as they are.
	Digest string `json:"digest,omitempty"`
	// Resume is the hint that an activity has left which was interrupted, so that the
	// task could be paused.
	Resume json.RawMessage `json:"resume,omitempty"`
}

// Checksummed holds the digests of the sealed bytes.
type Checksummed struct {
	HashAlgo  string `json:"os_hash_algo"`
	HashValue string `json:"os_hash_value"`
	Checksum  string `json:"checksum,omitempty"` // MD5, if switched on
	Verify    string `json:"verify,omitempty"`   // level at which they were verified
}

// StoreParams asks to commit a sealed upload.
type StoreParams struct {
	TaskID      string      `json:"task_id"`
	ImageID     string      `json:"image_id,omitempty"`
	Key         string      `json:"key"`
	Converted   Converted   `json:"converted"`
	Checksummed Checksummed `json:"checksummed"`
	// Disk is the number of the disk of a source that holds several, from 1; 0 is
	// the only one.
	Disk int `json:"disk,omitempty"`
}

// Stored says where an image's bytes are.
type Stored struct {
	Store    string `json:"store"`
	Key      string `json:"key"`
	Location string `json:"location"`
}

// ActivateParams asks to make a task's images active and the task a success, in
// one transaction.
type ActivateParams struct {
	Request ImportRequest `json:"request"`
	// Fetched is the pinned source, with what was verified of it. It is zero in
	// histories that are older than the field.
	Fetched     Fetched     `json:"fetched,omitzero"`
	Detected    Detected    `json:"detected"`
	Target      TargetSpec  `json:"target"`
	Converted   Converted   `json:"converted"`
	Checksummed Checksummed `json:"checksummed"`
	Stored      Stored      `json:"stored"`
	Guest       *GuestFacts `json:"guest,omitempty"` // as validated
	// Further are the disks behind the first one, in their order.
	Further []DiskDone `json:"further,omitempty"`
	// Copies are the further places of the first disk, and FailedStores the stores
	// that have failed, if several were asked for.
	Copies       []Stored `json:"copies,omitempty"`
	FailedStores []string `json:"failed_stores,omitempty"`
	// Located says that the bytes were in the store before the task: the image shall name
	// that very object.
	Located bool `json:"located,omitempty"`
}

// CleanupParams asks to remove what an import left: always its staged files,
// and its upload and object too if it did not succeed.
type CleanupParams struct {
	TaskID  string `json:"task_id"`
	ImageID string `json:"image_id,omitempty"`
	Store   string `json:"store,omitempty"`
	Key     string `json:"key,omitempty"`
	Success bool   `json:"success"`
	// Further are the uploads and objects of the disks behind the first one.
	Further []Leftover `json:"further,omitempty"`
	// Destination is where an export may have left something, and Project who names its
	// credential.
	Destination *DestinationSpec `json:"destination,omitempty"`
	Project     string           `json:"project,omitempty"`
}

// FailParams records why a task failed. A task that another workflow runs is
// left alone.
type FailParams struct {
	TaskID     string     `json:"task_id"`
	ImageID    string     `json:"image_id,omitempty"`
	WorkflowID string     `json:"workflow_id,omitempty"`
	Stage      Stage      `json:"stage"`
	Error      ErrorValue `json:"error"`
}

// ErrorValue is an error as it travels: the details of a Temporal application
// error whose type is the code.
type ErrorValue struct {
	Code     errcode.Code      `json:"code"`
	Message  string            `json:"message"`
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
	// Queue is the task queue of the host on which the error arose, where
	// something of the task may be left; "" if nothing is bound to a host.
	Queue string `json:"queue,omitempty"`
	// Resume is the hint of Heartbeat, of an activity that was cancelled: its task may
	// only be paused.
	Resume json.RawMessage `json:"resume,omitempty"`
}

// ValueOf turns an error into its travelling form. The text of an error without
// a code stays behind, in the log.
func ValueOf(err error) ErrorValue {
	d := errcode.Lookup(errcode.Of(err))
	v := ErrorValue{Code: d.Code, Message: d.Meaning, Remedy: d.Remedy}
	if e, ok := errcode.As(err); ok {
		v.Message, v.Evidence = e.Message, e.Evidence
	}
	return v
}

// Heartbeat is the heartbeat detail of a long activity: how far it is, and a
// hint where another attempt can go on. The truth is in the manifest of the
// staged file or of the upload.
type Heartbeat struct {
	Progress Progress        `json:"progress"`
	Resume   json.RawMessage `json:"resume,omitempty"` // a few hundred bytes
	// Queue is that of ErrorValue, for attempts that end without a word.
	Queue string `json:"queue,omitempty"`
}
