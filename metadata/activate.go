package metadata

import (
	"context"
	"maps"

	"ingest/internal/errcode"
)

// Activate ends a task with success: in one transaction all its images become
// active with everything that is known of them, and the task ends with its
// result. The same activation again does nothing. errcode.Conflict says that
// the task has ended otherwise or that its image was deleted meanwhile; the
// objects that a names are then nobody's and the caller removes them.
func (c *Catalogue) Activate(ctx context.Context, a Activation) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, a.TaskID)
		if err != nil {
			return err
		}
		if t.Status.Finished() {
			return c.repeated(ctx, tx, t, a)
		}
		own, err := taskImage(ctx, tx, t)
		if err != nil {
			return err
		}
		if err := checkActivation(t, a); err != nil {
			return err
		}
		if err := c.covered(ctx, tx, t, a.size()); err != nil {
			return err
		}
		if err := tx.DeleteReservations(ctx, t.ID); err != nil {
			return err
		}
		var stored int64
		for _, ia := range a.Images {
			if err := c.shares(ctx, tx, own.Owner, a, ia); err != nil {
				return err
			}
			if err := c.activateImage(ctx, tx, own, ia); err != nil {
				return err
			}
			stored += ia.Size
		}
		was := t.Status
		t.Status, t.Stage, t.Result = TaskSuccess, StageDone, a.Result
		t.Message, t.Error = "", nil
		if err := c.storeTask(ctx, tx, was, t); err != nil {
			return err
		}
		return c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage, Bytes: stored})
	})
}

// checkActivation makes sure that an activation is whole.
func checkActivation(t Task, a Activation) error {
	seen := map[string]bool{}
	for _, ia := range a.Images {
		switch {
		case ia.ImageID == "" || seen[ia.ImageID]:
			return errcode.New(errcode.BadRequest, "task %s activates image %q twice or without id", t.ID, ia.ImageID)
		case ia.Key == "" || ia.Size < 0 || ia.VirtualSize < 0:
			return errcode.New(errcode.BadRequest, "task %s activates image %s without object or size", t.ID, ia.ImageID)
		}
		stores := map[string]bool{ia.Store: true}
		for _, c := range ia.Copies {
			if c.Key == "" || stores[c.Store] {
				return errcode.New(errcode.BadRequest, "task %s activates image %s with two objects in store %q, or with none", t.ID, ia.ImageID, c.Store)
			}
			stores[c.Store] = true
		}
		seen[ia.ImageID] = true
	}
	if !seen[t.ImageID] {
		return errcode.New(errcode.BadRequest, "task %s does not activate its own image %s", t.ID, t.ImageID)
	}
	return nil
}

// activateImage makes one image active. An image that is not the task's own
// and has no row gets one after the task's own image.
func (c *Catalogue) activateImage(ctx context.Context, tx Tx, own Image, ia ImageActivation) error {
	before, own := own, titled(own, ia)
	if ia.ImageID != own.ID {
		further := own
		further.ID, further.Name = ia.ImageID, own.Name
		if ia.Name != "" {
			further.Name = shortName(ia.Name)
		}
		var err error
		if before, err = c.addImage(ctx, tx, further); err != nil {
			return err
		}
	}
	after := titled(before, ia)
	size, virtual := ia.Size, ia.VirtualSize
	after.Status = ImageActive
	after.Size, after.VirtualSize = &size, &virtual
	after.DiskFormat = ia.DiskFormat
	if ia.ContainerFormat != "" {
		after.ContainerFormat = ia.ContainerFormat
	}
	after.Checksum, after.HashAlgo, after.HashValue = ia.Checksum, ia.HashAlgo, ia.HashValue
	after.ContentDigest, after.Store, after.Key = ia.ContentDigest, ia.Store, ia.Key
	after.Copies = nil
	for _, loc := range ia.Copies {
		after.Copies = append(after.Copies, Copy{Location: loc, Status: CopyActive, CreatedAt: c.moment()})
	}
	if before.MinDisk == 0 {
		after.MinDisk = ia.MinDisk
	}
	after.Properties = mergedProperties(before, ia)
	setStores(&after, nil, ia.FailedStores)
	if _, err := c.storeImage(ctx, tx, before, after); err != nil {
		return err
	}
	return c.addProvenance(ctx, tx, ia)
}

// mergedProperties are those of an image that becomes active: its owner's above what was
// found out, and below what the operator sets.
func mergedProperties(before Image, ia ImageActivation) map[string]string {
	out := map[string]string{}
	for name, value := range ia.Properties {
		out[plain(name)] = plain(value)
	}
	maps.Copy(out, before.Properties)
	for name, value := range ia.Override {
		out[plain(name)] = plain(value)
	}
	return out
}

// titled gives an image what its owner has left open, of what is known beside its
// bytes.
func titled(img Image, ia ImageActivation) Image {
	if img.Name == "" {
		img.Name = shortName(ia.Title)
	}
	if img.MinRAM == 0 {
		img.MinRAM = ia.MinRAM
	}
	if len(img.Tags) == 0 {
		for _, tag := range ia.Tags {
			img.Tags = append(img.Tags, shortName(tag))
		}
	}
	img.Hidden = img.Hidden || ia.Hidden
	return img
}

// shortName fits a name found in a source into Glance's 255 characters.
func shortName(s string) string {
	r := []rune(plain(s))
	return string(r[:min(len(r), 255)])
}

// repeated returns nil if a is what ended the task.
func (c *Catalogue) repeated(ctx context.Context, tx Tx, t Task, a Activation) error {
	conflict := errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
	if t.Status != TaskSuccess || len(a.Images) == 0 {
		return conflict
	}
	for _, ia := range a.Images {
		img, err := tx.Image(ctx, ia.ImageID)
		if isNotFound(err) || err == nil && (img.Store != ia.Store || img.Key != ia.Key && !(c.sharing != ShareNothing && ia.fills(img))) {
			return conflict
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fills reports whether the image has the very bytes of the activation: a run before
// has chosen an object of the same bytes.
func (ia ImageActivation) fills(img Image) bool {
	return ia.HashValue != "" && img.HashAlgo == ia.HashAlgo && img.HashValue == ia.HashValue && img.Size != nil && *img.Size == ia.Size
}

// shares checks the choice of an image's twins. The other images of the same task are
// no twins: they have none yet that others could see.
func (c *Catalogue) shares(ctx context.Context, tx Tx, owner string, a Activation, ia ImageActivation) error {
	var mine []string
	for _, other := range a.Images {
		mine = append(mine, other.ImageID)
	}
	places := append([]Location{{ia.Store, ia.Key}}, ia.Copies...)
	if ia.Located {
		return stillNamed(ctx, tx, places, ia.ImageID)
	}
	return c.chosen(ctx, tx, owner, Bytes{ia.HashAlgo, ia.HashValue, ia.Size}, places, ia.Twins, mine)
}
