package contract

import (
	"encoding/json"
	"net/url"
	"strings"
)

// An Upload is bytes that a client sends for an image: those of the image itself, or
// with Stage those of an import that follows.
type Upload struct {
	ID      string // UUID; of a staged one, the id of the task that imports it
	ImageID string
	Stage   bool
	Store   string // that the bytes are the image's in; "" means the default one
	// Format and Container are the disk and container format that the image is said to
	// have, "" for none.
	Format    string
	Container string
	Size      int64 // bytes, -1 if the client does not say
	Most      int64 // bytes that are taken, 0 for any number
}

// Key is the key of the object that the upload's bytes become.
func (u Upload) Key() string { return ObjectKey(u.ImageID, u.ID) }

// Uploaded is what an upload has come to.
type Uploaded struct {
	Store       string
	Size        int64 // bytes
	VirtualSize int64 // bytes
	HashAlgo    string
	HashValue   string
	Checksum    string // MD5, if it is switched on
	Subformat   string
	// ContentDigest is that of the disk's content, "" for what is no bare disk, or unfolds
	// to too much.
	ContentDigest string
	// Detected is what a bare disk was found to be, and Guest what is inside.
	Detected Detected
	Guest    *GuestFacts
	// Reports are those of detection and validation, as an import has them.
	Reports []UploadReport
	// Findings are warnings of the checks.
	Findings []Finding
}

// An UploadReport is what one stage found.
type UploadReport struct {
	Stage  string
	Detail json.RawMessage
}

// A Finding is a warning about an image.
type Finding struct{ Code, Message string }

// StagedScheme is the scheme of the URLs of staged uploads. No client names one: the
// server makes them of what it has taken itself.
const StagedScheme = "staged"

// StagedURL is the source of an import of a staged upload: the task queue that reaches
// it, and its id.
func StagedURL(queue, id string) string { return StagedScheme + "://" + queue + "/" + id }

// ParseStagedURL returns what a URL was made of by StagedURL.
func ParseStagedURL(raw string) (queue, id string, ok bool) {
	if !strings.HasPrefix(raw, StagedScheme+"://") {
		return "", "", false
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", "", false
	}
	id = strings.TrimPrefix(u.Path, "/")
	return u.Host, id, id != "" && idOrEmpty(id)
}
