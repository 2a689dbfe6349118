package activities

import (
	"maps"
	"slices"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
)

// asIs says of a file that was stored as it is what it is said to be as a disk: it was
// copied by its bytes. Its image service has told what there is to be told of it, so that
// nothing is added.
func (d *doneDisk) asIs(found contract.Detected) {
	d.Guest = nil
	d.Converted.VirtualSize, d.Converted.SourceSize = found.VirtualSize, found.VirtualSize
	if found.Container != "" || !pipeline.Plain(found.Format) {
		d.Converted.ContentDigest = "" // of the file's bytes, not of the guest's
	}
}

// foundProperties are those that a container says of a disk in it.
func (d doneDisk) foundProperties(p contract.ActivateParams) map[string]string {
	if d.Target.AsIs {
		return nil
	}
	return p.Detected.Disk(d.Disk).Properties
}

// guestProperties are those that were found inside the disk.
func (d doneDisk) guestProperties() map[string]string {
	if d.Guest == nil {
		return nil
	}
	return d.Guest.Properties
}

// minDisk is the image's min_disk, GiB: that of the disk as it is stored, which some
// formats make larger than it was. It is 0 for what is no disk.
// Where the source's catalogue demands more, it knows why.
func (d doneDisk) minDisk(about contract.About) int64 {
	if d.Guest == nil || d.Guest.MinDisk == 0 {
		return about.MinDisk
	}
	return max(d.Guest.MinDisk, contract.MinDisk(d.Converted.VirtualSize), about.MinDisk)
}

// aboutOf is what the source's own catalogue says of the image, nothing if it stands in
// none.
func aboutOf(p contract.ActivateParams) contract.About {
	if p.Fetched.About == nil {
		return contract.About{}
	}
	return *p.Fetched.About
}

// told are the properties that the source's own cloud says, as far as the user of the
// request may make them: whoever runs that cloud may say anything. A clone has all of them,
// or there is none.
func (d Deps) told(p contract.ActivateParams) (map[string]string, error) {
	all := aboutOf(p).Properties
	if d.MayCreate == nil {
		return all, nil
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case d.MayCreate(p.Request, name):
			out[name] = all[name]
		case p.Target.AsIs:
			return nil, errcode.New(errcode.Forbidden, "property protections do not allow you to create the property %q, which the source has", name).
				With(errcode.Evidence{Structure: "property protections", Field: name, Value: "create"})
		default:
			d.Log.Info().Str("task", p.Request.TaskID).Str("property", name).Msg("a protected property of the source is left out")
		}
	}
	return out, nil
}
