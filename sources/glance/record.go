package glance

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/sources"
)

// A record is what the service tells of an image.
type record struct {
	ID              string   `json:"id"`
	Name            string   `json:"name"`
	Status          string   `json:"status"`
	DiskFormat      string   `json:"disk_format"`
	ContainerFormat string   `json:"container_format"`
	Size            *int64   `json:"size"`
	Checksum        string   `json:"checksum"`
	HashAlgo        string   `json:"os_hash_algo"`
	HashValue       string   `json:"os_hash_value"`
	MinDisk         int64    `json:"min_disk"`
	MinRAM          int64    `json:"min_ram"`
	Hidden          bool     `json:"os_hidden"`
	Tags            []string `json:"tags"`
	UpdatedAt       string   `json:"updated_at"`

	properties map[string]string // all of them: see leftOut
}

// maxRecord bounds one record, bytes. What is taken of it is bounded by far less; but
// an answer of many short members takes many times its length once it is read.
const maxRecord = 1 << 20

// readRecord reads the service's answer. Whatever stands in it beside the fields of
// every image, and is a text, is a property.
func readRecord(raw []byte) (record, error) {
	if len(raw) > maxRecord {
		return record{}, errcode.New(errcode.SourceUnreachable, "the service says of an image more than %d bytes", maxRecord)
	}
	var r record
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &r) != nil || json.Unmarshal(raw, &all) != nil || !isID(r.ID) || r.Status == "" {
		return record{}, errcode.New(errcode.SourceUnreachable, "the service answers with what is no image")
	}
	r.properties = map[string]string{}
	for name, value := range all {
		var text string
		if !bookkeeping(name) && json.Unmarshal(value, &text) == nil && string(value) != "null" {
			r.properties[name] = text
		}
	}
	return r, nil
}

// isID accepts the plain form of a UUID only: ids become parts of paths.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// fields are those of every image (the schema of Glance's API v2), which are no
// properties, and what stands for places.
var fields = []string{"id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value", "owner",
	"size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "deleted", "deleted_at", "tags", "min_ram",
	"min_disk", "self", "file", "schema", "direct_url", "locations", "location", "stores",
	"content_digest"} // the last one is that of another server of this kind

// foreign are properties that mean something in the cloud that they are from only:
// ids of its images, keys, users and machines, and what its services note of their
// work (Nova's of snapshots, Cinder's of volumes that became images).
var foreign = []string{"kernel_id", "ramdisk_id", "base_image_ref", "instance_uuid", "user_id", "owner_id", "owner_project_name", "owner_user_name",
	"image_type", "image_state", "image_location", "boot_roles", "block_device_mapping", "mappings", "bdm_v2", "root_device_name",
	"cinder_encryption_key_id", "cinder_encryption_key_deletion_policy", "clean_attempts"}

// foreignPrefixes begin names of what is said about the bytes as they are there: signatures
// and digests, which a converted image does not have.
var foreignPrefixes = []string{"img_signature", "owner_specified.openstack."}

// ownPrefix begins names of the service's own bookkeeping.
const ownPrefix = "os_glance"

// bookkeeping reports whether a member of a record is no property at all.
func bookkeeping(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains(fields, lower) || strings.HasPrefix(lower, ownPrefix)
}

// leftOut reports whether a property means nothing of an image that was imported from its
// bytes. A copy of the image as it is keeps all.
func leftOut(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains(foreign, lower) ||
		slices.ContainsFunc(foreignPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) })
}

// idOfPart reports whether a property names another image that belongs to this one.
func idOfPart(name string) bool { return name == "kernel_id" || name == "ramdisk_id" }

// active makes sure that the image has bytes, which may be read.
func (r record) active() error {
	ev := errcode.Evidence{Structure: "image " + errcode.Shown(r.ID), Field: "status", Value: errcode.Shown(r.Status), Limit: "active"}
	switch r.Status {
	case "active":
		return nil
	case "deactivated":
		return errcode.New(errcode.SourceDeactivated, "the image is deactivated in its cloud").With(ev)
	case "deleted", "pending_delete", "killed":
		return errcode.New(errcode.SourceNotFound, "the image is deleted, or its bytes never came").With(ev)
	}
	return errcode.New(errcode.SourceNotReady, "the image is %s in its cloud: not all of its bytes are there", errcode.Shown(r.Status)).With(ev)
}

