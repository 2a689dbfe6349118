package contract

import (
	"slices"

	"github.com/google/uuid"

	"ingest/internal/bandwidth"
	"ingest/internal/errcode"
)

// MaxURLBytes is the longest source URL that a request may carry: longer than
// any that a browser or a signing service makes, far below what Temporal keeps.
const MaxURLBytes = 8 << 10

// Check returns errcode.BadRequest for a request that no stage could work with,
// naming the field. What a URL, a digest, a format or a store may be is checked
// by the stage that uses it.
func (r ImportRequest) Check() error {
	if err := r.checkStores(); err != nil {
		return err
	}
	if err := checkPriority(r.Priority); err != nil {
		return err
	}
	switch {
	case r.Source.URL == "":
		return badField("source.url", "is missing")
	case len(r.Source.URL) > MaxURLBytes:
		return badField("source.url", "is too long")
	case len(r.Source.ChecksumFile) > MaxURLBytes:
		return badField("source.checksum_file", "is too long")
	case len(r.Source.Signature) > MaxURLBytes:
		return badField("source.signature", "is too long")
	case len(r.Source.Keyring) > maxMemberNameBytes:
		return badField("source.keyring", "is too long")
	case !idOrEmpty(r.TaskID):
		return badField("task_id", "is no UUID")
	case !idOrEmpty(r.ImageID):
		return badField("image_id", "is no UUID")
	case r.Image.MinDisk < 0:
		return badField("image.min_disk", "is negative")
	case r.Image.MinRAM < 0:
		return badField("image.min_ram", "is negative")
	case r.Bandwidth.Check() != nil:
		return badField("bandwidth", "is not "+bandwidth.Takes)
	case r.Verify != "" && !slices.Contains(VerifyLevels(), r.Verify):
		return badLevel(r.Verify)
	}
	switch r.Image.Visibility {
	case "", "private", "shared", "community", "public":
	default:
		return badField("image.visibility", "is none of private, shared, community, public")
	}
	switch r.TaskType {
	case "", "import", "api_image_import":
	default:
		return badField("task_type", "is neither import nor api_image_import")
	}
	return r.Source.checkMembers()
}

// checkStores checks what the request says of stores. One that copies is not an
// import.
func (r ImportRequest) checkStores() error {
	switch {
	case r.Destination != nil:
		return badField("destination", "is not for imports")
	case r.Method != "":
		return badField("method", "is not for imports")
	case r.ScheduleID != "":
		return badField("schedule_id", "is not for imports")
	case r.Target.AsIs:
		return badField("target.as_is", "is not for requests")
	case r.Target.Store != "" && len(r.Stores) > 0 && r.Stores[0] != r.Target.Store:
		return badField("target.store", "is not the first of stores")
	}
	return r.StoresSpec.check()
}

func badField(field, what string) *errcode.Error {
	return errcode.New(errcode.BadRequest, "%s %s", field, what).
		With(errcode.Evidence{Structure: "request", Field: field})
}

// idOrEmpty accepts the plain form of a UUID only: ids become parts of keys.
func idOrEmpty(s string) bool {
	if s == "" {
		return true
	}
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}
