package contract

import (
	"strconv"
	"strings"
)

// MaxDisks is how many disks a source may hold. Each becomes an image, and a
// machine that is exported as one file has a handful.
const MaxDisks = 16

// A DetectedDisk is one disk of a container.
type DetectedDisk struct {
	Name          string `json:"name"` // of the container's member
	Format        string `json:"format"`
	Subformat     string `json:"subformat,omitempty"`
	VirtualSize   int64  `json:"virtual_size"`   // bytes
	AllocatedSize int64  `json:"allocated_size"` // bytes, -1 if unknown
	Boot          bool   `json:"boot,omitempty"` // the machine boots from it
	// Properties are those that the image gets where its owner has set none of
	// that name, such as hw_firmware_type.
	Properties map[string]string `json:"properties,omitempty"`
}

// Count is how many images are made of the source.
func (d Detected) Count() int { return max(1, len(d.Disks)) }

// Disk describes the n-th disk of the source, from 1; 0 means the first one. A
// bare disk has no name and no properties.
func (d Detected) Disk(n int) DetectedDisk {
	if i := max(n, 1) - 1; i < len(d.Disks) {
		return d.Disks[i]
	}
	return DetectedDisk{Format: d.Format, Subformat: d.Subformat, VirtualSize: d.VirtualSize, AllocatedSize: d.AllocatedSize}
}

// DiskImageID returns the id of the image that is made of the n-th disk of a
// task, from 1: the first is the task's own image, the others' ids are derived.
func DiskImageID(taskID, own string, n int) string {
	if n <= 1 {
		return own
	}
	return DerivedImageID(taskID, n-1)
}

// TaskImageIDs lists the ids of all images that a task may make.
func TaskImageIDs(taskID, own string) []string {
	ids := make([]string, MaxDisks)
	for i := range ids {
		ids[i] = DiskImageID(taskID, own, i+1)
	}
	return ids
}

// DiskPin is the pin of the n-th disk of a source, from 1. That of the first is
// the source's.
func DiskPin(pin string, n int) string {
	if n <= 1 || pin == "" {
		return pin
	}
	return pin + "\ndisk " + strconv.Itoa(n)
}

// DiskKey is the key of a task's n-th disk, from 1 or 0 for the only one, as it is
// written in a round of a source with that pin.
func DiskKey(taskID, own string, round int, pin string, n int) string {
	return ObjectKey(DiskImageID(taskID, own, n), DerivedUploadID(taskID, round, DiskPin(pin, n)))
}

// DiskName is the name of the image of a task's n-th disk, from 1.
func DiskName(own string, n int) string {
	if n <= 1 {
		return own
	}
	suffix := "disk" + strconv.Itoa(n)
	if own == "" {
		return suffix
	}
	// Glance's names have 255 characters: what tells the images apart stays.
	r := []rune(own)
	return string(r[:min(len(r), 255-1-len(suffix))]) + "-" + suffix
}

// DiskMessage says in a task's history which of several disks an event is about;
// "" for the only one.
func DiskMessage(n int) string {
	if n == 0 {
		return ""
	}
	return "disk " + strconv.Itoa(n)
}

// DiskInMessage reads DiskMessage back, 0 if it is none.
func DiskInMessage(s string) int {
	text, ok := strings.CutPrefix(s, "disk ")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || n > MaxDisks {
		return 0
	}
	return n
}

// A DiskDone is a further disk of a source, stored.
type DiskDone struct {
	Disk        int         `json:"disk"` // from 2
	ImageID     string      `json:"image_id"`
	Target      TargetSpec  `json:"target"`
	Converted   Converted   `json:"converted"`
	Checksummed Checksummed `json:"checksummed"`
	Stored      Stored      `json:"stored"`
	Guest       *GuestFacts `json:"guest,omitempty"` // as validated
	Copies      []Stored    `json:"copies,omitempty"`
}

// A Leftover is an upload, or the object that it became.
type Leftover struct {
	ImageID string `json:"image_id"`
	Store   string `json:"store,omitempty"`
	Key     string `json:"key"`
}