// digests are those that the service keeps, the best one first.
func (r record) digests() []string {
	var out []string
	for _, d := range []struct{ algo, hex string }{{r.HashAlgo, r.HashValue}, {"md5", r.Checksum}} {
		algo, hex := strings.ToLower(d.algo), strings.ToLower(d.hex)
		if digits[algo] == len(hex) && hex != "" && strings.Trim(hex, "0123456789abcdef") == "" {
			out = append(out, algo+":"+hex)
		}
	}
	return slices.Compact(out)
}

// digits is how many an algorithm's digest has. Others prove nothing here.
var digits = map[string]int{"md5": 32, "sha256": 64, "sha512": 128}

// pin returns the version that a record is of.
func (r record) pin(ref string) (sources.Pin, error) {
	pin := sources.Pin{Driver: Name, URL: ref, Size: -1, Strong: true}
	if r.Size != nil {
		pin.Size = *r.Size
	}
	d := r.digests()
	switch {
	case pin.Size < -1 || r.Size == nil:
		return pin, errcode.New(errcode.SourceUnreachable, "the service does not tell how long the image is")
	case len(d) > 0:
		pin.Validator = r.ID + versionMark + d[0]
	case r.UpdatedAt != "" && len(r.UpdatedAt) < 100 && r.UpdatedAt == errcode.Shown(r.UpdatedAt):
		pin.Validator, pin.Strong = r.ID+versionMark+"updated:"+r.UpdatedAt, false
	default:
		return pin, errcode.New(errcode.SourceUnreachable, "the service tells neither a digest nor the time of the image's last change")
	}
	return pin, nil
}

// versionMark stands in a validator between the image's id and its version.
const versionMark = " "

// idOf returns the id of the image that a pin is of.
func idOf(p sources.Pin) string {
	id, _, _ := strings.Cut(p.Validator, versionMark)
	return id
}

// Bounds of what is taken from a record, which travels with the import: more is left
// out, and noted. Glance's own default is 128 properties and 128 tags.
const (
	maxTaken      = 128
	maxTakenBytes = 32 << 10
)

// tooMuch refuses a description of which not all can be taken over.
func tooMuch(why string) error {
	return errcode.New(errcode.SourceDescription, "the image cannot be copied with all that its service says of it: %s", why).
		With(errcode.Evidence{Structure: "source", Field: "properties", Limit: strconv.Itoa(maxTaken) + " of each, " + strconv.Itoa(maxTakenBytes) + " bytes in all"})
}

// about returns what becomes of a record, and notes of what does not; whole, of all that
// is no bookkeeping.
func (r record) about(whole bool) (sources.About, []string) {
	a := sources.About{Name: r.Name, DiskFormat: word(r.DiskFormat), ContainerFormat: word(r.ContainerFormat), MinDisk: bounded(r.MinDisk), MinRAM: bounded(r.MinRAM),
		Hidden: r.Hidden, Digests: r.digests()}
	if !validName(a.Name) {
		a.Name = ""
	}
	budget, left := maxTakenBytes, 0
	fits := func(have int, texts ...string) bool {
		n := 0
		for _, s := range texts {
			n += len(s)
			if !validText(s) {
				left++
				return false
			}
		}
		if have >= maxTaken || n > budget || !validName(texts[0]) || texts[0] == "" {
			left++
			return false
		}
		budget -= n
		return true
	}
	for _, tag := range r.Tags {
		if fits(len(a.Tags), tag) {
			a.Tags = append(a.Tags, tag)
		}
	}
	names := make([]string, 0, len(r.properties))
	for name := range r.properties {
		if whole || !leftOut(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if idOfPart(name) && !isID(r.properties[name]) { // as in Glance's schema
			left++
			continue
		}
		if fits(len(a.Properties), name, r.properties[name]) {
			if a.Properties == nil {
				a.Properties = map[string]string{}
			}
			a.Properties[name] = r.properties[name]
		}
	}
	if left == 0 {
		return a, nil
	}
	return a, []string{strconv.Itoa(left) + " tags and properties of the image are not taken: they are too many, too long or no texts"}
}

// maxWord bounds the name of a format, bytes: a catalogue's own bound.
const maxWord = 64

// word is s if it can be the name of a format.
func word(s string) string {
	if len(s) > maxWord || !validName(s) {
		return ""
	}
	return s
}

// bounded is n if a catalogue can hold it: Glance's own are of 32 bits.
func bounded(n int64) int64 {
	if n < 0 || n > 1<<31-1 {
		return 0
	}
	return n
}
