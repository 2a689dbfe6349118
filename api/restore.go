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
		return unseen(err, "image", id)
	}
	t, err := a.imageTarget(r, img)
	if err != nil {
		return err
	}
	guard := func(img metadata.Image) error {
		t := targetOf(r, img, t.Has("member_id"))
		if img.Owner != project(r.Context()) && !a.administers(r) || !a.sees(r, img, t) {
			return notFound("image", id)
		}
		return a.judge(r, "ingest:restore", t)
	}
	if err := guard(img); err != nil {
		return err
	}
	if img, err = a.Catalogue.RestoreImage(r.Context(), id, guard); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, a.show(r, img))
	return nil
}
