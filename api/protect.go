package api

import (
	"maps"
	"net/http"
	"slices"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// mayProperty reports whether property protections let the caller do op with an image's
// property.
func (a *api) mayProperty(r *http.Request, op access.Operation, name string) bool {
	return a.Protections().Allow(op, name, caller(r), a.Access())
}

// readable returns the properties that the caller may read.
func (a *api) readable(r *http.Request, props map[string]string) map[string]string {
	if a.Protections() == nil {
		return props
	}
	out := make(map[string]string, len(props))
	for name, value := range props {
		if a.mayProperty(r, access.Read, name) {
			out[name] = value
		}
	}
	return out
}

// mayFilter reports whether a list may be narrowed by what a filter names: a property
// that the caller may not read has no value that could be guessed.
func (a *api) mayFilter(r *http.Request, f metadata.ImageFilter) bool {
	for name := range f.Properties {
		if !a.mayProperty(r, access.Read, name) {
			return false
		}
	}
	return true
}

// taskShown returns a task without the properties, in its request, that the caller may
// not read. A request that cannot be understood is left out.
func (a *api) taskShown(r *http.Request, t metadata.Task) metadata.Task {
	if a.Protections() == nil || len(t.Request) == 0 {
		return t
	}
	req, err := requestOf(t)
	if err != nil {
		t.Request = nil
		return t
	}
	if visible := a.readable(r, req.Image.Properties); len(visible) != len(req.Image.Properties) {
		v := a.veilOver(r, req.Image.Properties)
		req.Image.Properties = visible
		t.Request = mustJSON(req)
		if v.named(t.Message) {
			t.Message = aboutHidden
		}
		if t.Error != nil && v.named(string(mustJSON(t.Error))) {
			t.Error = &metadata.TaskError{Code: t.Error.Code, Stage: t.Error.Stage, Message: aboutHidden}
		}
	}
	return t
}

// show writes an image as the caller sees it.
func (a *api) show(r *http.Request, img metadata.Image) wire.Image {
	img.Properties = a.readable(r, img.Properties)
	out := imageOf(img)
	a.showPlaces(r, img, &out)
	return out
}

// protectProperties returns errcode.Forbidden if the caller may not change an image's
// properties from before to after. Both hold all of them, also those that the caller
// does not see.
func (a *api) protectProperties(r *http.Request, before, after map[string]string) error {
	if a.Protections() == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		old, had := before[name]
		op := access.Update
		if !had {
			op = access.Create
		}
		if (!had || old != after[name]) && !a.mayProperty(r, op, name) {
			return protected(op, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[name]; !stays && !a.mayProperty(r, access.Delete, name) {
			return protected(access.Delete, name)
		}
	}
	return nil
}

func protected(op access.Operation, name string) error {
	return errcode.New(errcode.Forbidden, "property protections do not allow you to %s the property %q", op, name).
		With(errcode.Evidence{Structure: "property protections", Field: name, Value: string(op)})
}
