package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ingest/internal/metadef"
	"ingest/metadata"
)

// lower is a text in lower case, without what stands around it.
func lower(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func (a *api) listTags(w http.ResponseWriter, r *http.Request) error {
	limit, err := checkListing(r.URL.Query(), 0, "public", "private", "shared")
	if err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "get_metadef_tags")
	if err != nil {
		return err
	}
	list, err := a.Catalogue.Definitions(r.Context(), ns.ID, metadata.TagDefinition)
	if err == nil {
		list, err = pageOfTags(list, r.URL.Query())
	}
	if err != nil {
		return err
	}
	if limit >= 0 && limit < len(list) {
		list = list[:limit]
	}
	writeJSON(w, http.StatusOK, map[string]any{"tags": metadef.OfTags(list)})
	return nil
}

// pageOfTags sorts the tags of a namespace, and leaves out those up to the marker.
func pageOfTags(list []metadata.Definition, q url.Values) ([]metadata.Definition, error) {
	var by func(a, b metadata.Definition) int
	switch key := q.Get("sort_key"); key {
	case "", "created_at", "id":
		by = func(a, b metadata.Definition) int { return a.CreatedAt.Compare(b.CreatedAt) }
	case "updated_at":
		by = func(a, b metadata.Definition) int { return a.UpdatedAt.Compare(b.UpdatedAt) }
	case "name":
		by = func(a, b metadata.Definition) int { return cmp.Compare(a.Name, b.Name) }
	default:
		return nil, badField("sort_key", key, "expected name, created_at or updated_at")
	}
	slices.SortStableFunc(list, by)
	if q.Get("sort_dir") != "asc" {
		slices.Reverse(list)
	}
	marker := q.Get("marker")
	if marker == "" {
		return list, nil
	}
	i := slices.IndexFunc(list, func(d metadata.Definition) bool { return d.Name == marker })
	if i < 0 {
		return nil, notFound("tag", marker)
	}
	return list[i+1:], nil
}

// createTags replaces all tags of a namespace, or with X-OpenStack-Append adds to them.
// An empty list changes nothing.
func (a *api) createTags(w http.ResponseWriter, r *http.Request) error {
	in, err := parsed(r, metadef.ParseTags)
	if err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "add_metadef_tags")
	if err != nil {
		return err
	}
	if len(in) > 0 {
		instead := !isTrue(r.Header.Get("X-Openstack-Append"))
		if in, err = a.Catalogue.Define(r.Context(), ns.ID, metadata.TagDefinition, instead, in...); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusCreated, map[string]any{"tags": metadef.OfTags(in)})
	return nil
}

// createTag adds the tag that the path names. There is no body.
func (a *api) createTag(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("tag")
	if err := metadef.CheckName("tag", name); err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "add_metadef_tag")
	if err != nil {
		return err
	}
	out, err := a.Catalogue.Define(r.Context(), ns.ID, metadata.TagDefinition, false, metadata.Definition{Name: name})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, metadef.OfTag(out[0]))
	return nil
}

func (a *api) showTag(w http.ResponseWriter, r *http.Request) error {
	_, d, err := a.oneDefinition(r, metadata.TagDefinition, "get_metadef_tag")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, metadef.OfTag(d))
	return nil
}

func (a *api) updateTag(w http.ResponseWriter, r *http.Request) error {
	_, d, err := a.changeDefinition(r, metadata.TagDefinition, "modify_metadef_tag", metadef.ParseTag)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, metadef.OfTag(d))
	return nil
}
