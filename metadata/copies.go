package metadata

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// Properties in which an image tells, in Glance's words and comma separated, which
// stores a task is bringing it into and which have failed. Clients cannot set
// them.
const (
	PropImportingStores = "os_glance_importing_to_stores"
	PropFailedStores    = "os_glance_failed_import"
)

// CopiesDone ends a task that has copied an image.
type CopiesDone struct {
	TaskID string
	Copies []Location // what was copied; none if the stores had it already
	Twins  Choice     // which of them belong to other images too
	Failed []string   // stores that it could not be copied to
	Result json.RawMessage
}

// MarkStores records which stores a task is bringing an image into, and which
// have failed so far. Only an unfinished task is heard.
func (c *Catalogue) MarkStores(ctx context.Context, taskID, imageID string, importing, failed []string) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, taskID)
		if err != nil || t.Status.Finished() {
			return err
		}
		before, err := liveImage(ctx, tx, imageID)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		after := before
		setStores(&after, importing, failed)
		if maps.Equal(after.Properties, before.Properties) {
			return nil
		}
		_, err = c.storeImage(ctx, tx, before, after)
		return err
	})
}

// AddCopies ends a copy task with success: in one transaction the image has its
// copies and the task its result. The same again does nothing. errcode.Conflict
// says that the task has ended otherwise, or that the image is not active any
// more; the copies are then nobody's, and the caller removes them.
func (c *Catalogue) AddCopies(ctx context.Context, d CopiesDone) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := tx.Task(ctx, d.TaskID)
		if err != nil {
			return err
		}
		before, err := taskImage(ctx, tx, t)
		if err != nil {
			return err
		}
		if t.Status.Finished() {
			return c.copiedBefore(t, before, d)
		}
		if err := stillActive(before); err != nil {
			return err
		}
		if before.Size != nil {
			b := Bytes{before.HashAlgo, before.HashValue, *before.Size}
			if err := c.chosen(ctx, tx, before.Owner, b, d.Copies, d.Twins, []string{before.ID}); err != nil {
				return err
			}
		}
		after := before
		after.Copies = slices.Clone(before.Copies)
		for _, loc := range d.Copies {
			switch have, ok := before.in(loc.Store); {
			case ok && have == loc:
				continue
			case ok:
				return errcode.New(errcode.Conflict, "image %s is in store %q already", before.ID, loc.Store)
			}
			after.Copies = slices.DeleteFunc(after.Copies, func(c Copy) bool { return c.Store == loc.Store })
			after.Copies = append(after.Copies, Copy{Location: loc, Status: CopyActive, CreatedAt: c.moment()})
		}
		added := int64(0)
		if before.Size != nil {
			added = *before.Size * int64(len(after.Copies)-len(before.Copies))
		}
		if err := c.covered(ctx, tx, t, added); err != nil {
			return err
		}
		if err := tx.DeleteReservations(ctx, t.ID); err != nil {
			return err
		}
		setStores(&after, nil, d.Failed)
		if _, err := c.storeImage(ctx, tx, before, after); err != nil {
			return err
		}
		was := t.Status
		t.Status, t.Stage, t.Result = TaskSuccess, StageDone, d.Result
		t.Message, t.Error = "", nil
		if err := c.storeTask(ctx, tx, was, t); err != nil {
			return err
		}
		return c.event(ctx, tx, t, Event{Kind: EventStatus, Status: string(t.Status), Stage: t.Stage})
	})
}

// copiedBefore returns nil if d is what ended the task.
func (c *Catalogue) copiedBefore(t Task, img Image, d CopiesDone) error {
	conflict := errcode.New(errcode.Conflict, "task %s has ended with %s", t.ID, string(t.Status))
	if t.Status != TaskSuccess {
		return conflict
	}
	for _, loc := range d.Copies {
		// Where objects are shared, another run may have found a twin, or none.
		if have, ok := img.in(loc.Store); !ok || have != loc && c.sharing == ShareNothing {
			return conflict
		}
	}
	return nil
}

