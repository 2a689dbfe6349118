package api

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"ingest/metadata"
)

func (a *api) createImage(w http.ResponseWriter, r *http.Request) error {
	fields, err := decodeObject(r)
	if err != nil {
		return err
	}
	img, err := a.parseImage(fields, project(r.Context()))
	if err != nil {
		return err
	}
	if err := a.mayMake(r, "add_image", img); err != nil {
		return err
	}
	once, err := onceOf(r, fields)
	if err != nil {
		return err
	}
	img, again, err := a.Catalogue.CreateImageOnce(r.Context(), img, once)
	if err != nil {
		return err
	}
	if again {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Location", "/v2/images/"+img.ID)
	w.Header().Set("OpenStack-image-import-methods", strings.Join(a.methods(), ","))
	if len(a.Stores) > 1 {
		w.Header().Set("OpenStack-image-store-ids", strings.Join(a.Stores, ","))
	}
	writeJSON(w, http.StatusCreated, a.show(r, img))
	return nil
}

// decodeObject reads a body that is one JSON object.
func decodeObject(r *http.Request) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	dec := json.NewDecoder(r.Body)
	if err := dec.Decode(&fields); err != nil {
		return nil, bodyError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badField("body", "", "there is something behind the JSON object")
	}
	if fields == nil {
		return nil, badField("body", "null", "expected an object")
	}
	return fields, nil
}

// parseImage makes an image of the members that a client sent. Every member
// that is not one of Glance's own is a free property.
func (a *api) parseImage(fields map[string]json.RawMessage, owner string) (metadata.Image, error) {
	img := metadata.Image{ID: uuid.NewString(), Properties: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(fields)) { // the same request gets the same answer
		raw := fields[name]
		if err := checkSettable(name); err != nil {
			return metadata.Image{}, err
		}
		if name == "id" {
			if err := json.Unmarshal(raw, &img.ID); err != nil {
				return metadata.Image{}, badField(name, string(raw), "an image's id is a UUID")
			}
			continue
		}
		core, err := setMember(&img, name, raw)
		if err == nil && !core {
			var value *string
			if value, err = a.freeProperty(name, raw); value != nil {
				img.Properties[name] = *value
			}
		}
		if err != nil {
			return metadata.Image{}, err
		}
	}
	if img.Owner == "" {
		img.Owner = owner
	}
	if _, err := uuid.Parse(img.ID); err != nil || len(img.ID) != 36 {
		return metadata.Image{}, badField("id", img.ID, "an image's id is a UUID")
	}
	img.ID = strings.ToLower(img.ID)
	return img, checkImage(img)
}

// unique drops repeated tags: an image's tags are a set.
func unique(tags []string) []string {
	var out []string
	for _, t := range tags {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
		if len(out) > maxTags {
			break // refused anyway; the search above is quadratic
		}
	}
	return out
}
