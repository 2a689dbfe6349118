package api

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"ingest/internal/access"
	"ingest/internal/metadef"
	"ingest/metadata"
)

// metadefRoutes are those of metadata definitions, which are Glance's.
func (a *api) metadefRoutes() []route {
	const (
		namespaces = metadef.NamespacesPath
		one        = namespaces + "/{namespace}"
		types      = one + "/resource_types"
		properties = one + "/properties"
		objects    = one + "/objects"
		tags       = one + "/tags"
	)
	return []route{
		{"GET", "/v2/metadefs/resource_types", a.listResourceTypes},
		{"GET", namespaces, a.listNamespaces},
		{"POST", namespaces, a.createNamespace},
		{"GET", one, a.showNamespace},
		{"PUT", one, a.updateNamespace},
		{"DELETE", one, a.deleteNamespace},
		{"GET", types, a.listAssociations},
		{"POST", types, a.createAssociation},
		{"DELETE", types + "/{type}", a.deleteAssociation},
		{"GET", properties, a.listProperties},
		{"POST", properties, a.createProperty},
		{"DELETE", properties, a.deleteDefinitions(metadata.PropertyDefinition)},
		{"GET", properties + "/{property}", a.showProperty},
		{"PUT", properties + "/{property}", a.updateProperty},
		{"DELETE", properties + "/{property}", a.deleteDefinition(metadata.PropertyDefinition, "remove_metadef_property")},
		{"GET", objects, a.listObjects},
		{"POST", objects, a.createObject},
		{"DELETE", objects, a.deleteDefinitions(metadata.ObjectDefinition)},
		{"GET", objects + "/{object}", a.showObject},
		{"PUT", objects + "/{object}", a.updateObject},
		{"DELETE", objects + "/{object}", a.deleteDefinition(metadata.ObjectDefinition, "delete_metadef_object")},
		{"GET", tags, a.listTags},
		{"POST", tags, a.createTags},
		{"DELETE", tags, a.deleteDefinitions(metadata.TagDefinition, "delete_metadef_tags")},
		{"GET", tags + "/{tag}", a.showTag},
		{"POST", tags + "/{tag}", a.createTag},
		{"PUT", tags + "/{tag}", a.updateTag},
		{"DELETE", tags + "/{tag}", a.deleteDefinition(metadata.TagDefinition, "delete_metadef_tag")},
	}
}

// namespaceTarget is a namespace as rules see it.
func namespaceTarget(ns metadata.Namespace) access.Target {
	t := access.NewTarget(ns.Owner)
	t.Set("visibility", ns.Visibility)
	t.Set("namespace", ns.Name)
	t.SetBool("protected", ns.Protected)
	return t
}

// seesNamespace reports whether a namespace exists for the caller.
func (a *api) seesNamespace(r *http.Request, ns metadata.Namespace) bool {
	c := caller(r)
	if ns.Visibility != "public" && (c.Project == "" || ns.Owner != c.Project) && !a.administers(r) {
		return false
	}
	return a.Access().Allows("get_metadef_namespace", c, namespaceTarget(ns))
}

// namespaceFor returns the namespace that a path names, if the caller may do with it
// what the rules say. One that the caller may not even see is answered like one that
// does not exist.
func (a *api) namespaceFor(r *http.Request, rules ...string) (metadata.Namespace, error) {
	name := r.PathValue("namespace")
	ns, err := a.Catalogue.Namespace(r.Context(), name)
	if err != nil {
		return metadata.Namespace{}, unseen(err, "namespace", name)
	}
	if !a.seesNamespace(r, ns) {
		return metadata.Namespace{}, notFound("namespace", name)
	}
	for _, rule := range rules {
		if err := a.judge(r, rule, namespaceTarget(ns)); err != nil {
			return metadata.Namespace{}, err
		}
	}
	return ns, nil
}

// body reads a request's body, which the middleware has bounded.
func body(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return nil, bodyError(err)
	case len(raw) == 0:
		return nil, bodyError(io.EOF)
	}
	return raw, nil
}

// parsed reads a body with one of the functions of package metadef.
func parsed[T any](r *http.Request, parse func([]byte) (T, error)) (T, error) {
	raw, err := body(r)
	if err != nil {
		var none T
		return none, err
	}
	return parse(raw)
}

// checkListing refuses a sort order, a visibility or a limit that is none. Properties,
// objects and tags have no visibility; Glance judges the filter all the same.
func checkListing(q url.Values, least int, visibilities ...string) (limit int, err error) {
	if dir := q.Get("sort_dir"); q.Has("sort_dir") && dir != "asc" && dir != "desc" {
		return 0, badField("sort_dir", dir, "expected asc or desc")
	}
	if v := q.Get("visibility"); v != "" && !slices.Contains(visibilities, v) {
		return 0, badField("visibility", v, "there is no such visibility")
	}
	limit = -1
	if s := q.Get("limit"); q.Has("limit") {
		limit, err = strconv.Atoi(s)
		if err != nil || limit < least {
			return 0, badField("limit", s, "expected a number, %d or greater", least)
		}
	}
	return limit, nil
}

// deleteDefinition removes one thing of a namespace.
func (a *api) deleteDefinition(kind metadata.DefinitionKind, rule string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ns, err := a.namespaceFor(r, rule)
		if err != nil {
			return err
		}
		if err := a.Catalogue.Undefine(r.Context(), ns.ID, kind, r.PathValue(string(kind))); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// deleteDefinitions removes all things of a kind from a namespace. As in Glance it takes
// the right to delete the namespace.
func (a *api) deleteDefinitions(kind metadata.DefinitionKind, rules ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ns, err := a.namespaceFor(r, append([]string{"delete_metadef_namespace"}, rules...)...)
		if err != nil {
			return err
		}
		if err := a.Catalogue.Undefine(r.Context(), ns.ID, kind, ""); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// oneDefinition returns the thing that a path names.
func (a *api) oneDefinition(r *http.Request, kind metadata.DefinitionKind, rule string) (metadata.Namespace, metadata.Definition, error) {
	ns, err := a.namespaceFor(r, rule)
	if err != nil {
		return ns, metadata.Definition{}, err
	}
	d, err := a.Catalogue.Definition(r.Context(), ns.ID, kind, r.PathValue(string(kind)))
	return ns, d, err
}

// addDefinition adds what a body holds to the namespace that a path names.
func (a *api) addDefinition(r *http.Request, kind metadata.DefinitionKind, rule string, parse func([]byte) (metadata.Definition, error)) (metadata.Namespace, metadata.Definition, error) {
	in, err := parsed(r, parse)
	if err != nil {
		return metadata.Namespace{}, in, err
	}
	ns, err := a.namespaceFor(r, rule)
	if err != nil {
		return ns, in, err
	}
	out, err := a.Catalogue.Define(r.Context(), ns.ID, kind, false, in)
	if err != nil {
		return ns, in, err
	}
	return ns, out[0], nil
}

// changeDefinition replaces the thing that a path names by what a body holds.
func (a *api) changeDefinition(r *http.Request, kind metadata.DefinitionKind, rule string, parse func([]byte) (metadata.Definition, error)) (metadata.Namespace, metadata.Definition, error) {
	in, err := parsed(r, parse)
	if err != nil {
		return metadata.Namespace{}, in, err
	}
	ns, err := a.namespaceFor(r, rule)
	if err != nil {
		return ns, in, err
	}
	out, err := a.Catalogue.Redefine(r.Context(), ns.ID, kind, r.PathValue(string(kind)), in)
	return ns, out, err
}

// isTrue reads a truth value as OpenStack's services do.
func isTrue(s string) bool {
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, lower(s))
}
