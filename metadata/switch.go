package metadata

import (
	"context"
	"encoding/json"

	"ingest/internal/errcode"
)

// A Switch ends a run with its new version as the current one.
type Switch struct {
	End        RunEnd
	ImportTask string          // that has made the images
	Images     []string        // the first one is what the version is known by
	Source     json.RawMessage // the contract.SourceVersion
	Deactivate bool            // the version before is withdrawn, too
}

// Switched is the answer of Catalogue.Switch.
type Switched struct {
	Current, Previous string // images, "" for none
}

// Switch makes a new version the current one, in one transaction: its images are shown,
// those of the version before are hidden, and deactivated if that is wanted, and the run's
// task ends. Whoever looks a name up sees either the one or the other. It is safe to
// repeat. errcode.Conflict says that the run has ended otherwise, or that the schedule or
// an image was deleted meanwhile; nothing is changed then.
func (c *Catalogue) Switch(ctx context.Context, sw Switch) (Switched, error) {
	return update(ctx, c, func(tx Tx) (Switched, error) {
		t, err := tx.Task(ctx, sw.End.TaskID)
		if err != nil {
			return Switched{}, err
		}
		r, err := tx.Run(ctx, t.ID)
		if err != nil {
			return Switched{}, err
		}
		if t.Status.Finished() {
			if t.Status == TaskSuccess && len(sw.Images) > 0 && r.ImageID == sw.Images[0] {
				return Switched{Current: r.ImageID}, nil
			}
			return Switched{}, errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
		}
		s, err := liveSchedule(ctx, tx, r.ScheduleID)
		if isNotFound(err) {
			err = errcode.New(errcode.Conflict, "schedule %s was deleted", r.ScheduleID)
		}
		if err != nil {
			return Switched{}, err
		}
		if len(sw.Images) == 0 {
			return Switched{}, errcode.New(errcode.BadRequest, "task %s switches to no image", t.ID)
		}
		out := Switched{Current: sw.Images[0], Previous: s.Current}
		now := c.moment()
		v := Version{ID: out.Current, ScheduleID: s.ID, TaskID: sw.ImportTask, Images: sw.Images, Source: sw.Source, Status: VersionCurrent, CreatedAt: now, UpdatedAt: now}
		s.Held = nil
		if err := c.change(ctx, tx, s, v, VersionOld, sw.Deactivate); err != nil {
			return out, err
		}
		r.ImageID = out.Current
		return out, c.endRun(ctx, tx, t, &r, sw.End)
	})
}

// Rollback makes an older version the current one again, in one transaction: the one that
// to names, or, if to is "", the newest one that was current before. The version that was
// current is held: runs do not switch to it again, as long as the source stays as it was.
// Going to a newer version again lets go of what is held.
func (c *Catalogue) Rollback(ctx context.Context, scheduleID, to string, deactivate bool) (Switched, error) {
	return update(ctx, c, func(tx Tx) (Switched, error) {
		s, err := liveSchedule(ctx, tx, scheduleID)
		if err != nil {
			return Switched{}, err
		}
		all, err := tx.Versions(ctx, s.ID)
		if err != nil {
			return Switched{}, err
		}
		target, was, err := c.backTo(ctx, tx, s, all, to)
		if err != nil {
			return Switched{}, err
		}
		if was != nil && target.CreatedAt.Before(was.CreatedAt) {
			s.Held = all[0].Source // the newest: what the source is most likely to have
		} else if target.ID == all[0].ID {
			s.Held = nil
		}
		target.Status, target.UpdatedAt = VersionCurrent, c.moment()
		left := VersionRolledBack
		if was != nil && was.CreatedAt.Before(target.CreatedAt) {
			left = VersionOld
		}
		return Switched{Current: target.ID, Previous: s.Current}, c.change(ctx, tx, s, target, left, deactivate)
	})
}

// backTo finds the version to which a schedule is rolled back, and the current one.
func (c *Catalogue) backTo(ctx context.Context, tx Tx, s Schedule, all []Version, to string) (target Version, was *Version, err error) {
	for i := range all {
		if all[i].ID == s.Current {
			was = &all[i]
		}
	}
	for _, v := range all {
		if to != "" && v.ID != to || to == "" && (was == nil || !v.CreatedAt.Before(was.CreatedAt)) {
			continue
		}
		if v.ID == s.Current {
			return v, was, errcode.New(errcode.Conflict, "image %s is the current version already", v.ID)
		}
		err := c.usable(ctx, tx, v)
		if err == nil {
			return v, was, nil
		}
		if to != "" || errcode.Of(err) != errcode.Conflict {
			return v, was, err
		}
	}
	if to != "" {
		return target, was, errcode.New(errcode.NotFound, "image %q is none of the schedule's versions", to)
	}
	return target, was, errcode.New(errcode.Conflict, "schedule %s has no older version whose images are there", s.ID).
		With(errcode.Evidence{Structure: "schedule", Field: "versions", Value: s.Current})
}

