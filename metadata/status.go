package metadata

import (
	"slices"

	"ingest/internal/errcode"
)

// An ImageStatus says how far an image is, in Glance's words.
type ImageStatus string

// The statuses of an image.
const (
	ImageQueued        ImageStatus = "queued"         // known, without bytes
	ImageSaving        ImageStatus = "saving"         // a plain upload is being stored
	ImageUploading     ImageStatus = "uploading"      // bytes are being staged for an import
	ImageImporting     ImageStatus = "importing"      // a task works on it
	ImageActive        ImageStatus = "active"         // whole, may be downloaded
	ImageDeactivated   ImageStatus = "deactivated"    // whole, withheld by an operator
	ImageKilled        ImageStatus = "killed"         // an upload failed half-way
	ImageDeleted       ImageStatus = "deleted"        // gone, only the record stays
	ImagePendingDelete ImageStatus = "pending_delete" // bytes wait for their removal
)

// A CopyStatus says what a copy of an image is good for. There is one: a copy that is
// lost or damaged is given up by fsck. One that another program has written is not
// read from, and its object goes with the image.
type CopyStatus string

// CopyActive says that a copy is whole and read from.
const CopyActive CopyStatus = "active"

// A TaskStatus says how far a task is, in Glance's words.
type TaskStatus string

// The statuses of a task.
const (
	TaskPending    TaskStatus = "pending"
	TaskProcessing TaskStatus = "processing"
	TaskSuccess    TaskStatus = "success"
	TaskFailure    TaskStatus = "failure"
)

// Finished reports whether the status is final.
func (s TaskStatus) Finished() bool { return s == TaskSuccess || s == TaskFailure }

// ImageStatuses lists every status that an image can have.
func ImageStatuses() []ImageStatus {
	return []ImageStatus{ImageQueued, ImageSaving, ImageUploading, ImageImporting, ImageActive,
		ImageDeactivated, ImageKilled, ImageDeleted, ImagePendingDelete}
}

// TaskStatuses lists every status that a task can have.
func TaskStatuses() []TaskStatus {
	return []TaskStatus{TaskPending, TaskProcessing, TaskSuccess, TaskFailure}
}

// imageNext lists, for each status of an image, those that may follow it.
var imageNext = map[ImageStatus][]ImageStatus{
	ImageQueued:        {ImageSaving, ImageUploading, ImageImporting, ImageActive, ImageDeleted},
	ImageSaving:        {ImageActive, ImageKilled, ImageDeleted, ImageQueued},
	ImageUploading:     {ImageImporting, ImageQueued, ImageDeleted},
	ImageImporting:     {ImageActive, ImageDeleted, ImageQueued},
	ImageActive:        {ImagePendingDelete, ImageDeleted, ImageDeactivated},
	ImageDeactivated:   {ImageActive, ImageDeleted},
	ImageKilled:        {ImageDeleted},
	ImagePendingDelete: {ImageDeleted, ImageActive},
	ImageDeleted:       {},
}

// taskNext lists, for each status of a task, those that may follow it.
var taskNext = map[TaskStatus][]TaskStatus{
	TaskPending:    {TaskProcessing, TaskFailure},
	TaskProcessing: {TaskSuccess, TaskFailure},
	TaskSuccess:    {},
	TaskFailure:    {},
}

// CheckImageTransition returns errcode.StatusTransition unless an image may go
// from one status to the other. Staying as it is is no change and always legal
// for a known status.
func CheckImageTransition(from, to ImageStatus) error {
	return checkTransition("image", imageNext, from, to)
}

// CheckTaskTransition is CheckImageTransition for tasks.
func CheckTaskTransition(from, to TaskStatus) error {
	return checkTransition("task", taskNext, from, to)
}

func checkTransition[S ~string](what string, next map[S][]S, from, to S) error {
	allowed, known := next[from]
	if known && (from == to || slices.Contains(allowed, to)) {
		return nil
	}
	return errcode.New(errcode.StatusTransition, "%s cannot go from status %q to %q", what, string(from), string(to)).
		With(errcode.Evidence{Structure: what, Field: "status", Value: string(from) + " -> " + string(to)})
}
