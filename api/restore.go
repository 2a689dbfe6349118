package api

import (
	"net/http"

	"ingest/metadata"
)

// restore makes an image active again that was deleted and whose bytes are kept for
// a time. Everybody else's, and others, are answered like those that do not exist.
func (a *api) restore(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	img, err := a.Catalogue.Image(r.Context(), id)
	if err != nil {
		return err
	}
	if img.Owner != project(r.Context()) {
		return notFound("image", id)
	}
	if img, err = a.Catalogue.RestoreImage(r.Context(), id); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, imageOf(img))
	return nil
}

// gone reports whether a listing leaves an image out because it was deleted: its
// owner sees it by asking for its status.
func gone(m metadata.Image, asked []string, project string) bool {
	if m.Status != metadata.ImagePendingDelete {
		return false
	}
	for _, s := range asked {
		if s == string(metadata.ImagePendingDelete) {
			return m.Owner != project
		}
	}
	return true
}
