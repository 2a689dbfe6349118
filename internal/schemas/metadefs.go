package schemas

// Lengths of the texts of definitions, in characters.
const (
	maxName        = 80
	maxDescription = 500
	maxOwner       = 255
)

// Namespace is the schema of a namespace of definitions, with everything in it.
func Namespace() Object {
	return Object{
		"name": "namespace", "required": oneOf("namespace"), "additionalProperties": false, "definitions": definitions(),
		"properties": Object{
			"namespace":                  about(limited(maxName), "Name of the namespace; no other one has it"),
			"display_name":               about(limited(maxName), "Name of the namespace for people"),
			"description":                about(limited(maxDescription), "What the namespace is about"),
			"visibility":                 about(Object{"type": "string", "enum": oneOf("public", "private")}, "Who sees the namespace"),
			"protected":                  about(Object{"type": "boolean"}, "Whether the namespace and what is in it are safe from deletion"),
			"owner":                      about(limited(maxOwner), "Project that owns the namespace"),
			"created_at":                 moment("When the namespace was made"),
			"updated_at":                 moment("When the namespace was changed last"),
			"schema":                     shown(text()),
			"self":                       shown(text()),
			"resource_type_associations": listOf(Object{"name": text(), "prefix": text(), "properties_target": text()}),
			"properties":                 reference("property"),
			"objects": listOf(Object{"name": text(), "description": text(), "required": reference("stringArray"),
				"properties": reference("property")}),
			"tags": listOf(Object{"name": text()}),
		},
	}
}

// Association is the schema of what ties a namespace to a type of resources.
func Association() Object {
	return Object{
		"name": "resource_type_association", "required": oneOf("name"), "additionalProperties": false,
		"properties": Object{
			"name":              about(limited(maxName), "Type of resources; where Heat has a name for it, that name"),
			"prefix":            about(limited(maxName), "What stands before the names of the namespace's properties on such resources, with the separator, such as hw_"),
			"properties_target": about(limited(maxName), "Which properties of the resource are meant, if it has several kinds, such as image for a volume"),
			"created_at":        moment("When they were tied"),
			"updated_at":        moment("When this was changed last"),
		},
	}
}

// Property is the schema of the definition of one property.
func Property() Object {
	d := definitions()
	delete(d, "property")
	d["stringArray"] = Object{"type": "array", "items": text(), "minItems": 1, "uniqueItems": true}
	return Object{
		"name": "property", "required": oneOf("type", "title", "name"), "additionalProperties": false,
		"properties": propertyMembers(), "definitions": d,
	}
}

// propertyCollection holds properties by their names, so that they need none inside.
func propertyCollection() Object {
	p := Property()
	p["required"] = oneOf("type", "title")
	return listing("properties", p, Object{"type": "object"}, "additionalProperties", true)
}

// Definition is the schema of an object, which is a group of properties.
func Definition() Object {
	return Object{
		"name": "object", "required": oneOf("name"), "additionalProperties": false, "definitions": definitions(),
		"properties": Object{
			"name": limited(maxName), "description": text(),
			"required": reference("stringArray"), "properties": reference("property"),
			"schema": shown(text()), "self": shown(text()),
			"created_at": moment("When the object was made"),
			"updated_at": moment("When the object was changed last"),
		},
	}
}

// Tag is the schema of a tag.
func Tag() Object {
	return Object{
		"name": "tag", "required": oneOf("name"), "additionalProperties": false,
		"properties": Object{
			"name":       limited(maxName),
			"created_at": moment("When the tag was made"),
			"updated_at": moment("When the tag was changed last"),
		},
	}
}

// Tags is the schema of the body that brings several tags at once.
func Tags() Object {
	return Object{
		"name": "tags", "required": oneOf("tags"), "additionalProperties": false,
		"properties": Object{"tags": Object{"type": "array", "items": strict(Object{"name": limited(maxName)}, "name")}},
	}
}

// Strict returns the schema of a namespace, an object or a property by which requests
// are judged. It refuses more than the one that clients see: members that no answer
// could show, things without a name, values that are no texts.
func Strict(schema Object) Object {
	out := clone(schema)
	properties := clone(out["properties"].(Object))
	for name, tight := range map[string]Object{
		"resource_type_associations": {"type": "array", "items": strict(Object{"name": limited(maxName), "prefix": limited(maxName), "properties_target": limited(maxName)}, "name")},
		"tags":                       {"type": "array", "items": strict(Object{"name": limited(maxName)}, "name")},
		"objects": {"type": "array", "items": strict(Object{"name": limited(maxName), "description": text(),
			"required": reference("stringArray"), "properties": reference("property")}, "name")},
	} {
		if _, has := properties[name]; has {
			properties[name] = tight
		}
	}
	out["properties"] = properties
	if out["name"] == "property" {
		out["properties"] = strictMembers()
		return out
	}
	d := definitions()
	d["property"] = Object{"type": "object", "additionalProperties": strict(strictMembers(), "title", "type")}
	out["definitions"] = d
	return out
}

func strictMembers() Object {
	m := propertyMembers()
	delete(m, "required")
	texts := Object{"type": "array", "items": text()}
	m["enum"] = texts
	m["items"] = strict(Object{"type": Object{"type": "string", "enum": types()}, "enum": texts}, "type")
	return m
}

func strict(properties Object, required ...string) Object {
	return Object{"type": "object", "properties": properties, "required": oneOf(required...), "additionalProperties": false}
}

// definitions are what the schemas of namespaces and objects refer to.
func definitions() Object {
	return Object{
		"positiveInteger":         Object{"type": "integer", "minimum": 0},
		"positiveIntegerDefault0": Object{"allOf": list{reference("positiveInteger"), Object{"default": 0}}},
		"stringArray":             Object{"type": "array", "items": text(), "uniqueItems": true},
		"property": Object{"type": "object", "additionalProperties": Object{
			"type": "object", "required": oneOf("title", "type"), "properties": propertyMembers(),
		}},
	}
}

func types() list {
	return append(oneOf("array", "boolean", "integer", "number", "object", "string"), nil)
}

// propertyMembers are the members of a property's definition.
func propertyMembers() Object {
	return Object{
		"name": limited(maxName), "title": text(), "description": text(),
		"operators":       Object{"type": "array", "items": text()},
		"type":            Object{"type": "string", "enum": types()},
		"required":        reference("stringArray"),
		"minimum":         Object{"type": "number"},
		"maximum":         Object{"type": "number"},
		"maxLength":       reference("positiveInteger"),
		"minLength":       reference("positiveIntegerDefault0"),
		"pattern":         Object{"type": "string", "format": "regex"},
		"enum":            Object{"type": "array"},
		"readonly":        Object{"type": "boolean"},
		"default":         Object{},
		"items":           Object{"type": "object", "properties": Object{"type": Object{"type": "string", "enum": types()}, "enum": Object{"type": "array"}}},
		"maxItems":        reference("positiveInteger"),
		"minItems":        reference("positiveIntegerDefault0"),
		"uniqueItems":     Object{"type": "boolean", "default": false},
		"additionalItems": Object{"type": "boolean"},
	}
}

func reference(name string) Object { return Object{"$ref": "#/definitions/" + name} }

func moment(what string) Object {
	return about(shown(Object{"type": "string", "format": "date-time"}), what)
}

func listOf(properties Object) Object {
	return Object{"type": "array", "items": Object{"type": "object", "properties": properties}}
}
