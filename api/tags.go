package api

import "net/http"

// addTag gives an image a tag. One that it has already changes nothing.
func (a *api) addTag(w http.ResponseWriter, r *http.Request) error {
	tag := r.PathValue("tag")
	if err := checkText("tag", tag, maxName); err != nil {
		return err
	}
	img, err := a.imageFor(r, "modify_image")
	if err != nil {
		return err
	}
	if err := a.Catalogue.AddTag(r.Context(), img.ID, tag, maxTags); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) removeTag(w http.ResponseWriter, r *http.Request) error {
	img, err := a.imageFor(r, "modify_image")
	if err != nil {
		return err
	}
	if err := a.Catalogue.RemoveTag(r.Context(), img.ID, r.PathValue("tag")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
