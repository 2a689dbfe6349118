package api

import (
	"net/http"

	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/metadata"
)

// caller is on whose behalf a request is made.
func caller(r *http.Request) identity.Caller { return identity.From(r.Context()) }

// imageFor returns the image that a path names, if the caller may do with it what
// rule says; rules have the names of Glance's policies ("modify_image"). One that
// the caller may not even see is answered like one that does not exist.
func (a *api) imageFor(r *http.Request, rule string) (metadata.Image, error) {
	id := r.PathValue("id")
	img, err := a.Catalogue.Image(r.Context(), id)
	if err != nil {
		return metadata.Image{}, err
	}
	if !a.allowed(r, "get_image", img) || img.Status == metadata.ImagePendingDelete {
		return metadata.Image{}, notFound("image", id)
	}
	if !a.allowed(r, rule, img) {
		return metadata.Image{}, errcode.New(errcode.Forbidden, "%s is not allowed on image %s to this caller", rule, img.ID)
	}
	return img, nil
}

// allowed reports whether the caller may do with an image what rule says.
func (a *api) allowed(r *http.Request, rule string, img metadata.Image) bool {
	if img.Owner == caller(r).Project {
		return true
	}
	reads := rule == "get_image" || rule == "download_image"
	return reads && (img.Visibility == "public" || img.Visibility == "community")
}
