package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/metadata"
	"ingest/stores"
)

// Locations knows the objects of the stores by their URLs.
type Locations interface {
	// LocationURL returns the URL of an object, without anything secret.
	LocationURL(ctx context.Context, store, key string) (string, error)
	// FindLocation returns the store in which a URL lies, and the key of the object that
	// it names. Nothing is opened.
	FindLocation(url string) (store, key string, ok bool)
	// SameBytes returns an error unless an object has the stored bytes of the digest. It
	// reads all of it.
	SameBytes(ctx context.Context, store, key string, want stores.Digest) error
}

// showsLocations reports whether places are shown, and can be changed by a patch.
func (a *api) showsLocations() bool { return a.ShowLocations && a.Locations != nil }

// showPlaces adds where an image's bytes lie, if the server shows it and the caller may
// see it. A place whose store does not answer is left out.
func (a *api) showPlaces(r *http.Request, img metadata.Image, out *wire.Image) {
	if a.Locations == nil || !a.ShowDirectURL && !a.ShowLocations {
		return
	}
	var places []wire.Location
	if a.allowed(r, "get_image_location", img) {
		locs := img.Locations()
		if !a.ShowLocations {
			locs = locs[:min(1, len(locs))]
		}
		places = a.places(r.Context(), img, a.tellable(r, img, locs))
	}
	if a.ShowDirectURL && len(places) > 0 {
		out.DirectURL = places[0].URL
	}
	if a.ShowLocations {
		out.Locations = append([]wire.Location{}, places...)
	}
}

// tellable leaves out objects that were another image's first, unless the caller sees that
// one: the id of an image stands in the URL of its object.
func (a *api) tellable(r *http.Request, img metadata.Image, locs []metadata.Location) []metadata.Location {
	var out []metadata.Location
	for _, loc := range locs {
		first, _, _ := strings.Cut(loc.Key, "/")
		if first != img.ID && !loc.External() && !a.administers(r) {
			other, err := a.Catalogue.Image(r.Context(), first)
			if err != nil || !a.allowed(r, "get_image", other) {
				continue
			}
		}
		out = append(out, loc)
	}
	return out
}

// places writes where an image's bytes lie.
func (a *api) places(ctx context.Context, img metadata.Image, locs []metadata.Location) []wire.Location {
	out := []wire.Location{}
	for _, loc := range locs {
		url, err := a.Locations.LocationURL(ctx, loc.Store, loc.Key)
		if err != nil {
			a.Log.Warn().Err(err).Str("image", img.ID).Str("store", loc.Store).Msg("the place of an image cannot be told")
			continue
		}
		place := wire.Location{URL: url, Metadata: map[string]string{}}
		if len(a.Stores) > 1 {
			place.Metadata["store"] = loc.Store
		}
		out = append(out, place)
	}
	return out
}

// listLocations tells services where an image's bytes lie.
func (a *api) listLocations(w http.ResponseWriter, r *http.Request) error {
	img, err := a.imageFor(r, "fetch_image_location")
	if err != nil {
		return err
	}
	if a.Locations == nil {
		return noLocations()
	}
	writeJSON(w, http.StatusOK, a.places(r.Context(), img, img.Locations()))
	return nil
}

func noLocations() error {
	return errcode.New(errcode.NotFound, "this server has no stores whose objects have URLs")
}

// A location is a place as clients name it.
type location struct {
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"` // the stores' own business; read and left
	Proof    *proof            `json:"validation_data"`
}

// A proof is what the bytes of a location are said to be.
type proof struct {
	Checksum  string `json:"checksum"` // MD5, of patches only
	HashAlgo  string `json:"os_hash_algo"`
	HashValue string `json:"os_hash_value"`
}

// checksum is the digest as requests have it, "" if none is given.
func (l location) checksum() (string, error) {
	if l.Proof == nil || l.Proof.HashAlgo == "" && l.Proof.HashValue == "" {
		return "", nil
	}
	text := strings.ToLower(l.Proof.HashAlgo + ":" + l.Proof.HashValue)
	if _, err := verify.ParseDigest(text, false); err != nil {
		return "", badField("validation_data", text, "expected os_hash_algo sha256 or sha512, and os_hash_value with as many hex digits")
	}
	return text, nil
}

