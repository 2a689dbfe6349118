package api

import (
	"fmt"
	"slices"
	"strings"

	"ingest/api/wire"
	"ingest/internal/schemas"
)

// imageInput is the schema of an image's members in an input: those of the schema of
// images that clients set, as tight as parseImage is, without some.
func (a *api) imageInput(except ...string) object {
	named := schemas.Image(a.schemaOptions())["properties"].(object)
	refused := slices.Sorted(slices.Values(slices.Concat(wire.NotSettable(), except)))
	for _, name := range refused {
		delete(named, name)
	}
	for name, p := range named {
		tighten(name, p.(object))
	}
	return object{
		"type": "object", "properties": named,
		"additionalProperties": about("A free property", without(nul, maxValue)),
		"propertyNames": object{
			"minLength": 1, "maxLength": maxName,
			"not": object{"anyOf": []object{{"enum": refused}, {"pattern": controls}, {"pattern": "^" + anyCase(reservedPrefix)}}},
		},
	}
}

// tighten adds to a member's schema what clients need not know to show an image, and takes
// away what only Glance's clients know.
func tighten(name string, p object) {
	delete(p, "is_base")
	switch name {
	case "id":
		p["type"], p["format"] = []string{"null", "string"}, "uuid"
	case "name":
		p["maxLength"], p["not"] = maxName, lacks(controls)
	case "owner":
		p["maxLength"], p["pattern"] = maxOwner, "^["+strings.ReplaceAll(idAlphabet, "-", `\-`)+"]*$"
		p["description"] = "Project that owns the image, which is the caller's"
	case "disk_format", "container_format":
		p["enum"] = append(p["enum"].([]any), "") // some clients send it for null
	case "visibility", "protected":
	case "os_hidden":
		p["const"], p["description"] = false, "An image can be hidden when it is there"
	case "tags":
		p["items"] = without(controls, maxName)
		p["description"] = fmt.Sprintf("Words that the image can be found by, at most %d different ones", maxTags)
	case "min_disk", "min_ram":
		p["minimum"], p["maximum"] = 0, maxMinimum
	default:
		tightenFree(p)
	}
}

// tightenFree adds to the schema of a free property what holds for all of them.
func tightenFree(p object) {
	if p["maxLength"] == nil {
		p["maxLength"] = maxValue
	}
	if p["not"] == nil {
		p["not"] = lacks(nul)
	}
}
