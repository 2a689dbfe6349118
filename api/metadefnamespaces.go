package api

import (
	"net/http"
	"strings"

	"ingest/internal/metadef"
	"ingest/metadata"
)

// maxResourceTypes is how many types of resources a filter names.
const maxResourceTypes = 64

// A namespaceList is one page of namespaces.
type namespaceList struct {
	Namespaces []metadef.Namespace `json:"namespaces"`
	Schema     string              `json:"schema"`
	First      string              `json:"first"`
	Next       string              `json:"next,omitempty"`
}

func (a *api) listNamespaces(w http.ResponseWriter, r *http.Request) error {
	for _, rule := range []string{"get_metadef_namespaces", "list_metadef_resource_types"} {
		if err := a.mayAct(r, rule); err != nil {
			return err
		}
	}
	f, err := a.namespaceFilter(r)
	if err != nil {
		return err
	}
	limit := f.Limit
	f.Limit++ // one more says whether there is a next page
	list, err := a.Catalogue.Namespaces(r.Context(), f)
	if err != nil {
		return err
	}
	out := namespaceList{Namespaces: []metadef.Namespace{}, Schema: metadef.SchemasPath + "namespaces", First: firstURL(r)}
	if len(list) > limit {
		list = list[:limit]
		if limit > 0 {
			out.Next = nextURL(r, list[limit-1].Name)
		}
	}
	for _, ns := range list {
		if !a.seesNamespace(r, ns.Namespace) {
			continue // a rule of the operator hides it
		}
		shown := metadef.OfNamespace(ns.Namespace)
		shown.Associations = metadef.OfAssociations(ns.Associations)
		out.Namespaces = append(out.Namespaces, shown)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// namespaceFilter reads which namespaces are asked for. One that is private to another
// project is no marker either.
func (a *api) namespaceFilter(r *http.Request) (metadata.NamespaceFilter, error) {
	q := r.URL.Query()
	limit, err := checkListing(q, 0, "public", "private")
	if err != nil {
		return metadata.NamespaceFilter{}, err
	}
	if limit < 0 {
		limit = defaultLimit
	}
	f := metadata.NamespaceFilter{
		Visibility: q.Get("visibility"), SortKey: q.Get("sort_key"), Ascending: q.Get("sort_dir") == "asc",
		Marker: q.Get("marker"), Limit: min(limit, maxLimit),
	}
	if !a.administers(r) {
		// Whoever is of no project sees what is public.
		f.SeenBy = caller(r).Project
		if f.SeenBy == "" && f.Visibility == "" {
			f.Visibility = "public"
		}
	}
	if q.Has("resource_types") {
		f.ResourceTypes = strings.Split(q.Get("resource_types"), ",")
		if len(f.ResourceTypes) > maxResourceTypes {
			return f, badField("resource_types", "", "at most %d are looked for at once", maxResourceTypes)
		}
	}
	if f.Marker == "" {
		return f, nil
	}
	ns, err := a.Catalogue.Namespace(r.Context(), f.Marker)
	if err == nil && !a.seesNamespace(r, ns) {
		err = notFound("namespace", f.Marker)
	}
	return f, unseen(err, "namespace", f.Marker)
}

func (a *api) createNamespace(w http.ResponseWriter, r *http.Request) error {
	in, err := parsed(r, metadef.ParseNamespace)
	if err != nil {
		return err
	}
	if in.Owner == "" {
		in.Owner = caller(r).Project
	}
	rules := []string{"add_metadef_namespace"}
	if len(in.Associations) > 0 {
		rules = append(rules, "add_metadef_resource_type_association")
	}
	for _, c := range []struct {
		kind metadata.DefinitionKind
		rule string
	}{{metadata.ObjectDefinition, "add_metadef_object"}, {metadata.PropertyDefinition, "add_metadef_property"}, {metadata.TagDefinition, "add_metadef_tag"}} {
		if len(in.Of(c.kind)) > 0 {
			rules = append(rules, c.rule)
		}
	}
	for _, rule := range rules {
		if err := a.mayAct(r, rule); err != nil {
			return err
		}
	}
	made, err := a.Catalogue.CreateNamespace(r.Context(), in)
	if err != nil {
		return err
	}
	out, err := metadef.OfCreated(made)
	if err != nil {
		return err
	}
	w.Header().Set("Location", out.Self)
	writeJSON(w, http.StatusCreated, out)
	return nil
}

func (a *api) showNamespace(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r)
	if err != nil {
		return err
	}
	for _, rule := range []string{"list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags"} {
		if err := a.judge(r, rule, namespaceTarget(ns)); err != nil {
			return err
		}
	}
	if _, err := checkListing(r.URL.Query(), 0, "public", "private"); err != nil {
		return err
	}
	whole, err := a.Catalogue.WholeNamespace(r.Context(), ns.ID)
	if err != nil {
		return err
	}
	out, err := metadef.OfWhole(whole)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out.Prefixed(r.URL.Query().Get("resource_type")))
	return nil
}

// updateNamespace replaces what a namespace says of itself. What the body leaves out
// goes back to what it is in a new one; what is in the namespace stays, whatever the body
// says of it.
func (a *api) updateNamespace(w http.ResponseWriter, r *http.Request) error {
	in, err := parsed(r, metadef.ParseNamespace)
	if err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "modify_metadef_namespace")
	if err != nil {
		return err
	}
	in.ID = ns.ID
	if in.Visibility == "" {
		in.Visibility = "private"
	}
	if in.Owner == "" {
		in.Owner = caller(r).Project
	}
	out, err := a.Catalogue.UpdateNamespace(r.Context(), in.Namespace)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, metadef.OfNamespace(out))
	return nil
}

func (a *api) deleteNamespace(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r, "delete_metadef_namespace")
	if err != nil {
		return err
	}
	if err := a.Catalogue.DeleteNamespace(r.Context(), ns.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