// addLocation makes a queued image of an object that is in a store already. It answers
// before the object was looked at; a task of type location_import does so.
func (a *api) addLocation(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "add_image_location")
	if err != nil {
		return err
	}
	if a.Locations == nil {
		return noLocations()
	}
	var l location
	if err := decode(r, &l); err != nil {
		return err
	}
	out, err := a.importLocation(r, img, target, l)
	if err != nil {
		return err
	}
	writeAccepted(w, out)
	return nil
}

// importLocation accepts the task that makes a queued image of an object.
func (a *api) importLocation(r *http.Request, img metadata.Image, target access.Target, l location) (wire.Submitted, error) {
	var none wire.Submitted
	sum, err := l.checksum()
	if err != nil {
		return none, err
	}
	loc, err := a.locate(r, img, target, l.URL)
	if err != nil {
		return none, err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return none, err
	}
	req := contract.ImportRequest{
		Method: contract.MethodLocate, TaskType: contract.LocationTaskType, ImageID: img.ID, Owner: img.Owner, IdempotencyKey: key,
		Source: contract.SourceSpec{URL: l.URL, Format: img.DiskFormat, Checksum: sum},
		Target: contract.TargetSpec{Store: loc.Store}, Image: contract.ImageSpec{ContainerFormat: img.ContainerFormat},
	}
	if err := a.sign(r, &req); err != nil {
		return none, err
	}
	if err := a.permit(req); err != nil {
		return none, err
	}
	if img.Status == metadata.ImageQueued && (img.DiskFormat == "" || img.ContainerFormat == "") {
		return none, badField("disk_format", img.DiskFormat, "image %s needs its disk_format and container_format set before it gets a location", img.ID)
	}
	if img.Status != metadata.ImageQueued && key == "" {
		return none, errcode.New(errcode.Conflict, "image %s is %s, only a queued one can be made of a location", img.ID, string(img.Status)).
			With(errcode.Evidence{Structure: "image", Field: "status", Value: string(img.Status), Limit: string(metadata.ImageQueued)})
	}
	return a.accept(r.Context(), req, true)
}

// locate finds the object that a URL names. Of an object that ingest has stored, only who
// may read an image that is made of it may make another one; what else lies in a store is
// for those whom a rule lets use it. All others are told the same.
func (a *api) locate(r *http.Request, img metadata.Image, target access.Target, raw string) (metadata.Location, error) {
	if raw == "" || len(raw) > contract.MaxURLBytes {
		return metadata.Location{}, badField("url", raw, "expected the URL of an object in a store")
	}
	store, key, ok := a.Locations.FindLocation(raw)
	if !ok {
		return metadata.Location{}, fieldError(errcode.LocationOutside, "url", shownURL(raw), "this lies in none of the stores")
	}
	loc := metadata.Location{Store: store, Key: key}
	if loc.External() {
		return loc, a.judge(r, "ingest:external_location", target)
	}
	named, err := a.Catalogue.Images(r.Context(), metadata.ImageFilter{At: &loc, Status: metadata.ImageActive})
	if err != nil {
		return loc, err
	}
	for _, other := range named {
		if other.ID != img.ID && a.allowed(r, "download_image", other) {
			return loc, nil
		}
	}
	return loc, fieldError(errcode.LocationOutside, "url", shownURL(raw), "no active image that you may read is made of such an object")
}

// shownURL is a URL without what may be secret in it.
func shownURL(raw string) string {
	if u, ok := stores.PlainURL(raw); ok {
		return u.Redacted()
	}
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + ":…"
}

// mayLocateAgain judges the request of a task that failed anew.
func (a *api) mayLocateAgain(r *http.Request, req contract.ImportRequest) error {
	if a.Locations == nil {
		return noLocations()
	}
	img, err := a.Catalogue.Image(r.Context(), req.ImageID)
	if err != nil {
		return err
	}
	target, err := a.imageTarget(r, img)
	if err != nil {
		return err
	}
	if err := a.judge(r, "add_image_location", target); err != nil {
		return err
	}
	if _, err := a.locate(r, img, target, req.Source.URL); err != nil {
		return err
	}
	return a.permit(req)
}

// parseLocation reads a place in a patch.
func parseLocation(raw json.RawMessage) (location, error) {
	var l location
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil || json.Unmarshal(raw, &l) != nil || l.URL == "" {
		return l, badField(membLocations, string(raw), "expected an object with url and metadata")
	}
	return l, nil
}