// usable returns errcode.Conflict unless all images of a version are there, with bytes.
func (c *Catalogue) usable(ctx context.Context, tx Tx, v Version) error {
	for _, id := range v.Images {
		img, err := liveImage(ctx, tx, id)
		if isNotFound(err) || err == nil && img.Status != ImageActive && img.Status != ImageDeactivated {
			return errcode.New(errcode.Conflict, "image %s was deleted, or has no bytes", id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// change makes a version the current one, and leaves the one before in a status.
func (c *Catalogue) change(ctx context.Context, tx Tx, s Schedule, to Version, left string, deactivate bool) error {
	if err := c.usable(ctx, tx, to); err != nil {
		return err
	}
	if s.Current != "" && s.Current != to.ID {
		if err := c.leave(ctx, tx, s.Current, left, deactivate); err != nil {
			return err
		}
	}
	for _, id := range to.Images {
		err := c.showImage(ctx, tx, id, func(img *Image) {
			img.Hidden = false
			if img.Status == ImageDeactivated {
				img.Status = ImageActive
			}
		})
		if err != nil {
			return err
		}
	}
	if err := tx.PutVersion(ctx, to); err != nil {
		return err
	}
	s.Current, s.UpdatedAt = to.ID, c.moment()
	return tx.PutSchedule(ctx, s)
}

// leave hides the version that was current. Images of it that are gone are no matter.
func (c *Catalogue) leave(ctx context.Context, tx Tx, id, status string, deactivate bool) error {
	v, err := tx.Version(ctx, id)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, id := range v.Images {
		err := c.showImage(ctx, tx, id, func(img *Image) {
			img.Hidden = true
			if deactivate && img.Status == ImageActive {
				img.Status = ImageDeactivated
			}
		})
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	v.Status, v.UpdatedAt = status, c.moment()
	return tx.PutVersion(ctx, v)
}

func (c *Catalogue) showImage(ctx context.Context, tx Tx, id string, change func(*Image)) error {
	before, err := liveImage(ctx, tx, id)
	if err != nil {
		return err
	}
	after := before
	change(&after)
	_, err = c.storeImage(ctx, tx, before, after)
	return err
}

// Prunable lists the images of a schedule's versions that are not kept: all behind the
// keep newest ones that are not current. Protected ones, and those whose images cannot go
// by themselves, are kept beside. Versions whose images are gone are forgotten.
func (c *Catalogue) Prunable(ctx context.Context, scheduleID string, keep int) ([]string, error) {
	return update(ctx, c, func(tx Tx) ([]string, error) {
		s, err := tx.Schedule(ctx, scheduleID)
		if err != nil {
			return nil, err
		}
		all, err := tx.Versions(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		var out []string
		for _, v := range all {
			if v.ID == s.Current {
				continue
			}
			left, protected, err := leftOf(ctx, tx, v)
			switch {
			case err != nil:
				return nil, err
			case len(left) == 0:
				if err := tx.DeleteVersion(ctx, v.ID); err != nil {
					return nil, err
				}
			case keep > 0 && !protected:
				keep--
			case !protected:
				out = append(out, left...)
			}
		}
		return out, nil
	})
}

// leftOf lists the images of a version that are there, and says whether one is protected.
func leftOf(ctx context.Context, tx Tx, v Version) (left []string, protected bool, err error) {
	for _, id := range v.Images {
		img, err := liveImage(ctx, tx, id)
		if isNotFound(err) || err == nil && img.Status == ImagePendingDelete {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		left, protected = append(left, id), protected || img.Protected
	}
	return left, protected, nil
}

// DeleteVersionImage deletes an image of a schedule's version, as DeleteImage does, unless
// it has become current or protected meanwhile: then nothing happens.
func (c *Catalogue) DeleteVersionImage(ctx context.Context, scheduleID, imageID string) ([]Location, error) {
	return update(ctx, c, func(tx Tx) ([]Location, error) {
		s, err := tx.Schedule(ctx, scheduleID)
		if err != nil {
			return nil, err
		}
		if v, err := tx.Version(ctx, s.Current); err == nil {
			for _, id := range v.Images {
				if id == imageID {
					return nil, nil
				}
			}
		}
		img, err := liveImage(ctx, tx, imageID)
		if isNotFound(err) || err == nil && img.Protected {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return c.remove(ctx, tx, img)
	})
}
