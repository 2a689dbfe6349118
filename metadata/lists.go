package metadata

// An ImageField is a field of images that lists are narrowed or sorted by, under
// Glance's name.
type ImageField string

// The fields of images. Those behind FieldSize are numbers: sizes are bytes, min_disk
// is GiB, min_ram MiB, and times are microseconds since 1970 UTC.
const (
	FieldID              ImageField = "id"
	FieldName            ImageField = "name"
	FieldStatus          ImageField = "status"
	FieldDiskFormat      ImageField = "disk_format"
	FieldContainerFormat ImageField = "container_format"
	FieldChecksum        ImageField = "checksum"
	FieldHashAlgo        ImageField = "os_hash_algo"
	FieldHashValue       ImageField = "os_hash_value"
	FieldSize            ImageField = "size"
	FieldVirtualSize     ImageField = "virtual_size"
	FieldMinDisk         ImageField = "min_disk"
	FieldMinRAM          ImageField = "min_ram"
	FieldCreatedAt       ImageField = "created_at"
	FieldUpdatedAt       ImageField = "updated_at"
)

// A Match selects images whose field, which is no number, has one of the values.
type Match struct {
	Field  ImageField
	Values []string
}

// A Range selects images whose field, which is a number, lies in it. An image that
// does not have the number lies in no range.
type Range struct {
	Field    ImageField
	Min, Max *int64 // inclusive; nil is no bound
	Not      bool   // outside of it
}

// An Order is one key of a sort. Text goes by code point, and a size that is not known
// comes before every other one.
type Order struct {
	Field ImageField
	Desc  bool
}

// A Seen is whose eyes a list of images is made for. It holds the images of the
// project, public ones, and those that are shared with it. Images that are deleted or
// killed are never in it, and one that waits for its deletion only in its owner's, if
// a Match asks for that status.
type Seen struct {
	Project string
	// All shows the images of every project, as an admin sees them.
	All bool
	// Community shows other projects' community images, too.
	Community bool
	// Member is the status that a membership has if an image is shared with the
	// project: "" means accepted, MemberAny any.
	Member MemberStatus
}
