package api

import (
	"slices"

	"ingest/internal/contract"
)

// cloneSchema describes what cloneInput reads.
func (a *api) cloneSchema() object {
	image := a.imageInput(clonesOwn...)
	image["type"] = []string{"null", "object"}
	image["properties"].(object)["visibility"].(object)["default"] = "private"
	priority := object{"type": []string{"null", "integer"}, "minimum": contract.MinPriority, "maximum": contract.MaxPriority, "default": contract.DefaultPriority}
	out := schemaOfInput("Input of a task of type "+contract.TypeClone, "An image of another image service, which is taken over as it is. Null is as leaving a member out.", object{
		"source":                  a.cloneSourceSchema(),
		"same_id":                 about("Whether the clone has the id of its source", orNull("boolean")),
		"image_id":                about("Id of the clone; beside same_id, that of its source", saidOrNot(lowerID())),
		"image_properties":        about("Members of the image that are to be other than at the source", image),
		"stores":                  about("Stores that the bytes go to, the first one first; the default store without them", a.storesInput()),
		"all_stores":              about("Whether the bytes go to every store that takes some", orNull("boolean")),
		"all_stores_must_succeed": about("Whether one store's failure is that of the task; true unless it is said", orNull("boolean")),
		"priority":                about("Place among the tasks that wait; the highest goes first", priority),
	}, "source")
	out["not"] = about("Stores beside all_stores", object{
		"required":   []string{"stores", "all_stores"},
		"properties": object{"stores": object{"type": "array", "minItems": 1}, "all_stores": object{"const": true}},
	})
	return out
}

// cloneSourceSchema describes the image that is cloned. Its image service is named in one
// of three ways.
func (a *api) cloneSourceSchema() object {
	url := object{"type": "string", "format": "uri", "pattern": webURL(`(/[^?#]*)?\??`), "not": lacks(controls)}
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"image_id"},
		"description": "The image, and the image service that has it: by url, by region, or by the credential of its cloud alone",
		"properties": object{
			"image_id":   about("Id of the image there", lowerID()),
			"url":        about("URL of the image service, without user, query and fragment", saidOrNot(url)),
			"region":     about("One that the operator has named, with the operator's credential", orNull("string")),
			"credential": about("Name of a credential of the server", saidOrNot(without(controls, maxName))),
		},
		"oneOf": []object{
			{"required": []string{"url"}, "properties": object{"url": said(), "region": unsaid()}},
			{"required": []string{"region"}, "properties": object{"region": said(), "url": unsaid(), "credential": unsaid()}},
			{"required": []string{"credential"}, "properties": object{"credential": said(), "url": unsaid(), "region": unsaid()}},
		},
	}
}

// storesInput are the stores that can be written to.
func (a *api) storesInput() object {
	names := slices.DeleteFunc(slices.Clone(a.Stores), func(s string) bool { return slices.Contains(a.ReadOnly, s) })
	return object{"type": []string{"null", "array"}, "items": oneOfTexts(names), "uniqueItems": true, "maxItems": contract.MaxStores}
}
