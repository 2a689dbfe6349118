package metadef

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"ingest/metadata"
)

// Where the API has namespaces, and the schemas of what it answers.
const (
	NamespacesPath = "/v2/metadefs/namespaces"
	SchemasPath    = "/v2/schemas/metadefs/"
)

// Path is that of a namespace, or of something in it.
func Path(namespace string, more ...string) string {
	out := NamespacesPath + "/" + url.PathEscape(namespace)
	for _, m := range more {
		out += "/" + url.PathEscape(m)
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(TimeFormat) }

// OfNamespace is what a namespace says of itself.
func OfNamespace(ns metadata.Namespace) Namespace {
	return Namespace{
		Namespace: ns.Name, DisplayName: ns.DisplayName, Description: ns.Description, Visibility: ns.Visibility,
		Protected: &ns.Protected, Owner: &ns.Owner, CreatedAt: stamp(ns.CreatedAt), UpdatedAt: stamp(ns.UpdatedAt),
		Self: Path(ns.Name), Schema: SchemasPath + "namespace",
	}
}

// OfAssociation is an association with its times.
func OfAssociation(a metadata.Association) Association {
	return Association{Name: a.ResourceType, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget, CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt)}
}

// OfAssociations are several.
func OfAssociations(list []metadata.Association) []Association {
	out := make([]Association, 0, len(list))
	for _, a := range list {
		out = append(out, OfAssociation(a))
	}
	return out
}

// OfProperty is a property as it was given. With named it has its name inside.
func OfProperty(d metadata.Definition, named bool) (Property, error) {
	var p Property
	err := decode("property", d.Name, d.Document, &p)
	if named {
		p.Name = &d.Name
	}
	return p, err
}

// OfProperties are several, by name.
func OfProperties(list []metadata.Definition) (map[string]Property, error) {
	out := make(map[string]Property, len(list))
	for _, d := range list {
		p, err := OfProperty(d, false)
		if err != nil {
			return nil, err
		}
		out[d.Name] = p
	}
	return out, nil
}

// OfObject is an object of a namespace. As in Glance, what is read has its members even
// where they are empty, what was just written only those that were given.
func OfObject(namespace string, d metadata.Definition, read bool) (Object, error) {
	var o Object
	if err := decode("object", d.Name, d.Document, &o); err != nil {
		return o, err
	}
	if read && o.Required == nil {
		o.Required = []string{}
	}
	if read && o.Properties == nil {
		o.Properties = map[string]Property{}
	}
	o.Name, o.CreatedAt, o.UpdatedAt = d.Name, stamp(d.CreatedAt), stamp(d.UpdatedAt)
	o.Self, o.Schema = Path(namespace, "objects", d.Name), SchemasPath+"object"
	return o, nil
}

// OfTag is a tag with its times.
func OfTag(d metadata.Definition) Tag {
	return Tag{Name: d.Name, CreatedAt: stamp(d.CreatedAt), UpdatedAt: stamp(d.UpdatedAt)}
}

// OfTags are several, by their names alone.
func OfTags(list []metadata.Definition) []Tag {
	out := make([]Tag, 0, len(list))
	for _, d := range list {
		out = append(out, Tag{Name: d.Name})
	}
	return out
}

// OfObjects are several, by name.
func OfObjects(namespace string, list []metadata.Definition) ([]Object, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b metadata.Definition) int { return strings.Compare(a.Name, b.Name) })
	out := make([]Object, 0, len(list))
	for _, d := range list {
		o, err := OfObject(namespace, d, true)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// OfWhole is a namespace with everything in it, as it is read: objects by name, the
// newest tag first.
func OfWhole(w metadata.WholeNamespace) (Namespace, error) {
	out := OfNamespace(w.Namespace)
	out.Associations = OfAssociations(w.Associations)
	var err error
	if out.Properties, err = OfProperties(w.Of(metadata.PropertyDefinition)); err != nil {
		return out, err
	}
	out.Objects, err = OfObjects(w.Name, w.Of(metadata.ObjectDefinition))
	out.Tags = OfTags(w.Of(metadata.TagDefinition))
	slices.Reverse(out.Tags)
	return out, err
}

// OfCreated is a namespace as it was just made: what is in it has no times, and no links.
func OfCreated(w metadata.WholeNamespace) (Namespace, error) {
	out := OfNamespace(w.Namespace)
	if err := out.fill(w, false); err != nil {
		return out, err
	}
	return out, nil
}

// Exported is a namespace as files have it: without what this catalogue alone knows.
func Exported(w metadata.WholeNamespace) (Namespace, error) {
	out := Namespace{
		Namespace: w.Name, DisplayName: w.DisplayName, Description: w.Description, Visibility: w.Visibility,
		Protected: &w.Protected, Owner: &w.Owner,
	}
	return out, out.fill(w, false)
}

// fill adds what is in a namespace, as it was given.
func (n *Namespace) fill(w metadata.WholeNamespace, read bool) (err error) {
	for _, a := range w.Associations {
		n.Associations = append(n.Associations, Association{Name: a.ResourceType, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget})
	}
	if n.Properties, err = OfProperties(w.Of(metadata.PropertyDefinition)); err != nil {
		return err
	}
	for _, d := range w.Of(metadata.ObjectDefinition) {
		o, err := OfObject(w.Name, d, read)
		if err != nil {
			return err
		}
		o.CreatedAt, o.UpdatedAt, o.Self, o.Schema = "", "", "", ""
		n.Objects = append(n.Objects, o)
	}
	n.Tags = OfTags(w.Of(metadata.TagDefinition))
	return nil
}

// Prefixed is the namespace as it is for resources of a type: the names of properties
// have the prefix of the association.
func (n Namespace) Prefixed(resourceType string) Namespace {
	i := slices.IndexFunc(n.Associations, func(a Association) bool { return a.Name == resourceType })
	if i < 0 || n.Associations[i].Prefix == nil {
		return n
	}
	prefix := *n.Associations[i].Prefix
	n.Properties = prefixed(prefix, n.Properties)
	n.Objects = slices.Clone(n.Objects)
	for i, o := range n.Objects {
		o.Properties = prefixed(prefix, o.Properties)
		o.Required = slices.Clone(o.Required)
		for j := range o.Required {
			o.Required[j] = prefix + o.Required[j]
		}
		n.Objects[i] = o
	}
	return n
}

func prefixed(prefix string, in map[string]Property) map[string]Property {
	out := make(map[string]Property, len(in))
	for name, p := range in {
		out[prefix+name] = p
	}
	return out
}

// Unprefixed takes the prefix of an association from a property's name; false says that
// the name has none.
func Unprefixed(a metadata.Association, name string) (string, bool) {
	if a.Prefix == nil || *a.Prefix == "" {
		return name, false
	}
	return strings.CutPrefix(name, *a.Prefix)
}
