package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"ingest/api/wire"
	"ingest/internal/bandwidth"
)

// A schemaSet holds the schemas of Go types by name: what the document describes is what
// the server marshals.
type schemaSet map[string]object

// Types that write themselves.
var (
	timeType  = reflect.TypeFor[time.Time]()
	rawType   = reflect.TypeFor[json.RawMessage]()
	imageType = reflect.TypeFor[wire.Image]()
	rateType  = reflect.TypeFor[bandwidth.Rate]()
	errorBody = wire.ErrorBody{}
)

// output is the schema of what the server writes: members that are always there are
// required.
func (s schemaSet) output(v any) object { return s.of(reflect.TypeOf(v), false) }

// input is the schema of what the server reads: members that it does not know are
// refused, and which ones are needed is said by the answer to one without them.
func (s schemaSet) input(v any) object { return s.of(reflect.TypeOf(v), true) }

func (s schemaSet) of(t reflect.Type, in bool) object {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == rawType || t.Kind() == reflect.Interface:
		return object{}
	case t == imageType:
		return s.image()
	case t == rateType && in: // and a number is what is written
		return object{"anyOf": []object{{"type": "integer"}, {"type": "string"}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), in)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem(), in)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem(), in)}
	case reflect.Struct:
		return s.ref(t, in)
	}
	return object{}
}

// ref refers to the schema of a struct, and makes it.
func (s schemaSet) ref(t reflect.Type, in bool) object {
	name := t.Name()
	if in {
		name += "Input"
	}
	if _, known := s[name]; !known {
		one := object{"type": "object"}
		s[name] = one // a type may hold itself
		members, required := object{}, []string{}
		s.members(t, in, members, &required)
		one["properties"] = members
		if in {
			one["additionalProperties"] = false
		} else if len(required) > 0 {
			one["required"] = required
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// members adds those of a struct, and of the structs embedded in it.
func (s schemaSet) members(t reflect.Type, in bool, into object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && tag == "":
			s.members(f.Type, in, into, required)
			continue
		case tag == "":
			tag = f.Name
		}
		optional := strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero")
		one := s.of(f.Type, in)
		if nullable(f.Type) && !optional {
			one = object{"anyOf": []object{one, {"type": "null"}}}
		}
		into[tag] = one
		if !optional {
			*required = append(*required, tag)
		}
	}
}

// nullable reports whether nil is written as null.
func nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return t != rawType
	}
	return false
}

// image is Glance's object of an image, in which free properties stand beside the others.
func (s schemaSet) image() object {
	text, number, flag := object{"type": "string"}, object{"type": "integer"}, object{"type": "boolean"}
	maybe := func(of object) object { return object{"anyOf": []object{of, {"type": "null"}}} }
	s["Image"] = object{
		"type": "object", "description": "An image of the OpenStack Image API v2, whose free properties are strings beside its own members.",
		"required": []string{"id", "status", "visibility", "protected", "tags", "created_at", "updated_at", "self", "file", "schema"},
		"properties": object{
			"id": text, "name": maybe(text), "status": text, "visibility": text, "protected": flag, "os_hidden": flag, "owner": maybe(text),
			"tags": object{"type": "array", "items": text}, "disk_format": maybe(text), "container_format": maybe(text),
			"min_disk": number, "min_ram": number, "size": maybe(number), "virtual_size": maybe(number),
			"checksum": maybe(text), "os_hash_algo": maybe(text), "os_hash_value": maybe(text), "content_digest": text, "stores": text,
			"created_at": object{"type": "string", "format": "date-time"}, "updated_at": object{"type": "string", "format": "date-time"},
			"self": text, "file": text, "schema": text,
		},
		"additionalProperties": true,
	}
	return object{"$ref": "#/components/schemas/Image"}
}
