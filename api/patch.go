package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// patchImage changes an image by a list of operations: all of them in one transaction,
// or none. Two patches at once both count, one after the other.
func (a *api) patchImage(w http.ResponseWriter, r *http.Request) error {
	changes, err := parsePatch(w, r)
	if err == nil {
		err = a.checkChanges(changes)
	}
	if err != nil {
		return err
	}
	img, target, err := a.targetedImage(r, "modify_image")
	if err != nil {
		return err
	}
	if a.showsLocations() && slices.ContainsFunc(changes, change.ofLocations) {
		if img, err = a.patchLocations(r, img, target, changes); err != nil {
			return err
		}
		changes = nil
	}
	if len(changes) > 0 {
		invited := target.Has("member_id")
		img, err = a.Catalogue.UpdateImage(r.Context(), img.ID, func(m *metadata.Image) error {
			p := patch{a: a, r: r, target: targetOf(r, *m, invited), img: m}
			return p.apply(changes)
		})
		if err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, a.show(r, img))
	return nil
}

// nested is what Glance has its free properties in, for itself alone: no patch reaches it.
const nested = "extra_properties"

// A patch is at work on one image, in one run of a transaction.
type patch struct {
	a      *api
	r      *http.Request
	target access.Target // the image as it was
	img    *metadata.Image
}

// apply judges again by what the image is inside of the transaction.
func (p patch) apply(changes []change) error {
	if p.img.Status == metadata.ImagePendingDelete || !p.a.sees(p.r, *p.img, p.target) {
		return notFound("image", p.img.ID)
	}
	if err := p.a.judge(p.r, "modify_image", p.target); err != nil {
		return err
	}
	// The map belongs to this run alone, and may be missing.
	p.img.Properties = maps.Clone(p.img.Properties)
	if p.img.Properties == nil {
		p.img.Properties = map[string]string{}
	}
	had := len(notInternal(p.img.Properties))
	for _, c := range changes {
		if err := p.one(c); err != nil {
			return err
		}
	}
	// One that has too many already may be given fewer.
	if n := len(notInternal(p.img.Properties)); n > maxProperties && n > had {
		return withStatus(http.StatusRequestEntityTooLarge,
			badField("properties", "", "an image has at most %d properties, this would make it %d", maxProperties, n))
	}
	return nil
}

func (p patch) one(c change) error {
	switch {
	case c.name == membLocations:
		return p.locations(c)
	case wire.IsCore(c.name):
		return p.member(c)
	case c.name == nested:
		return fieldError(errcode.Forbidden, c.name, "", "a property is changed by its own name")
	}
	return p.property(c)
}

// member changes one of the members that every image has.
func (p patch) member(c change) error {
	switch {
	case c.op == opRemove:
		return fieldError(errcode.Forbidden, c.name, "", "every image has this, and it cannot be removed")
	case c.op == opAdd && c.fresh:
		return fieldError(errcode.Conflict, c.name, "", "the image has this already; replace it")
	}
	before := *p.img
	if _, err := setMember(p.img, c.name, c.value); err != nil {
		return err
	}
	switch c.name {
	case "owner":
		if err := p.a.judge(p.r, "ingest:change_owner", p.target); err != nil {
			return err
		}
		if p.img.Owner == "" {
			return badField("owner", "null", "an image has an owner")
		}
	case "visibility":
		return p.a.mayShow(p.r, p.img.Visibility, p.target)
	case "disk_format", "container_format":
		if before.Status != metadata.ImageQueued && before.Status != metadata.ImageImporting {
			return errcode.New(errcode.Forbidden, "%s of image %s can be changed while it has no bytes only, and it is %s", c.name, before.ID, string(before.Status)).
				With(errcode.Evidence{Structure: "image", Field: "status", Value: string(before.Status)})
		}
	}
	return nil
}

// property changes a free property. One that the caller may not read is not there.
func (p patch) property(c change) error {
	_, there := p.img.Properties[c.name]
	op := access.Update
	switch {
	case c.op == opRemove:
		op = access.Delete
	case !there:
		op = access.Create
	}
	seen := there && p.a.mayProperty(p.r, access.Read, c.name)
	switch {
	case c.op != opAdd && !seen:
		return fieldError(errcode.Conflict, c.name, "", "the image has no such property")
	case c.op == opAdd && c.fresh && seen:
		return fieldError(errcode.Conflict, c.name, "", "the image has the property already; replace it")
	case p.a.Protections() != nil && !p.a.mayProperty(p.r, op, c.name):
		return protected(op, c.name)
	case c.op == opRemove:
		delete(p.img.Properties, c.name)
		return nil
	}
	value, err := p.a.freeProperty(c.name, c.value)
	switch {
	case err != nil:
		return err
	case value != nil:
		p.img.Properties[c.name] = *value
	case there && !p.a.mayProperty(p.r, access.Delete, c.name):
		return protected(access.Delete, c.name)
	default:
		delete(p.img.Properties, c.name)
	}
	return nil
}

// locations refuses changes of where an image's bytes lie.
func (p patch) locations(c change) error {
	return fieldError(errcode.Forbidden, strings.TrimSuffix(membLocations+"/"+c.pos, "/"), "", "this server does not show locations, and does not take them")
}

// deactivate withholds an image's bytes.
func (a *api) deactivate(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "deactivate")
	if err == nil {
		_, err = a.Catalogue.Deactivate(r.Context(), img.ID, a.still(r, "deactivate", target))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// reactivate gives an image's bytes out again.
func (a *api) reactivate(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "reactivate")
	if err == nil {
		_, err = a.Catalogue.Reactivate(r.Context(), img.ID, a.still(r, "reactivate", target))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
