package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ingest/internal/errcode"
)

// TimeFormat is how Glance writes a time.
const TimeFormat = "2006-01-02T15:04:05Z"

// An Image is Glance's image object. Free properties stand beside the core
// members, not below a name of their own. Empty strings travel as null.
type Image struct {
	ID              string
	Name            string
	Status          string
	Visibility      string
	Owner           string
	DiskFormat      string
	ContainerFormat string
	Protected       bool
	Hidden          bool
	Size            *int64 // stored bytes, nil until known
	VirtualSize     *int64 // bytes, nil until known
	Checksum        string // MD5, hex
	HashAlgo        string
	HashValue       string
	ContentDigest   string // ingest's own, present once known
	Stores          string // names of stores joined by commas, present once known
	DirectURL       string // of where the bytes lie, where the server shows it
	// Locations are the places of the bytes; nil where the server does not show them.
	Locations  []Location
	MinDisk    int64 // GiB
	MinRAM     int64 // MiB
	Tags       []string
	Properties map[string]string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// coreMembers are the members of an image that no free property may be called.
// Those of ReadOnlyMembers are among them.
var coreMembers = []string{"id", "name", "visibility", "protected", "os_hidden", "owner", "tags",
	"disk_format", "container_format", "min_disk", "min_ram"}

var readOnlyMembers = []string{"status", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size",
	"created_at", "updated_at", "self", "file", "schema", "direct_url", "content_digest", "stores"}

var reservedMembers = []string{"location", "locations", "deleted", "deleted_at"}

// IsCore reports whether name is a member of every image.
func IsCore(name string) bool {
	return slices.Contains(coreMembers, name) || IsReadOnly(name) || IsReserved(name)
}

// IsReadOnly reports whether only the server sets the member.
func IsReadOnly(name string) bool { return slices.Contains(readOnlyMembers, name) }

// IsReserved reports whether the member is never set by a client.
func IsReserved(name string) bool { return slices.Contains(reservedMembers, name) }

// NotSettable are the names of all members that a client cannot set.
func NotSettable() []string { return slices.Concat(readOnlyMembers, reservedMembers) }

// MarshalJSON writes Glance's flat object.
func (m Image) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, 24+len(m.Properties))
	for k, v := range m.Properties {
		if !IsCore(k) {
			out[k] = v
		}
	}
	tags := m.Tags
	if tags == nil {
		tags = []string{}
	}
	for k, v := range map[string]any{
		"id": m.ID, "name": orNull(m.Name), "status": m.Status, "visibility": m.Visibility,
		"protected": m.Protected, "os_hidden": m.Hidden, "owner": orNull(m.Owner), "tags": tags,
		"disk_format": orNull(m.DiskFormat), "container_format": orNull(m.ContainerFormat),
		"min_disk": m.MinDisk, "min_ram": m.MinRAM, "size": m.Size, "virtual_size": m.VirtualSize,
		"checksum": orNull(m.Checksum), "os_hash_algo": orNull(m.HashAlgo), "os_hash_value": orNull(m.HashValue),
		"created_at": m.CreatedAt.UTC().Format(TimeFormat), "updated_at": m.UpdatedAt.UTC().Format(TimeFormat),
		"self": "/v2/images/" + m.ID, "file": "/v2/images/" + m.ID + "/file", "schema": "/v2/schemas/image",
	} {
		out[k] = v
	}
	if m.ContentDigest != "" {
		out["content_digest"] = m.ContentDigest
	}
	if m.Stores != "" {
		out["stores"] = m.Stores
	}
	if m.DirectURL != "" {
		out["direct_url"] = m.DirectURL
	}
	if m.Locations != nil {
		out["locations"] = m.Locations
	}
	return json.Marshal(out)
}

// A Location is a place of an image's bytes.
type Location struct {
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"` // with the store's name, where there are several
}

// UnmarshalJSON reads Glance's flat object. Members that are neither core nor
// strings are left out.
func (m *Image) UnmarshalJSON(raw []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	*m = Image{}
	into := map[string]any{
		"id": &m.ID, "name": &m.Name, "status": &m.Status, "visibility": &m.Visibility,
		"protected": &m.Protected, "os_hidden": &m.Hidden, "owner": &m.Owner, "tags": &m.Tags,
		"disk_format": &m.DiskFormat, "container_format": &m.ContainerFormat,
		"min_disk": &m.MinDisk, "min_ram": &m.MinRAM, "size": &m.Size, "virtual_size": &m.VirtualSize,
		"checksum": &m.Checksum, "os_hash_algo": &m.HashAlgo, "os_hash_value": &m.HashValue,
		"created_at": &m.CreatedAt, "updated_at": &m.UpdatedAt,
		"content_digest": &m.ContentDigest, "stores": &m.Stores, "direct_url": &m.DirectURL, "locations": &m.Locations,
	}
	for name, v := range fields {
		if dst, ok := into[name]; ok {
			if err := json.Unmarshal(v, dst); err != nil {
				return fmt.Errorf("member %q of an image: %w", name, err)
			}
			continue
		}
		var s string
		if !IsCore(name) && json.Unmarshal(v, &s) == nil {
			if m.Properties == nil {
				m.Properties = map[string]string{}
			}
			m.Properties[name] = s
		}
	}
	return nil
}

// An ImageList is one page of images.
type ImageList struct {
	Images []Image `json:"images"`
	First  string  `json:"first"`
	Next   string  `json:"next,omitempty"` // relative URL of the next page
	Schema string  `json:"schema"`
}

// An ErrorBody answers a request that failed: Glance's three members, and the
// whole error beside them.
type ErrorBody struct {
	Message string      `json:"message"`
	Code    string      `json:"code"` // such as "404 Not Found"
	Title   string      `json:"title"`
	Error   ErrorDetail `json:"error"`
}

// An ErrorDetail is an error with its stable code.
type ErrorDetail struct {
	Code     errcode.Code      `json:"code"`
	Message  string            `json:"message"`
	Stage    string            `json:"stage,omitempty"`
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
