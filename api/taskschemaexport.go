package api

import (
	"fmt"
	"slices"

	"ingest/internal/contract"
)

// exportSchema describes what exportInput reads.
func (a *api) exportSchema() object {
	options := object{
		"type": []string{"null", "object"}, "maxProperties": maxOptions,
		"propertyNames":        object{"minLength": 1, "maxLength": maxOptionName, "not": lacks(controls)},
		"additionalProperties": object{"anyOf": []object{{"type": "null"}, without(controls, maxName)}},
	}
	out := schemaOfInput("Input of a task of type "+contract.TypeExport, "An active image, and where its disk is sent. Null is as leaving a member out.", object{
		"image_id":         about("Id of the image", lowerID()),
		"export_to":        about("URL, or absolute path on the server, without user and fragment; a query that holds a secret is refused unless the operator allows it", a.destinationInput()),
		"export_to_format": about("Format or preset; the stored bytes are sent as they are without one", saidOrNot(oneOfTexts(a.exportFormats()))),
		"export_options":   about("Options of export_to_format, by name", options),
		"credential":       about("Name of a credential of the server for the destination", orNull("string")),
		"overwrite":        about("Whether the destination may be there", orNull("boolean")),
	}, "image_id", "export_to")
	out["allOf"] = append([]object{optionsNeedFormat()}, a.optionsOfFormats()...)
	return out
}

// destinationInput is where this server exports to.
func (a *api) destinationInput() object {
	if len(a.Defaults.Destinations) == 0 {
		return object{"not": object{}, "$comment": "This server exports nowhere."}
	}
	var ways []object
	for _, scheme := range a.Defaults.Destinations {
		if scheme == "file" {
			ways = append(ways, object{"pattern": "^/"}, object{"pattern": "^" + anyCase(scheme) + ":[^#]*$"})
			continue
		}
		ways = append(ways, object{"pattern": "^" + anyCase(scheme) + "://[^/?#@]+([/?][^#]*)?$"})
	}
	return object{"type": "string", "maxLength": contract.MaxURLBytes, "anyOf": ways}
}

// exportFormats are the formats and presets that can be asked for, in one spelling each.
func (a *api) exportFormats() []string {
	var out []string
	for _, t := range a.Defaults.Targets {
		out = append(out, t.Name)
	}
	for _, p := range a.Defaults.Presets {
		out = append(out, p.Name)
	}
	for _, name := range slices.Concat(diskFormats, containerFormats) {
		if !slices.Contains(out, name) && a.writes(name) {
			out = append(out, name)
		}
	}
	return out
}

// optionsNeedFormat says that options are those of a format that is named.
func optionsNeedFormat() object {
	return object{
		"if":   object{"properties": object{"export_options": object{"type": "object", "minProperties": 1}}, "required": []string{"export_options"}},
		"then": object{"properties": object{"export_to_format": said()}, "required": []string{"export_to_format"}},
	}
}

// optionsOfFormats says which options each format and its presets have.
func (a *api) optionsOfFormats() []object {
	var out []object
	for _, t := range a.Defaults.Targets {
		names, takes := []string{t.Name}, object{}
		for _, p := range a.Defaults.Presets {
			if p.Format == t.Name {
				names = append(names, p.Name)
			}
		}
		for _, o := range t.Options {
			takes[o.Name] = object{"description": fmt.Sprintf("%s: %s", o.Help, o.Takes)}
		}
		out = append(out, object{
			"if":   object{"properties": object{"export_to_format": object{"enum": names}}, "required": []string{"export_to_format"}},
			"then": object{"properties": object{"export_options": object{"properties": takes, "additionalProperties": false}}},
		})
	}
	return out
}