// RemoveCopy takes an image out of one store, and returns where its object lay
// for the caller to remove; a reaper finds it if the caller dies before. It is zero
// if another image is made of the object, too. The next
// copy takes the place of a first location that goes. The last one is
// errcode.Forbidden, a store without the image errcode.NotFound, and an image that
// is not active, or that a task works on, errcode.Conflict.
func (c *Catalogue) RemoveCopy(ctx context.Context, imageID, store string, guards ...Guard) (Location, error) {
	return update(ctx, c, func(tx Tx) (Location, error) {
		before, err := guarded(ctx, tx, imageID, guards)
		if err != nil {
			return Location{}, err
		}
		if err := stillActive(before); err != nil {
			return Location{}, err
		}
		if err := idle(ctx, tx, imageID); err != nil {
			return Location{}, err
		}
		i := slices.IndexFunc(before.Copies, func(c Copy) bool { return c.Store == store })
		after := before
		after.Copies = slices.Clone(before.Copies)
		var gone Location
		switch {
		case i >= 0:
			gone, after.Copies = before.Copies[i].Location, slices.Delete(after.Copies, i, i+1)
		case before.Store != store:
			return Location{}, errcode.New(errcode.NotFound, "image %s is not in store %q", imageID, store)
		default:
			next := slices.IndexFunc(before.Copies, func(c Copy) bool { return c.Status == CopyActive })
			if next < 0 {
				return Location{}, errcode.New(errcode.Forbidden, "store %q has the last copy of image %s; delete the image instead", store, imageID)
			}
			gone = Location{before.Store, before.Key}
			after.Store, after.Key = after.Copies[next].Store, after.Copies[next].Key
			after.Copies = slices.Delete(after.Copies, next, next+1)
		}
		if _, err = c.storeImage(ctx, tx, before, after); err != nil {
			return Location{}, err
		}
		last, err := unshared(ctx, tx, imageID, []Location{gone})
		if len(last) == 0 {
			return Location{}, err
		}
		return gone, err
	})
}

// stillActive returns errcode.Conflict unless the image is active.
func stillActive(img Image) error {
	if img.Status != ImageActive {
		return errcode.New(errcode.Conflict, "image %s is %s and not active", img.ID, string(img.Status))
	}
	return nil
}

// in returns where in a store an image can be read from.
func (img Image) in(store string) (Location, bool) {
	for _, loc := range img.Locations() {
		if loc.Store == store {
			return loc, true
		}
	}
	return Location{}, false
}

// places lists every object that the image names, also those that are not read from.
func (img Image) places() []Location {
	if img.Key == "" {
		return nil
	}
	out := []Location{{img.Store, img.Key}}
	for _, c := range img.Copies {
		out = append(out, c.Location)
	}
	return out
}

// Names reports whether the image's bytes are at loc. A location without a store
// is that of the key alone.
func (img Image) Names(loc Location) bool {
	return slices.ContainsFunc(img.places(), func(l Location) bool {
		return l.Key == loc.Key && (loc.Store == "" || l.Store == loc.Store)
	})
}

// storesOf reads one of the properties that list stores.
func storesOf(img Image, property string) []string {
	if v := img.Properties[property]; v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// setStores writes the properties that list stores. An image that tasks have brought
// into several keeps both, with empty lists: clients of Glance wait until the one of
// stores that are still missing is empty, and then read the other one. The map of before
// is left as it is.
func setStores(img *Image, importing, failed []string) {
	_, told := img.Properties[PropImportingStores]
	if !told && len(importing)+len(failed) == 0 {
		return
	}
	props := maps.Clone(img.Properties)
	if props == nil {
		props = map[string]string{}
	}
	props[PropImportingStores], props[PropFailedStores] = strings.Join(importing, ","), strings.Join(failed, ",")
	img.Properties = props
}
