package contract

import "slices"

// An About is what the catalogue of a source's own cloud says of the image, beside its
// bytes. Nothing in it is proved, and nothing in it is secret.
type About struct {
	// URL is where it is said, "" if nobody else can ask there.
	URL             string            `json:"url,omitempty"`
	Name            string            `json:"name,omitempty"`
	DiskFormat      string            `json:"disk_format,omitempty"`
	ContainerFormat string            `json:"container_format,omitempty"`
	MinDisk         int64             `json:"min_disk,omitempty"` // GiB
	MinRAM          int64             `json:"min_ram,omitempty"`  // MiB
	Hidden          bool              `json:"os_hidden,omitempty"`
	Tags            []string          `json:"tags,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	// Digests are those of the source's bytes, "ALGO:HEX", the best one first.
	Digests []string `json:"digests,omitempty"`
}

// OfMember is what is kept of what is said of an image's other file, which gives the image
// neither name nor properties: there may be many, and each travels with every step.
func (a *About) OfMember() *About {
	if a == nil {
		return nil
	}
	return &About{URL: a.URL, Digests: a.Digests}
}

// described are the disk formats of Glance by which an image can be declared.
var described = []string{"raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso", "ami", "aki", "ari"}

// Declared is the disk format that a source is declared to be of: that of the request,
// else that of its own catalogue. What is in a container is told by the container.
func (a *About) Declared(request string) string {
	if request != "" || a == nil || !slices.Contains(described, a.DiskFormat) {
		return request
	}
	switch a.ContainerFormat {
	case "", "bare", "compressed", "ami", "aki", "ari":
		return a.DiskFormat
	}
	return request
}
