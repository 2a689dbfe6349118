package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// ActivateActivityName is the activity's name.
const ActivateActivityName = contract.ActivateActivity

// An ActivateActivity makes a task's images active and the task a success, in one
// transaction.
type ActivateActivity struct{ d Deps }

// NewActivateActivity returns the activity.
func NewActivateActivity(d Deps) *ActivateActivity { return &ActivateActivity{d} }

// Execute activates, and returns the result that it has recorded.
func (a *ActivateActivity) Execute(ctx context.Context, p contract.ActivateParams) (contract.ImportResult, error) {
	w := work{stage: contract.StageActivate, taskID: p.Request.TaskID, imageID: p.Request.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ImportResult, error) {
		own, err := a.own(ctx, p.Request.ImageID)
		if err != nil {
			return contract.ImportResult{}, err
		}
		if err := a.d.judgeActivation(ctx, p); err != nil {
			return contract.ImportResult{}, err
		}
		var out contract.ImportResult
		var size int64
		err = choosing(func() error {
			var act metadata.Activation
			var err error
			if out, act, size, err = a.activation(ctx, p, own); err != nil {
				return err
			}
			return a.d.Catalogue.Activate(ctx, act)
		})
		if err == nil {
			a.d.line(ctx, w, size, 0, nil)
		}
		return out, err
	})
}

// activation is what the catalogue shall record, and its result.
func (a *ActivateActivity) activation(ctx context.Context, p contract.ActivateParams, own metadata.Image) (out contract.ImportResult, act metadata.Activation, size int64, err error) {
	given, above := a.d.policy().Properties(p.Request.Owner)
	out, act = contract.ImportResult{TaskID: p.Request.TaskID}, metadata.Activation{TaskID: p.Request.TaskID}
	about := aboutOf(p)
	if about.Properties, err = a.d.told(p); err != nil {
		return out, act, 0, err
	}
	if own.Name == "" {
		own.Name = about.Name
	}
	disks := disksOf(p)
	mine := make([]string, 0, len(disks))
	for _, d := range disks {
		mine = append(mine, d.ImageID)
	}
	for _, d := range disks {
		b := metadata.Bytes{HashAlgo: d.Checksummed.HashAlgo, HashValue: d.Checksummed.HashValue, Size: d.Converted.Size}
		places, choice := append([]contract.Stored{d.Stored}, d.Copies...), metadata.Choice{}
		if !p.Located {
			if places, choice, err = a.d.share(ctx, own.Owner, b, places, mine); err != nil {
				return out, act, size, err
			}
		}
		d.Stored, d.Copies = places[0], places[1:]
		img := d.result(own.Name, len(p.Further) > 0)
		if len(d.Copies) > 0 || len(p.FailedStores) > 0 {
			img.Stores, img.FailedStores = storeNames(d.Stored, d.Copies), p.FailedStores
		}
		out.Images = append(out.Images, img)
		act.Images = append(act.Images, metadata.ImageActivation{
			ImageID: img.ImageID, Name: img.Name, DiskFormat: img.DiskFormat, ContainerFormat: containerOf(own, img.DiskFormat, d.Target),
			Size: img.Size, VirtualSize: img.VirtualSize,
			Checksum: img.Checksum, HashAlgo: img.HashAlgo, HashValue: img.HashValue, ContentDigest: img.ContentDigest,
			Store: d.Stored.Store, Key: d.Stored.Key, MinDisk: d.minDisk(about), Override: above, Twins: choice, Located: p.Located,
			Title: about.Name, Tags: about.Tags, MinRAM: about.MinRAM, Hidden: about.Hidden,
			Copies: locations(d.Copies), FailedStores: p.FailedStores,
			Properties: contract.MergeProperties(below(above, own.Properties), given, about.Properties, d.foundProperties(p), d.guestProperties()),
		})
		size += img.Size
	}
	if err = a.record(ctx, p, &act); err != nil {
		return out, act, size, err
	}
	if act.Result, err = json.Marshal(out); err != nil {
		return out, act, size, errcode.Wrap(err, errcode.Internal, "write result of task %s", out.TaskID)
	}
	return out, act, size, nil
}

// own returns the task's own image. That it is gone is Activate's to say.
func (a *ActivateActivity) own(ctx context.Context, imageID string) (metadata.Image, error) {
	img, err := a.d.Catalogue.Image(ctx, imageID)
	if errcode.Of(err) == errcode.NotFound {
		return metadata.Image{ContainerFormat: metadata.DefaultContainerFormat}, nil
	}
	return img, err
}

// containerOf returns the container format that an image shall have, "" to leave
// it: what was written around the disk says it, one that was made before its
// import need not have any, and the parts of an Amazon machine image have their
// disk format's name, as Glance wants it.
func containerOf(own metadata.Image, diskFormat string, t contract.TargetSpec) string {
	switch written := t.ContainerFormat; {
	case t.AsIs:
		return t.ContainerFormat
	case amazon(diskFormat):
		return diskFormat
	case written != "" && written != metadata.DefaultContainerFormat:
		return written
	case own.ContainerFormat == "" || amazon(own.ContainerFormat) || around(own.ContainerFormat):
		return metadata.DefaultContainerFormat
	}
	return ""
}

// amazon reports whether a format's name is that of a part of an Amazon image.
func amazon(format string) bool { return format == "ami" || format == "aki" || format == "ari" }

// around reports whether a container format is that of a file which was taken
// apart: what is stored is the disk itself.
func around(format string) bool { return format == "ova" || format == "ovf" || format == "compressed" }

// A doneDisk is a disk that is stored.
type doneDisk contract.DiskDone

// disksOf lists the disks that are stored, the first one first.
func disksOf(p contract.ActivateParams) []doneDisk {
	all := []doneDisk{{Disk: 1, ImageID: p.Request.ImageID, Target: p.Target, Converted: p.Converted, Checksummed: p.Checksummed, Stored: p.Stored, Guest: p.Guest, Copies: p.Copies}}
	if p.Target.AsIs {
		all[0].asIs(p.Detected)
	}
	for _, d := range p.Further {
		all = append(all, doneDisk(d))
	}
	return all
}

// result is what a disk comes to. own is the name of the task's own image; several
// images are told apart by name.
func (d doneDisk) result(own string, several bool) contract.ImageResult {
	out := contract.ImageResult{
		ImageID:       d.ImageID,
		DiskFormat:    d.Target.StoredAs(),
		Size:          d.Converted.Size,
		VirtualSize:   d.Converted.VirtualSize,
		ContentDigest: d.Converted.ContentDigest,
		HashAlgo:      d.Checksummed.HashAlgo,
		HashValue:     d.Checksummed.HashValue,
		Checksum:      d.Checksummed.Checksum,
		Location:      d.Stored.Location,
		Verify:        d.Checksummed.Verify,
	}
	if several {
		out.Name = contract.DiskName(own, d.Disk)
	}
	return out
}
