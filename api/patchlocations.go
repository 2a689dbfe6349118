package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/stores"
)

// locatingAtOnce is how many objects are read at once for the patches of one project.
const locatingAtOnce = 2

// ofLocations reports whether a change is about where the bytes lie.
func (c change) ofLocations() bool { return c.name == membLocations }

// patchLocations changes where an image's bytes lie. What has to be read takes its time,
// and what is removed is gone, so that it is the only operation of its patch.
func (a *api) patchLocations(r *http.Request, img metadata.Image, target access.Target, changes []change) (metadata.Image, error) {
	if len(changes) != 1 {
		return img, badField(membLocations, "", "a change of locations is the only operation of its patch, of which this has %d", len(changes))
	}
	c := changes[0]
	switch c.op {
	case opRemove:
		return a.removeLocation(r, img, target, c.pos)
	case opReplace:
		return a.replaceLocations(r, img, target, c.value)
	}
	if err := a.mayPlace(r, img, target); err != nil {
		return img, err
	}
	l, err := parseLocation(c.value)
	if err != nil {
		return img, err
	}
	if c.pos != "-" && !digits(c.pos) {
		return img, badField(membLocations, c.pos, "expected a position in the list, or - for its end")
	}
	if img.Status == metadata.ImageQueued {
		return a.firstLocation(r, img, target, l)
	}
	return a.furtherLocation(r, img, target, l)
}

// mayPlace returns an error unless the caller may say where the image's bytes lie.
func (a *api) mayPlace(r *http.Request, img metadata.Image, target access.Target) error {
	if err := a.judge(r, "set_image_location", target); err != nil {
		return err
	}
	if img.Status != metadata.ImageQueued && img.Status != metadata.ImageActive {
		return notWhile(img)
	}
	return nil
}

func notWhile(img metadata.Image) error {
	return errcode.New(errcode.Conflict, "the locations of image %s cannot be changed while it is %s", img.ID, string(img.Status)).
		With(errcode.Evidence{Structure: "image", Field: "status", Value: string(img.Status)})
}

// replaceLocations gives an image without any its one location.
func (a *api) replaceLocations(r *http.Request, img metadata.Image, target access.Target, value json.RawMessage) (metadata.Image, error) {
	var list []json.RawMessage
	err := json.Unmarshal(value, &list)
	if err == nil && len(list) == 0 {
		return img, fieldError(errcode.Forbidden, membLocations, "", "an image keeps its last location; delete the image instead")
	}
	if refused := a.mayPlace(r, img, target); refused != nil {
		return img, refused
	}
	switch {
	case err != nil:
		return img, badField(membLocations, string(value), "expected a list of locations")
	case img.Status != metadata.ImageQueued:
		return img, badField(membLocations, "", "the image has locations already; add further ones, and remove others")
	case len(list) > 1:
		return img, badField(membLocations, "", "a queued image is made of one location; add further ones once it is active")
	}
	l, err := parseLocation(list[0])
	if err != nil {
		return img, err
	}
	return a.firstLocation(r, img, target, l)
}

// firstLocation makes a queued image of an object, as the call for locations does: the
// image is active once a task has looked at the object.
func (a *api) firstLocation(r *http.Request, img metadata.Image, target access.Target, l location) (metadata.Image, error) {
	if _, err := a.importLocation(r, img, target, l); err != nil {
		return img, err
	}
	return a.Catalogue.Image(r.Context(), img.ID)
}

// furtherLocation gives an active image one more place, whose bytes are read first and are
// those of the image's digest.
func (a *api) furtherLocation(r *http.Request, img metadata.Image, target access.Target, l location) (metadata.Image, error) {
	sum, err := l.checksum()
	if err != nil {
		return img, err
	}
	if sum != "" && sum != img.HashAlgo+":"+img.HashValue {
		return img, fieldError(errcode.Conflict, "validation_data", sum, "the image has another digest")
	}
	loc, err := a.locate(r, img, target, l.URL)
	if err != nil {
		return img, err
	}
	if img.Names(loc) {
		return img, badField("url", shownURL(l.URL), "the image has this location already")
	}
	if img.HashValue == "" || img.Size == nil {
		return img, errcode.New(errcode.Conflict, "image %s has no digest by which its bytes could be known", img.ID)
	}
	leave, err := a.locating.enter(img.Owner, locatingAtOnce)
	if err != nil {
		return img, err
	}
	defer leave()
	// A store has one object of an image: what is refused for it need not be read.
	for _, have := range img.Locations() {
		if have.Store == loc.Store {
			return img, fieldError(errcode.Conflict, "url", shownURL(l.URL), "the image has a location in store %q already", loc.Store)
		}
	}
	want := stores.Digest{Algo: img.HashAlgo, Hex: img.HashValue, Size: *img.Size}
	if err := a.Locations.SameBytes(r.Context(), loc.Store, loc.Key, want); err != nil {
		if errcode.Of(err) == errcode.VerifyMismatch {
			err = fieldError(errcode.Conflict, "url", shownURL(l.URL), "the object has not the image's bytes")
		}
		return img, err
	}
	return a.Catalogue.AddLocation(r.Context(), img.ID, loc, metadata.Bytes{HashAlgo: want.Algo, HashValue: want.Hex, Size: want.Size}, a.still(r, "set_image_location", target))
}

// removeLocation takes a place from an image, and removes the object if it was stored by
// ingest and no other image names it.
func (a *api) removeLocation(r *http.Request, img metadata.Image, target access.Target, pos string) (metadata.Image, error) {
	if err := a.judge(r, "delete_image_location", target); err != nil {
		return img, err
	}
	locs := img.Locations()
	switch {
	case img.Status != metadata.ImageActive:
		return img, notWhile(img)
	case img.Protected:
		return img, errcode.New(errcode.Forbidden, "image %s is protected", img.ID)
	case len(locs) == 1:
		return img, fieldError(errcode.Forbidden, membLocations, pos, "an image keeps its last location; delete the image instead")
	}
	i := len(locs) - 1
	if pos != "-" {
		n, err := strconv.Atoi(pos)
		if err != nil || !digits(pos) || n > i {
			return img, badField(membLocations, pos, "expected a position from 0 to %d, or -", i)
		}
		i = n
	}
	if err := a.takeFrom(r, img.ID, locs[i].Store, target); err != nil {
		return img, err
	}
	return a.Catalogue.Image(r.Context(), img.ID)
}

// takeFrom takes an image out of a store. The catalogue says so first: what a crash leaves
// in the store is nobody's, and swept.
func (a *api) takeFrom(r *http.Request, imageID, store string, target access.Target) error {
	loc, err := a.Catalogue.RemoveCopy(r.Context(), imageID, store, a.still(r, "delete_image_location", target))
	if err != nil || loc.Key == "" { // else another image is made of the object, too
		return err
	}
	a.uncache(loc)
	if err := a.Blobs.Delete(r.Context(), loc.Store, loc.Key); err != nil {
		a.Log.Warn().Err(err).Str("image", imageID).Str("store", store).Msg("remove the bytes of an image from a store")
	}
	return nil
}

// digits reports whether a text is a number as a position is written.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) < 10
}
