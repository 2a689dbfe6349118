package api

import (
	"net/http"
	"slices"

	"ingest/internal/metadef"
	"ingest/metadata"
)

func (a *api) listResourceTypes(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "list_metadef_resource_types"); err != nil {
		return err
	}
	list, err := a.Catalogue.ResourceTypes(r.Context())
	if err != nil {
		return err
	}
	out := make([]metadef.Association, 0, len(list))
	for _, t := range list {
		out = append(out, metadef.OfAssociation(metadata.Association{ResourceType: t.Name, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}))
	}
	writeJSON(w, http.StatusOK, map[string]any{"resource_types": out})
	return nil
}

func (a *api) listAssociations(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r, "list_metadef_resource_types")
	if err != nil {
		return err
	}
	list, err := a.Catalogue.Associations(r.Context(), ns.ID)
	if err != nil {
		return err
	}
	if !a.Access().Allows("get_metadef_resource_type", caller(r), namespaceTarget(ns)) {
		list = nil
	}
	writeJSON(w, http.StatusOK, map[string]any{"resource_type_associations": metadef.OfAssociations(list)})
	return nil
}

func (a *api) createAssociation(w http.ResponseWriter, r *http.Request) error {
	in, err := parsed(r, metadef.ParseAssociation)
	if err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "add_metadef_resource_type_association")
	if err != nil {
		return err
	}
	in.NamespaceID = ns.ID
	out, err := a.Catalogue.Associate(r.Context(), in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, metadef.OfAssociation(out))
	return nil
}

func (a *api) deleteAssociation(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r, "remove_metadef_resource_type_association")
	if err != nil {
		return err
	}
	if err := a.Catalogue.Dissociate(r.Context(), ns.ID, r.PathValue("type")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) listProperties(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r, "get_metadef_properties")
	if err != nil {
		return err
	}
	list, err := a.Catalogue.Definitions(r.Context(), ns.ID, metadata.PropertyDefinition)
	if err != nil {
		return err
	}
	out, err := metadef.OfProperties(list)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"properties": out})
	return nil
}

// showProperty answers with a property. With ?resource_type= its name in the path has the
// prefix that it has on such resources.
func (a *api) showProperty(w http.ResponseWriter, r *http.Request) error {
	ns, err := a.namespaceFor(r, "get_metadef_property")
	if err != nil {
		return err
	}
	name := r.PathValue("property")
	if kind := r.URL.Query().Get("resource_type"); kind != "" {
		if name, err = a.unprefixed(r, ns, kind, name); err != nil {
			return err
		}
	}
	d, err := a.Catalogue.Definition(r.Context(), ns.ID, metadata.PropertyDefinition, name)
	if err != nil {
		return err
	}
	return writeProperty(w, http.StatusOK, d)
}

func (a *api) unprefixed(r *http.Request, ns metadata.Namespace, kind, name string) (string, error) {
	if err := a.judge(r, "get_metadef_resource_type", namespaceTarget(ns)); err != nil {
		return "", err
	}
	ties, err := a.Catalogue.Associations(r.Context(), ns.ID)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(ties, func(t metadata.Association) bool { return t.ResourceType == kind })
	if i < 0 {
		return "", notFound("association with resource type", kind)
	}
	short, ok := metadef.Unprefixed(ties[i], name)
	if !ok {
		return "", notFound("property of this prefix:", name)
	}
	return short, nil
}

func writeProperty(w http.ResponseWriter, status int, d metadata.Definition) error {
	p, err := metadef.OfProperty(d, true)
	if err == nil {
		writeJSON(w, status, p)
	}
	return err
}

func (a *api) createProperty(w http.ResponseWriter, r *http.Request) error {
	_, d, err := a.addDefinition(r, metadata.PropertyDefinition, "add_metadef_property", metadef.ParseProperty)
	if err != nil {
		return err
	}
	return writeProperty(w, http.StatusCreated, d)
}

func (a *api) updateProperty(w http.ResponseWriter, r *http.Request) error {
	_, d, err := a.changeDefinition(r, metadata.PropertyDefinition, "modify_metadef_property", metadef.ParseProperty)
	if err != nil {
		return err
	}
	return writeProperty(w, http.StatusOK, d)
}

// listObjects answers with all objects: they are not paged, as in Glance.
func (a *api) listObjects(w http.ResponseWriter, r *http.Request) error {
	if _, err := checkListing(r.URL.Query(), 1, "public", "private", "shared"); err != nil {
		return err
	}
	ns, err := a.namespaceFor(r, "get_metadef_objects")
	if err != nil {
		return err
	}
	list, err := a.Catalogue.Definitions(r.Context(), ns.ID, metadata.ObjectDefinition)
	if err != nil {
		return err
	}
	if !a.Access().Allows("get_metadef_object", caller(r), namespaceTarget(ns)) {
		list = nil
	}
	out, err := metadef.OfObjects(ns.Name, list)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"objects": out, "schema": "v2/schemas/metadefs/objects"})
	return nil
}

func writeObject(w http.ResponseWriter, status int, ns metadata.Namespace, d metadata.Definition, read bool) error {
	o, err := metadef.OfObject(ns.Name, d, read)
	if err == nil {
		writeJSON(w, status, o)
	}
	return err
}

func (a *api) showObject(w http.ResponseWriter, r *http.Request) error {
	ns, d, err := a.oneDefinition(r, metadata.ObjectDefinition, "get_metadef_object")
	if err != nil {
		return err
	}
	return writeObject(w, http.StatusOK, ns, d, true)
}

func (a *api) createObject(w http.ResponseWriter, r *http.Request) error {
	ns, d, err := a.addDefinition(r, metadata.ObjectDefinition, "add_metadef_object", metadef.ParseObject)
	if err != nil {
		return err
	}
	return writeObject(w, http.StatusCreated, ns, d, false)
}

func (a *api) updateObject(w http.ResponseWriter, r *http.Request) error {
	ns, d, err := a.changeDefinition(r, metadata.ObjectDefinition, "modify_metadef_object", metadef.ParseObject)
	if err != nil {
		return err
	}
	return writeObject(w, http.StatusOK, ns, d, false)
}
