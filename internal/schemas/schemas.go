package schemas

import (
	"maps"
)

// An Object is a JSON object.
type Object = map[string]any

// A list is a JSON array.
type list = []any

// Options say what a server is able to do.
type Options struct {
	// Stores says that images may lie in several stores.
	Stores bool
	// DiskFormats and ContainerFormats are those that an image may have.
	DiskFormats, ContainerFormats []string
	// Image are further properties of images, by name; nil means WellKnown.
	Image map[string]Object
}

// All returns every schema by its path below /v2/schemas.
func All(o Options) map[string]Object {
	return map[string]Object{
		"image":                   Image(o),
		"images":                  collection("images", Image(o), true),
		"member":                  member(),
		"members":                 collection("members", member(), false),
		"task":                    task(true),
		"tasks":                   collection("tasks", task(false), false),
		"metadefs/namespace":      Namespace(),
		"metadefs/namespaces":     collection("namespaces", Namespace(), true),
		"metadefs/resource_type":  Association(),
		"metadefs/resource_types": collection("resource_type_associations", Association(), true),
		"metadefs/property":       Property(),
		"metadefs/properties":     propertyCollection(),
		"metadefs/object":         Definition(),
		"metadefs/objects":        collection("objects", Definition(), true),
		"metadefs/tag":            Tag(),
		"metadefs/tags":           collection("tags", Tag(), true),
	}
}

// collection is the schema of a list of things. Paged ones have links to their first
// and next page. The definitions of the thing stand with the list.
func collection(name string, item Object, paged bool) Object {
	return listing(name, item, Object{"type": "array"}, "items", paged)
}

func listing(name string, item, holder Object, key string, paged bool) Object {
	item = maps.Clone(item)
	definitions, has := item["definitions"]
	delete(item, "definitions")
	holder[key] = item
	properties := Object{name: holder, "schema": text()}
	links := list{link("describedby", "{schema}")}
	if paged {
		properties["first"], properties["next"] = text(), text()
		links = list{link("first", "{first}"), link("next", "{next}"), links[0]}
	}
	out := Object{"name": name, "properties": properties, "links": links}
	if has {
		out["definitions"] = definitions
	}
	return out
}

func link(rel, href string) Object { return Object{"rel": rel, "href": href} }

func text() Object { return Object{"type": "string"} }

// about adds a description.
func about(o Object, description string) Object {
	o["description"] = description
	return o
}

// shown marks what only the server sets.
func shown(o Object) Object {
	o["readOnly"] = true
	return o
}

// limited is a text of at most so many characters.
func limited(most int) Object { return Object{"type": "string", "maxLength": most} }

// orNull is a value of the type, or null.
func orNull(kind string) Object { return Object{"type": list{"null", kind}} }

func oneOf(values ...string) list {
	out := make(list, 0, len(values))
	for _, v := range values {
		out = append(out, v)
	}
	return out
}

// uuidPattern is how ids look.
const uuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
