package api

import "net/http"

// addTag gives an image a tag. One that it has already changes nothing.
func (a *api) addTag(w http.ResponseWriter, r *http.Request) error {
	tag := r.PathValue("tag")
	if err := checkText("tag", tag, maxName); err != nil {
		return err
	}
	img, target, err := a.targetedImage(r, "modify_image")
	if err != nil {
		return err
	}
	if err := a.Catalogue.AddTag(r.Context(), img.ID, tag, maxTags, a.still(r, "modify_image", target)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) removeTag(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "modify_image")
	if err != nil {
		return err
	}
	if err := a.Catalogue.RemoveTag(r.Context(), img.ID, r.PathValue("tag"), a.still(r, "modify_image", target)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
