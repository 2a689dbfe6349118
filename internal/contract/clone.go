package contract

import (
	"strings"

	"ingest/internal/errcode"
)

// CloneWorkflow takes an image over from another image service as it is; see
// ImportRequest, whose method is MethodClone.
const CloneWorkflow = "CloneImage"

// MethodClone is the method of a request whose source is an image of an image service,
// glance://…, of which a copy is made: the same bytes, and what is said of them. What the
// request says of the image stands above that; it is private and not protected unless the
// request says so. With the image_id of the source the copy has the same id.
const MethodClone = "clone"

// TypeClone is the type of a clone's task, as in Glance's schema of tasks.
const TypeClone = "clone"

// cloneScheme begins the URL of an image of an image service.
const cloneScheme = "glance://"

// CheckClone is Check for a request whose method is MethodClone.
func (r ImportRequest) CheckClone() error {
	switch {
	case r.Method != MethodClone:
		return badField("method", "is not "+MethodClone)
	case r.TaskType != "" && r.TaskType != TypeClone:
		return badField("task_type", "is not "+TypeClone)
	case r.Source.URL != "" && !strings.HasPrefix(r.Source.URL, cloneScheme):
		return badField("source.url", "is no image of an image service, "+cloneScheme+"HOST/IMAGE")
	case r.Target.Format != "" || r.Target.Compression != "" || len(r.Target.Options) > 0:
		return badField("target.format", "is not for clones, which have the bytes of their source")
	case r.Image.ContainerFormat != "":
		return badField("image.container_format", "is not for clones, which have that of their source")
	}
	if field := r.Source.besideURL(); field != "" {
		return badField("source."+field, "is not for clones: what the bytes must be is said by their image service")
	}
	r.Method, r.TaskType = "", ""
	return r.Check()
}

// besideURL is the first field of a source that says more than where it is, "" if there
// is none.
func (s SourceSpec) besideURL() string {
	switch {
	case s.Format != "":
		return "format"
	case s.Checksum != "":
		return "checksum"
	case s.ChecksumFile != "":
		return "checksum_file"
	case s.Signature != "" || s.Keyring != "":
		return "signature"
	case len(s.Mirrors) > 0:
		return "mirrors"
	case len(s.Members) > 0:
		return "members"
	}
	return ""
}

// Cloned makes sure that what another image service says of an image is enough to keep a
// copy of it: what the bytes are, and what they come to.
func (a *About) Cloned() error {
	field := ""
	switch {
	case a == nil, a.DiskFormat == "":
		field = "disk_format"
	case a.ContainerFormat == "":
		field = "container_format"
	case len(a.Digests) == 0:
		field = "os_hash_value"
	default:
		return nil
	}
	return errcode.New(errcode.SourceDescription, "the image service does not say the image's %s, which a clone is held against", field).
		With(errcode.Evidence{Structure: "source", Field: field})
}
