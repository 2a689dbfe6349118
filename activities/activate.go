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

// An ActivateActivity makes an image active and its task a success, in one
// transaction.
type ActivateActivity struct{ d Deps }

// NewActivateActivity returns the activity.
func NewActivateActivity(d Deps) *ActivateActivity { return &ActivateActivity{d} }

// Execute activates, and returns the result that it has recorded.
func (a *ActivateActivity) Execute(ctx context.Context, p contract.ActivateParams) (contract.ImportResult, error) {
	w := work{stage: contract.StageActivate, taskID: p.Request.TaskID, imageID: p.Request.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.ImportResult, error) {
		out := result(p)
		raw, err := json.Marshal(out)
		if err != nil {
			return out, errcode.Wrap(err, errcode.Internal, "write result of task %s", out.TaskID)
		}
		img := out.Images[0]
		container, err := a.container(ctx, img.ImageID, img.DiskFormat, p.Target.ContainerFormat)
		if err != nil {
			return out, err
		}
		err = a.d.Catalogue.Activate(ctx, metadata.Activation{
			TaskID: out.TaskID,
			Result: raw,
			Images: []metadata.ImageActivation{{
				ImageID: img.ImageID, DiskFormat: img.DiskFormat, ContainerFormat: container, Size: img.Size, VirtualSize: img.VirtualSize,
				Checksum: img.Checksum, HashAlgo: img.HashAlgo, HashValue: img.HashValue, ContentDigest: img.ContentDigest,
				Store: p.Stored.Store, Key: p.Stored.Key,
			}},
		})
		if err == nil {
			a.d.line(ctx, w, img.Size, 0, nil)
		}
		return out, err
	})
}

// container returns the container format that the image shall have, "" to leave
// it: what was written around the disk says it, one that was made before its import need not have any, and the parts of an
// Amazon machine image have their disk format's name, as Glance wants it.
func (a *ActivateActivity) container(ctx context.Context, imageID, diskFormat, written string) (string, error) {
	img, err := a.d.Catalogue.Image(ctx, imageID)
	switch {
	case errcode.Of(err) == errcode.NotFound:
		return "", nil // that it is gone is Activate's to say
	case err != nil:
		return "", err
	case amazon(diskFormat):
		return diskFormat, nil
	case written != "" && written != metadata.DefaultContainerFormat:
		return written, nil
	case img.ContainerFormat == "" || amazon(img.ContainerFormat):
		return metadata.DefaultContainerFormat, nil
	}
	return "", nil
}

// amazon reports whether a format's name is that of a part of an Amazon image.
func amazon(format string) bool { return format == "ami" || format == "aki" || format == "ari" }

// result is what the import comes to.
func result(p contract.ActivateParams) contract.ImportResult {
	return contract.ImportResult{
		TaskID: p.Request.TaskID,
		Images: []contract.ImageResult{{
			ImageID:       p.Request.ImageID,
			DiskFormat:    p.Target.StoredAs(),
			Size:          p.Converted.Size,
			VirtualSize:   p.Converted.VirtualSize,
			ContentDigest: p.Converted.ContentDigest,
			HashAlgo:      p.Checksummed.HashAlgo,
			HashValue:     p.Checksummed.HashValue,
			Checksum:      p.Checksummed.Checksum,
			Location:      p.Stored.Location,
			Verify:        p.Checksummed.Verify,
		}},
	}
}
